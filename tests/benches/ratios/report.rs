//! Tables of what was measured: medians of the rounds, and ratios to the first side's neighbours.

use std::fmt;
use std::time::Duration;

use crate::load::Figures;

/// What a figure shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// No larger than this.
    AtMost(f64),
    /// No smaller than this.
    AtLeast(f64),
}

/// Lines in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<String>,
}

impl Report {
    pub(crate) fn line(&mut self, text: &str) {
        eprintln!("{text}");
        self.lines.push(text.to_owned());
    }

    /// Adds the medians over rounds, and for each other side how many times better the first one is; returns them.
    pub(crate) fn figures(&mut self, what: &str, names: &[&str], rounds: &[Vec<Figures>]) -> Vec<Figures> {
        let medians: Vec<Figures> = rounds.iter().map(|rounds| median(rounds)).collect();
        for (name, figures) in names.iter().zip(&medians) {
            let rate = if figures.per_second > 0.0 { format!("{:.0}/s", figures.per_second) } else { String::new() };
            self.line(&format!(
                "| {what} | {name} | {rate} | p50 {} | p99 {} |{}",
                milliseconds(figures.p50),
                milliseconds(figures.p99),
                comparison(&medians[0], figures)
            ));
        }
        medians
    }

    /// Adds whether a goal is met.
    pub(crate) fn goal(&mut self, what: &str, goal: Goal, found: f64) {
        let (sign, bound, is_met) = match goal {
            Goal::AtMost(bound) => ("at most", bound, found <= bound),
            Goal::AtLeast(bound) => ("at least", bound, found >= bound),
        };
        let verdict = if is_met { "met" } else { "MISSED" };
        self.line(&format!("| goal: {what} | {sign} {bound} | {found:.2} | {verdict} |"));
    }

    pub(crate) fn times(&mut self, what: &str, names: &[&str], times: &[Duration]) {
        for (name, time) in names.iter().zip(times) {
            let ratio = time.as_secs_f64() / times[0].as_secs_f64();
            self.line(&format!("| {what} | {name} | {} | ours is {ratio:.1}x as fast |", milliseconds(*time)));
        }
    }

    pub(crate) fn bytes(&mut self, what: &str, names: &[&str], bytes: &[u64]) {
        for (name, count) in names.iter().zip(bytes) {
            let ratio = bytes[0] as f64 / *count as f64;
            self.line(&format!("| {what} | {name} | {} MB | ours is {ratio:.2}x as large |", count >> 20));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

fn median(rounds: &[Figures]) -> Figures {
    let mut sorted = rounds.to_vec();
    sorted.sort_by_key(|figures| figures.p50);
    sorted[sorted.len() / 2]
}

fn comparison(own: &Figures, other: &Figures) -> String {
    let p99 = own.p99.as_secs_f64() / other.p99.as_secs_f64();
    if other.per_second > 0.0 {
        format!(" ours is {:.1}x as fast, p99 {p99:.2}x |", own.per_second / other.per_second)
    } else {
        format!(" ours has p50 {:.2}x, p99 {p99:.2}x |", own.p50.as_secs_f64() / other.p50.as_secs_f64())
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
