//! What a scalar of YAML means, by the rules of the YAML library that Docker uses, and how Go prints it.
//!
//! They are those of YAML 1.2 with remains of 1.1: `0777` is octal and `1_000` a number, but `yes` is text and `1:30`
//! is as well. What a number or date becomes as an environment variable is what Go's `%v` prints: `1e6` is `1e+06`.

use super::tree::Value;

/// Returns what a plain scalar means.
#[must_use]
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let first = text.as_bytes()[0];
    let number = match first {
        b'.' => float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            timestamp(text).map(Value::Time).or_else(|| integer(&plain)).or_else(|| float(&plain))
        }
        _ => None,
    };
    number.unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// Reads a whole number in any of the notations: decimal, `0x`, `0o`, `0b`, and octal by a leading zero.
fn integer(text: &str) -> Option<Value> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if is_negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Value::Int);
    }
    // A number with a plus sign has to fit with its sign.
    match i64::try_from(magnitude) {
        Ok(number) => Some(Value::Int(number)),
        Err(_) if text.starts_with('+') => None,
        Err(_) => Some(Value::Unsigned(magnitude)),
    }
}

/// Reads a number with a point or an exponent.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && are_digits(digits)
    });
    if !has_digits || !are_digits(whole) || !are_digits(fraction) || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
}

/// Returns a date or time as Go prints it, if it is one.
fn timestamp(text: &str) -> Option<String> {
    let year_end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    if year_end != 4 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let (date, time) = match text.find([' ', 'T', 't']) {
        Some(end) => (&text[..end], Some((text.as_bytes()[end], &text[end + 1..]))),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year: i16 = parts.next()?.parse().ok()?;
    let month = small_number(parts.next()?)?;
    let day = small_number(parts.next()?)?;
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let date = format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
    let Some((separator, time)) = time else {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    };
    let (clock, zone) = if separator == b' ' { (time, "+0000 UTC".to_owned()) } else { split_zone(time)? };
    Some(format!("{date} {} {zone}", clock_time(clock)?))
}

/// One or two digits.
fn small_number(text: &str) -> Option<i8> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Splits `12:00:00Z` or `12:00:00+02:00` into the clock time and the zone as Go prints it.
fn split_zone(time: &str) -> Option<(&str, String)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, "+0000 UTC".to_owned()));
    }
    let start = time.rfind(['+', '-'])?;
    let (clock, zone) = time.split_at(start);
    let (hours, minutes) = zone[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours_number, minutes_number) = (small_number(hours)?, small_number(minutes)?);
    if hours_number > 24 || minutes_number >= 60 {
        return None;
    }
    if hours_number == 0 && minutes_number == 0 {
        return Some((clock, "+0000 UTC".to_owned()));
    }
    let offset = format!("{}{hours}{minutes}", &zone[..1]);
    Some((clock, format!("{offset} {offset}")))
}

/// Returns `15:04:05.9` for `15:4:5.90`.
fn clock_time(text: &str) -> Option<String> {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) =
        (small_number(parts.next()?)?, small_number(parts.next()?)?, small_number(parts.next()?)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut printed = format!("{hour:02}:{minute:02}:{second:02}");
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = fraction[..fraction.len().min(9)].trim_end_matches('0');
        if !digits.is_empty() {
            printed.push('.');
            printed.push_str(digits);
        }
    }
    Some(printed)
}

/// Returns a value as Go's `%v` prints it; `None` for nothing, a list and a mapping.
#[must_use]
pub fn print(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Unsigned(value) => Some(value.to_string()),
        Value::Float(value) => Some(print_float(*value)),
        Value::Time(text) | Value::Text(text) => Some(text.clone()),
    }
}

/// Returns a number as Go prints it: the fewest digits that mean it, with an exponent below 1e-4 and from 1e6 on.
#[must_use]
pub fn print_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}
