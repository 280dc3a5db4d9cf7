//! `-o custom-columns`: a heading and a JSONPath per column.

use api_types::jsonpath::JsonPath;
use serde_json::Value;

use super::jsonpath;
use super::table::{Style, Table};
use crate::error::{CommandError, Result};

/// Columns that the person chose.
#[derive(Clone, Debug)]
pub struct CustomColumns {
    columns: Vec<(String, JsonPath)>,
}

/// Whether headings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Print them.
    Shown,
    /// Leave them out.
    Hidden,
}

impl CustomColumns {
    /// Reads `NAME:.metadata.name,PHASE:.status.phase`.
    ///
    /// # Errors
    /// A column without a path, or a path that cannot be understood.
    pub fn parse(spec: &str) -> Result<Self> {
        let columns = split_outside_brackets(spec)
            .into_iter()
            .map(|column| {
                let (heading, path) = column
                    .split_once(':')
                    .filter(|(heading, path)| !heading.is_empty() && !path.is_empty())
                    .ok_or_else(|| {
                        CommandError::user(format!(
                            "unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>"
                        ))
                        .hint("for example -o custom-columns=NAME:.metadata.name,PHASE:.status.phase")
                    })?;
                Ok((heading.to_owned(), jsonpath::path(path)?))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { columns })
    }

    /// Reads a file of two lines: headings, and paths below them.
    ///
    /// # Errors
    /// The lines are missing or do not fit each other.
    pub fn parse_file(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let headings: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let paths: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        if headings.is_empty() || headings.len() != paths.len() {
            return Err(CommandError::user(format!(
                "a custom-columns file has headings in its first line and as many paths in its second: found {} and {}",
                headings.len(),
                paths.len()
            )));
        }
        let columns = headings
            .into_iter()
            .zip(paths)
            .map(|(heading, path)| Ok((heading.to_owned(), jsonpath::path(path)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { columns })
    }

    /// Returns a table of objects.
    #[must_use]
    pub fn render(&self, objects: &[Value], headers: Headers) -> String {
        let mut table = self.table(headers);
        self.render_into(&mut table, objects)
    }

    /// Starts a table for [`CustomColumns::render_into`].
    #[must_use]
    pub fn table(&self, headers: Headers) -> Table {
        let style = Style { without_headings: headers == Headers::Hidden, ..Style::default() };
        Table::new(self.columns.iter().map(|(heading, _)| heading.clone()).collect(), style)
    }

    /// Returns more rows of a table.
    pub fn render_into(&self, table: &mut Table, objects: &[Value]) -> String {
        let row = |object: &Value| self.columns.iter().map(|(_, path)| jsonpath::cell(path, object)).collect();
        table.render(&objects.iter().map(row).collect::<Vec<_>>())
    }
}

/// Splits at commas that stand outside of brackets and quotes.
fn split_outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_usize, None);
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is always a last part").push(character);
    }
    parts
}
