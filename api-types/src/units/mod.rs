//! Amounts with units as people write them: spans of time such as `1h30m`, sizes such as `512Mi`.
//!
//! The text is kept as it was written, so that an object that is read and written back does not change.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// Longest text of a span or quantity, in characters.
pub const TEXT_LENGTH_MAX: usize = 24;

const DURATION_PATTERN: &str = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$";
const QUANTITY_PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// A span of time that is never negative, such as `30s`, `1h30m` or `0.5h`. Units are `ms`, `s`, `m` and `h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationText {
    text: String,
    span: Duration,
}

/// An amount such as `512Mi`, `1.5G` or `0.5`. Suffixes are `m` (thousandth), `k`, `M`, `G`, `T` (powers of 1000) and
/// `Ki`, `Mi`, `Gi`, `Ti` (powers of 1024).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    thousandths: u128,
}

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {hint}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    hint: &'static str,
}

impl DurationText {
    /// Parses a span.
    ///
    /// # Errors
    /// Text without unit, with another unit, with a sign, with more than six digits before or three after a point, or
    /// longer than [`TEXT_LENGTH_MAX`].
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let fail = |hint| UnitError { text: shortened(text), what: "span of time", hint };
        let hint = "write numbers with units, such as 30s, 15m, 1h30m or 500ms";
        if text.is_empty() || text.len() > TEXT_LENGTH_MAX {
            return Err(fail(hint));
        }
        let mut rest = text;
        let mut milliseconds: u64 = 0;
        while !rest.is_empty() {
            let (thousandths, after) = decimal(rest, 6).ok_or_else(|| fail(hint))?;
            let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
            let found = units.into_iter().find_map(|(unit, factor)| Some((factor, after.strip_prefix(unit)?)));
            let (factor, after) = found.ok_or_else(|| fail("a unit is missing or unknown: use ms, s, m or h"))?;
            let part = thousandths * factor / 1_000;
            milliseconds += u64::try_from(part).map_err(|_| fail("it is too long"))?;
            rest = after;
        }
        Ok(Self { text: text.to_owned(), span: Duration::from_millis(milliseconds) })
    }

    /// Returns a span of whole seconds.
    #[must_use]
    pub fn seconds(seconds: u32) -> Self {
        Self { text: format!("{seconds}s"), span: Duration::from_secs(seconds.into()) }
    }

    /// Returns a span of whole minutes.
    #[must_use]
    pub fn minutes(minutes: u32) -> Self {
        Self { text: format!("{minutes}m"), span: Duration::from_secs(u64::from(minutes) * 60) }
    }

    /// Returns a span of whole hours.
    #[must_use]
    pub fn hours(hours: u32) -> Self {
        Self { text: format!("{hours}h"), span: Duration::from_secs(u64::from(hours) * 3_600) }
    }

    /// Returns the span.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.span
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for DurationText {
    fn default() -> Self {
        Self::seconds(0)
    }
}

impl Quantity {
    /// Parses an amount.
    ///
    /// # Errors
    /// Text that is no number with a known suffix, or longer than [`TEXT_LENGTH_MAX`].
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let fail = |hint| UnitError { text: shortened(text), what: "quantity", hint };
        if text.len() > TEXT_LENGTH_MAX {
            return Err(fail("write a number with a suffix, such as 512Mi, 10Gi or 0.5"));
        }
        let (thousandths, suffix) =
            decimal(text, 15).ok_or_else(|| fail("write a number with a suffix, such as 512Mi, 10Gi or 0.5"))?;
        let thousandths = match suffix {
            "m" => thousandths.div_ceil(1_000),
            _ => {
                let factors: [(&str, u128); 9] = [
                    ("", 1),
                    ("k", 1_000),
                    ("M", 1_000_000),
                    ("G", 1_000_000_000),
                    ("T", 1_000_000_000_000),
                    ("Ki", 1 << 10),
                    ("Mi", 1 << 20),
                    ("Gi", 1 << 30),
                    ("Ti", 1 << 40),
                ];
                let found = factors.into_iter().find(|(known, _)| *known == suffix);
                let (_, factor) =
                    found.ok_or_else(|| fail("the suffix is unknown: use Ki, Mi, Gi, Ti, k, M, G, T or m"))?;
                thousandths * factor
            }
        };
        Ok(Self { text: text.to_owned(), thousandths })
    }

    /// Returns a whole number of bytes or things.
    #[must_use]
    pub fn whole(count: u64) -> Self {
        Self { text: count.to_string(), thousandths: u128::from(count) * 1_000 }
    }

    /// Returns the amount as a whole number, rounded up; the largest there is when it does not fit.
    #[must_use]
    pub fn round_up(&self) -> u64 {
        u64::try_from(self.thousandths.div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    /// Returns the amount in thousandths, as processors are counted; the largest there is when it does not fit.
    #[must_use]
    pub fn thousandths(&self) -> u64 {
        u64::try_from(self.thousandths).unwrap_or(u64::MAX)
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Self::whole(0)
    }
}

/// Reads a decimal number of at most `digits_max` digits and three decimals, in thousandths.
fn decimal(text: &str, digits_max: usize) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    if whole.is_empty() || whole.len() > digits_max {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("0", rest),
    };
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let thousandths: u128 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole.parse::<u128>().ok()? * 1_000 + thousandths, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn shortened(text: &str) -> String {
    text.chars().take(2 * TEXT_LENGTH_MAX).collect()
}

impl fmt::Display for DurationText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number with a suffix, such as 512Mi, 10Gi or 0.5")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
        Quantity::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Quantity, E> {
        Ok(Quantity::whole(count))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Quantity, E> {
        Quantity::parse(&count.to_string()).map_err(E::custom)
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": DURATION_PATTERN, "maxLength": TEXT_LENGTH_MAX})
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "pattern": QUANTITY_PATTERN, "maxLength": TEXT_LENGTH_MAX, "minimum": 0})
    }
}
