//! Amounts: what they mean, what is refused, and that the schema says the same as the parser.

use proptest::prelude::*;
use regex::Regex;
use serde_json::json;

use super::*;

#[test]
fn spans_are_sums_of_numbers_with_units() {
    let cases = [
        ("0s", 0),
        ("30s", 30_000),
        ("1h30m", 5_400_000),
        ("500ms", 500),
        ("0.5h", 1_800_000),
        ("1.25s", 1_250),
        ("1m1m", 120_000),
        ("168h", 604_800_000),
    ];
    for (text, milliseconds) in cases {
        assert_eq!(DurationText::parse(text).unwrap().span(), Duration::from_millis(milliseconds), "{text}");
    }
    assert_eq!(DurationText::minutes(15), DurationText::parse("15m").unwrap());
    assert_eq!(DurationText::hours(2).span(), DurationText::parse("120m").unwrap().span());
}

#[test]
fn a_text_that_is_no_span_is_refused_with_a_hint() {
    for text in ["", "5", "s", "-5s", "5 s", "5d", "1.s", ".5s", "1234567s", "1.2345s", "5s ", "1h30", &"1s".repeat(13)]
    {
        let error = DurationText::parse(text).unwrap_err().to_string();
        assert!(error.contains("no span of time: ") && error.contains('m'), "{text:?}: {error}");
    }
    let error = DurationText::parse("5").unwrap_err().to_string();
    assert_eq!(error, "\"5\" is no span of time: a unit is missing or unknown: use ms, s, m or h");
}

#[test]
fn quantities_have_binary_and_decimal_suffixes() {
    let cases = [
        ("0", 0, 0),
        ("512Mi", 512 << 20, (512 << 20) * 1_000),
        ("10Gi", 10 << 30, (10 << 30) * 1_000),
        ("1.5k", 1_500, 1_500_000),
        ("0.5", 1, 500),
        ("250m", 1, 250),
        ("2T", 2_000_000_000_000, 2_000_000_000_000_000),
    ];
    for (text, whole, thousandths) in cases {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!((quantity.round_up(), quantity.thousandths()), (whole, thousandths), "{text}");
    }
    assert_eq!(Quantity::parse("999999999999999Ti").unwrap().round_up(), u64::MAX);
}

#[test]
fn a_text_that_is_no_quantity_is_refused_with_a_hint() {
    for text in ["", "Mi", "-1", "1 Gi", "1.Gi", "1gi", "1e3", "1GiB", &"1".repeat(25)] {
        let error = Quantity::parse(text).unwrap_err().to_string();
        assert!(error.contains("is no quantity: "), "{text:?}: {error}");
    }
}

#[test]
fn amounts_are_read_from_json_and_written_as_they_were() {
    let span: DurationText = serde_json::from_value(json!("90s")).unwrap();
    assert_eq!(serde_json::to_value(span).unwrap(), json!("90s"));
    let quantity: Quantity = serde_json::from_value(json!(1024)).unwrap();
    assert_eq!(quantity.round_up(), 1024);
    assert!(serde_json::from_value::<Quantity>(json!(-1)).is_err());
    assert!(serde_json::from_value::<DurationText>(json!(5)).is_err());
}

proptest! {
    #[test]
    fn the_schema_takes_what_the_parser_takes(text in "[0-9]{0,7}(\\.[0-9]{0,4})?[smhkMGTi]{0,2}[0-9]?s?") {
        let duration = Regex::new(DURATION_PATTERN).unwrap().is_match(&text) && text.len() <= TEXT_LENGTH_MAX;
        prop_assert_eq!(DurationText::parse(&text).is_ok(), duration);
        let quantity = Regex::new(QUANTITY_PATTERN).unwrap().is_match(&text) && text.len() <= TEXT_LENGTH_MAX;
        prop_assert_eq!(Quantity::parse(&text).is_ok(), quantity);
    }

    #[test]
    fn no_text_makes_an_amount_panic(text in ".{0,30}") {
        let _ = DurationText::parse(&text);
        let _ = Quantity::parse(&text);
    }
}
