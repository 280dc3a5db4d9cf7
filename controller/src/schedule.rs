//! [`Cron`]: when something happens by itself, as `spec.schedule` says.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

#[cfg(test)]
mod tests;

/// How far is looked: beyond the eight years between two 29ths of February around 2100.
const DAYS_MAX: u32 = 366 * 9;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// A field is not as it should be.
    #[error(
        "the field {field} of the schedule cannot be {text:?}: write numbers from {first} to {last}, lists, ranges and steps"
    )]
    Field {
        /// Which field.
        field: &'static str,
        /// What it says.
        text: String,
        /// Smallest number.
        first: u8,
        /// Largest number.
        last: u8,
    },
    /// There are not five fields.
    #[error("the schedule {0:?} has not five fields: minute, hour, day of the month, month, day of the week")]
    Fields(String),
    /// The time zone is not known.
    #[error("the time zone {0:?} is not known on this machine: write one such as Europe/Berlin, or install tzdata")]
    TimeZone(String),
}

/// A schedule in a time zone, minute by minute.
///
/// A time that a change of clocks leaves out happens as much later as the clocks jump; one that comes twice happens the
/// first time.
#[derive(Clone, Debug)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both kinds of days are restricted: then either is enough, as in cron.
    either_day: bool,
    zone: TimeZone,
}

impl Cron {
    /// Reads a schedule; without a time zone it is in UTC.
    ///
    /// # Errors
    /// Says which field is wrong.
    pub fn parse(text: &str, time_zone: Option<&str>) -> Result<Self, CronError> {
        let zone = match time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| CronError::TimeZone(name.to_owned()))?,
        };
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(CronError::Fields(text.to_owned()));
        };
        let either_day = !days.starts_with('*') && !weekdays.starts_with('*');
        let weekdays = field("day of the week", weekdays, 0, 7, &WEEKDAYS, 0)?;
        Ok(Self {
            minutes: field("minute", minutes, 0, 59, &[], 0)?,
            hours: field("hour", hours, 0, 23, &[], 0)?,
            days: field("day of the month", days, 1, 31, &[], 0)?,
            months: field("month", months, 1, 12, &MONTHS, 1)?,
            // Sunday is 0 and 7.
            weekdays: weekdays | (weekdays >> 7 & 1),
            either_day,
            zone,
        })
    }

    /// Returns the last moment after `after` and until `now` at which it fires, however many there were.
    #[must_use]
    pub fn last_between(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let first_day = after.to_zoned(self.zone.clone()).date();
        let mut day = now.to_zoned(self.zone.clone()).date();
        for _ in 0..DAYS_MAX {
            let fires = self.of_day(day).into_iter().rev().find(|moment| *moment <= now);
            if let Some(moment) = fires {
                return (moment > after).then_some(moment);
            }
            if day < first_day {
                return None;
            }
            day = day.checked_sub(1.day()).ok()?;
        }
        None
    }

    /// Returns the first moment after `after` at which it fires; `None` when it never does.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut day = after.to_zoned(self.zone.clone()).date();
        for _ in 0..DAYS_MAX {
            if let Some(moment) = self.of_day(day).into_iter().find(|moment| *moment > after) {
                return Some(moment);
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }

    /// Returns the moments of a day, in order.
    fn of_day(&self, day: Date) -> Vec<Timestamp> {
        let has = |set: u64, number: i8| u8::try_from(number).is_ok_and(|number| set >> number & 1 == 1);
        let by_date = has(self.days, day.day());
        let by_weekday = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        let is_day = if self.either_day { by_date || by_weekday } else { by_date && by_weekday };
        if !is_day || !has(self.months, day.month()) {
            return Vec::new();
        }
        let mut moments = Vec::new();
        for hour in (0..24).filter(|hour| has(self.hours, *hour)) {
            for minute in (0..60).filter(|minute| has(self.minutes, *minute)) {
                let zoned = day.at(hour, minute, 0, 0).to_zoned(self.zone.clone());
                moments.extend(zoned.ok().map(|zoned| zoned.timestamp()));
            }
        }
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// Reads one field as a set of bits.
fn field(
    name: &'static str,
    text: &str,
    first: u8,
    last: u8,
    words: &[&str],
    words_from: u8,
) -> Result<u64, CronError> {
    let wrong = || CronError::Field { field: name, text: text.to_owned(), first, last };
    let number = |text: &str| -> Option<u8> {
        let lower = text.to_ascii_lowercase();
        let word = words.iter().position(|word| *word == lower).and_then(|index| u8::try_from(index).ok());
        let number = word.map(|index| index + words_from).or_else(|| text.parse().ok())?;
        (first..=last).contains(&number).then_some(number)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((from, to)) => (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?),
            // `5/10` is from 5 on.
            None if part.contains('/') => (number(range).ok_or_else(wrong)?, last),
            None => (number(range).ok_or_else(wrong)?, number(range).ok_or_else(wrong)?),
        };
        if from > to {
            return Err(wrong());
        }
        for number in (from..=to).step_by(usize::from(step)) {
            set |= 1 << number;
        }
    }
    Ok(set)
}
