//! Tables: aligned as kubectl aligns them, narrowed to the terminal when there is one.

use serde_json::Value;

use super::text::{Colour, coloured, harmless, truncated, width};

/// Space between columns.
const PADDING: usize = 3;
/// No column is narrower than this, padding included.
const COLUMN_WIDTH_MIN: usize = 6;
/// A column is not cut below this many characters.
const CELL_WIDTH_MIN: usize = 10;

/// How a table appears.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Width to stay within; `None` when nobody looks at a terminal.
    pub width_max: Option<usize>,
    /// Whether to colour.
    pub colours: bool,
    /// Whether to leave the headings out.
    pub without_headings: bool,
}

/// A table that is printed in one or several parts whose columns stay aligned.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    style: Style,
    widths: Vec<usize>,
    headings_printed: bool,
}

impl Table {
    /// Starts a table.
    #[must_use]
    pub fn new(headings: Vec<String>, style: Style) -> Self {
        let widths = vec![0; headings.len()];
        Self { headings, style, widths, headings_printed: style.without_headings }
    }

    /// Returns the headings.
    #[must_use]
    pub fn headings(&self) -> &[String] {
        &self.headings
    }

    /// Returns rows as lines; the first time with the headings above.
    pub fn render(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
        let headings = (!self.headings_printed).then(|| self.headings.clone());
        self.headings_printed = true;
        for row in headings.iter().chain(&rows) {
            for (known, cell) in self.widths.iter_mut().zip(row) {
                *known = (*known).max(width(cell));
            }
        }
        let widths = self.fitting_widths();
        let heading_line = headings.map(|headings| {
            let line = self.line(&headings, &widths, |_, _| None);
            coloured(line.trim_end(), Colour::Bold, self.style.colours) + "\n"
        });
        let lines = rows.iter().map(|row| self.line(row, &widths, cell_colour));
        heading_line.into_iter().chain(lines).collect()
    }

    fn line(&self, row: &[String], widths: &[usize], colour: impl Fn(&str, &str) -> Option<Colour>) -> String {
        let mut line = String::new();
        let last = row.len().saturating_sub(1);
        for (index, (cell, width_max)) in row.iter().zip(widths).enumerate() {
            let text = if self.style.width_max.is_some() { truncated(cell, *width_max) } else { cell.clone() };
            let fill = if index == last { 0 } else { (width_max + PADDING).max(COLUMN_WIDTH_MIN) - width(&text) };
            let heading = self.headings.get(index).map_or("", String::as_str);
            match colour(heading, &text) {
                Some(colour) => line.push_str(&coloured(&text, colour, self.style.colours)),
                None => line.push_str(&text),
            }
            line.extend(std::iter::repeat_n(' ', fill));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// Returns the columns' widths, the widest taken down until everything fits. The first column stays whole.
    fn fitting_widths(&self) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(width_max) = self.style.width_max else { return widths };
        let total = |widths: &[usize]| -> usize {
            let (last, others) = widths.split_last().map_or((0, &[][..]), |(last, others)| (*last, others));
            others.iter().map(|width| (width + PADDING).max(COLUMN_WIDTH_MIN)).sum::<usize>() + last
        };
        while total(&widths) > width_max {
            let widest = widths.iter().enumerate().skip(1).max_by_key(|(_, width)| **width).map(|(index, _)| index);
            match widest {
                Some(index) if widths[index] > CELL_WIDTH_MIN => widths[index] -= 1,
                _ => break,
            }
        }
        widths
    }
}

/// Returns the colour of a cell that says how something is.
fn cell_colour(heading: &str, cell: &str) -> Option<Colour> {
    match cell {
        "Failed" | "Error" | "Fail" | "Lost" => Some(Colour::Red),
        "Succeeded" | "Pass" | "Active" | "ok" => Some(Colour::Green),
        "Running" | "Deploying" => Some(Colour::Cyan),
        "Pending" | "Queued" | "Waiting" | "Warning" | "Terminating" | "Cancelled" | "warn" => Some(Colour::Yellow),
        "failed" => Some(Colour::Red),
        "False" if heading == "READY" || heading == "SUCCEEDED" => Some(Colour::Red),
        "True" if heading == "READY" || heading == "SUCCEEDED" => Some(Colour::Green),
        _ => None,
    }
}

/// Returns a table's cell as kubectl prints it: nothing for null, the first line of text.
#[must_use]
pub fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => match text.split_once(['\n', '\r', '\u{c}']) {
            Some((first, _)) => format!("{first}..."),
            None => text.clone(),
        },
        other => other.to_string(),
    }
}
