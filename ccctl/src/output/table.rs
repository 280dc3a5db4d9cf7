//! Tables: aligned as kubectl aligns them, narrowed to the terminal when there is one.

use serde_json::Value;

use super::text::{Colour, coloured, harmless, truncated, width};

/// Space between columns, from the usual one to what a narrow terminal gets.
const PADDINGS: [usize; 3] = [3, 2, 1];
/// No column is narrower than this, padding included, unless the terminal is narrow.
const COLUMN_WIDTH_MIN: usize = 6;
/// Columns are cut down to this many characters first, then to the next.
const CELL_WIDTHS_MIN: [usize; 3] = [12, 5, 3];
/// Names are cut down to this when even then a line does not fit, which is better than lines that wrap.
const NAME_WIDTH_MIN: usize = 12;
/// Columns that are cut last: people copy from them.
const WHOLE: [&str; 2] = ["NAME", "NAMESPACE"];

/// How a table appears.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Width to stay within; `None` when nobody looks at a terminal.
    pub width_max: Option<usize>,
    /// Whether to colour.
    pub colours: bool,
    /// Whether to leave the headings out.
    pub without_headings: bool,
    /// Whether columns without any content may be left out on a narrow terminal. Not where more rows may follow.
    pub hides_empty: bool,
}

/// A table that is printed in one or several parts whose columns stay aligned.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    style: Style,
    widths: Vec<usize>,
    /// Columns that are left out, because the terminal is narrow.
    hidden: Vec<bool>,
    padding: usize,
    headings_printed: bool,
}

impl Table {
    /// Starts a table.
    #[must_use]
    pub fn new(headings: Vec<String>, style: Style) -> Self {
        let columns = headings.len();
        Self {
            headings,
            style,
            widths: vec![0; columns],
            hidden: vec![false; columns],
            padding: PADDINGS[0],
            headings_printed: style.without_headings,
        }
    }

    /// Returns the headings.
    #[must_use]
    pub fn headings(&self) -> &[String] {
        &self.headings
    }

    /// Returns the headings of columns that are left out because the terminal is narrow: somebody should be told.
    #[must_use]
    pub fn left_out(&self) -> Vec<&str> {
        let hidden = self.headings.iter().zip(&self.hidden).filter(|(_, hidden)| **hidden);
        hidden.map(|(heading, _)| heading.as_str()).collect()
    }

    /// Returns rows as lines; the first time with the headings above.
    pub fn render(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
        let headings = (!self.headings_printed).then(|| self.headings.clone());
        let is_first = self.widths.iter().all(|width| *width == 0);
        self.headings_printed = true;
        for row in headings.iter().chain(&rows) {
            for (known, cell) in self.widths.iter_mut().zip(row) {
                *known = (*known).max(width(cell));
            }
        }
        if is_first {
            self.make_room(&rows);
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
        let last = (0..row.len()).rfind(|index| !self.hidden[*index]);
        for (index, (cell, width_max)) in row.iter().zip(widths).enumerate().filter(|(index, _)| !self.hidden[*index]) {
            let text = if self.style.width_max.is_some() { truncated(cell, *width_max) } else { cell.clone() };
            let fill = if Some(index) == last { 0 } else { self.column_width(*width_max) - width(&text) };
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

    /// Moves columns together, then leaves out empty ones and those on the right, until the first rows fit. Later rows
    /// keep to it, so that columns stay below their headings.
    fn make_room(&mut self, rows: &[Vec<String>]) {
        let Some(width_max) = self.style.width_max else { return };
        for padding in PADDINGS {
            self.padding = padding;
            if self.total(&self.widths) <= width_max {
                return;
            }
        }
        for (index, hidden) in self.hidden.iter_mut().enumerate().skip(1) {
            let is_empty = rows.iter().all(|row| row.get(index).is_none_or(String::is_empty));
            *hidden = self.style.hides_empty && !rows.is_empty() && is_empty;
        }
        let [.., least] = CELL_WIDTHS_MIN;
        let is_name = |heading: &String| WHOLE.contains(&heading.as_str());
        let smallest: Vec<usize> = (self.widths.iter().zip(&self.headings).enumerate())
            .map(|(index, (width, heading))| if index == 0 || is_name(heading) { *width } else { least.min(*width) })
            .collect();
        while self.total(&smallest) > width_max {
            let goes = (1..self.hidden.len()).rfind(|index| !self.hidden[*index] && !is_name(&self.headings[*index]));
            let Some(goes) = goes else { return };
            self.hidden[goes] = true;
        }
    }

    /// Returns the columns' widths, the widest taken down until everything fits.
    fn fitting_widths(&self) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(width_max) = self.style.width_max else { return widths };
        for least in CELL_WIDTHS_MIN {
            while self.total(&widths) > width_max {
                let can_shrink = |index: &usize| {
                    !self.hidden[*index] && widths[*index] > least && !WHOLE.contains(&self.headings[*index].as_str())
                };
                match (1..widths.len()).filter(can_shrink).max_by_key(|index| widths[*index]) {
                    Some(index) => widths[index] -= 1,
                    None => break,
                }
            }
        }
        while self.total(&widths) > width_max {
            let can_shrink = |index: &usize| !self.hidden[*index] && widths[*index] > NAME_WIDTH_MIN;
            match (0..widths.len()).filter(can_shrink).max_by_key(|index| widths[*index]) {
                Some(index) => widths[index] -= 1,
                None => break,
            }
        }
        widths
    }

    fn total(&self, widths: &[usize]) -> usize {
        let shown: Vec<usize> = (0..widths.len()).filter(|index| !self.hidden[*index]).collect();
        let (last, others) = shown.split_last().map_or((0, &[][..]), |(last, others)| (widths[*last], others));
        others.iter().map(|index| self.column_width(widths[*index])).sum::<usize>() + last
    }

    /// Returns a column's width with the space behind it.
    fn column_width(&self, width: usize) -> usize {
        let least = if self.padding == PADDINGS[0] { COLUMN_WIDTH_MIN } else { 0 };
        (width + self.padding).max(least)
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
