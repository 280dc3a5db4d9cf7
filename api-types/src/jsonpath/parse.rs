//! The grammar of paths and templates.

use serde_json::Value;

use super::{Comparison, Filter, JsonPath, JsonPathError, NESTING_MAX, Node, Operand, Step, TEXT_BYTES_MAX};

struct Parser {
    text: Vec<char>,
    position: usize,
    nesting: usize,
}

/// How a list of nodes ends.
enum Ending {
    Text,
    Range,
}

pub(super) fn path(text: &str) -> Result<JsonPath, JsonPathError> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let mut parser = Parser::new(text)?;
    let steps = parser.steps(true)?;
    parser.skip_spaces();
    match parser.peek() {
        None if text.trim().is_empty() => parser.fail("a path such as .metadata.name is needed"),
        None => Ok(JsonPath { steps }),
        Some(other) => parser.fail(format!("{other:?} cannot follow a path")),
    }
}

pub(super) fn template(text: &str) -> Result<Vec<Node>, JsonPathError> {
    Parser::new(text)?.nodes(&Ending::Text)
}

impl Parser {
    fn new(text: &str) -> Result<Self, JsonPathError> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("a path may not be longer than {TEXT_BYTES_MAX} bytes");
            return Err(JsonPathError { message, position: TEXT_BYTES_MAX });
        }
        Ok(Self { text: text.chars().collect(), position: 0, nesting: 0 })
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.position).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.position += usize::from(is_there);
        is_there
    }

    fn take_text(&mut self, wanted: &str) -> bool {
        let rest = &self.text[self.position..];
        let is_there = wanted.chars().count() <= rest.len() && wanted.chars().zip(rest).all(|(a, b)| a == *b);
        if is_there {
            self.position += wanted.chars().count();
        }
        is_there
    }

    fn expect(&mut self, wanted: char) -> Result<(), JsonPathError> {
        self.skip_spaces();
        if self.take(wanted) {
            return Ok(());
        }
        match self.peek() {
            Some(found) => self.fail(format!("{wanted:?} is expected, found {found:?}")),
            None => self.fail(format!("{wanted:?} is missing")),
        }
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.position += 1;
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, JsonPathError> {
        Err(JsonPathError { message: message.into(), position: self.position + 1 })
    }

    fn nest(&mut self) -> Result<(), JsonPathError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.fail(format!("paths may not be nested deeper than {NESTING_MAX} levels"));
        }
        Ok(())
    }

    fn nodes(&mut self, ending: &Ending) -> Result<Vec<Node>, JsonPathError> {
        let mut nodes = Vec::new();
        loop {
            let plain = self.plain();
            if !plain.is_empty() {
                nodes.push(Node::Text(plain));
            }
            if self.peek().is_none() {
                return match ending {
                    Ending::Text => Ok(nodes),
                    Ending::Range => self.fail("{range} has no {end}"),
                };
            }
            self.expect('{')?;
            self.skip_spaces();
            if let Some(quote @ ('"' | '\'')) = self.peek() {
                nodes.push(Node::Text(self.quoted(quote)?));
            } else if self.take_text("range ") {
                self.nest()?;
                let path = JsonPath { steps: self.steps(true)? };
                self.expect('}')?;
                nodes.push(Node::Range(path, self.nodes(&Ending::Range)?));
                self.nesting -= 1;
                continue;
            } else if self.take_text("end") {
                if matches!(ending, Ending::Text) {
                    return self.fail("{end} has no {range}");
                }
                self.expect('}')?;
                return Ok(nodes);
            } else {
                let steps = self.steps(true)?;
                nodes.push(Node::Path(JsonPath { steps }));
            }
            self.expect('}')?;
        }
    }

    fn plain(&mut self) -> String {
        let start = self.position;
        while self.peek().is_some_and(|next| next != '{') {
            self.position += 1;
        }
        self.text[start..self.position].iter().collect()
    }

    /// `is_outermost` lets a path begin with a plain name, as in `metadata.name`.
    fn steps(&mut self, is_outermost: bool) -> Result<Vec<Step>, JsonPathError> {
        let mut steps = Vec::new();
        self.skip_spaces();
        if self.take('$') {
            steps.push(Step::Root);
        } else if !self.take('@') && is_outermost && self.peek().is_some_and(is_name_start) {
            steps.push(self.named()?);
        }
        loop {
            if self.take_text("..") {
                steps.push(Step::Descendants);
                if self.peek() != Some('[') {
                    steps.push(self.named()?);
                }
            } else if self.take('.') {
                // A lone dot is the value itself.
                if self.peek().is_some_and(is_name_start) || self.peek() == Some('*') {
                    steps.push(self.named()?);
                } else if self.peek() == Some('[') || self.peek().is_none_or(|next| "} )=!<>".contains(next)) {
                    continue;
                } else {
                    return self.fail("a name, '*' or '[' is expected after '.'");
                }
            } else if self.take('[') {
                let step = self.bracket()?;
                self.expect(']')?;
                steps.push(step);
            } else {
                return Ok(steps);
            }
        }
    }

    fn named(&mut self) -> Result<Step, JsonPathError> {
        if self.take('*') {
            return Ok(Step::Wildcard);
        }
        let mut name = String::new();
        while let Some(next) = self.peek() {
            if next == '\\' {
                self.position += 1;
                let Some(escaped) = self.peek() else { return self.fail("a character is missing after '\\'") };
                name.push(escaped);
            } else if is_name_start(next) {
                name.push(next);
            } else {
                break;
            }
            self.position += 1;
        }
        if name.is_empty() {
            return self.fail("a name is expected");
        }
        Ok(Step::Fields(vec![name]))
    }

    fn bracket(&mut self) -> Result<Step, JsonPathError> {
        self.skip_spaces();
        match self.peek() {
            Some('*') => {
                self.position += 1;
                Ok(Step::Wildcard)
            }
            Some('?') => {
                self.position += 1;
                self.filter()
            }
            Some('"' | '\'') => self.quoted_names(),
            Some(next) if next == ':' || next == '-' || next.is_ascii_digit() => self.numbers(),
            _ => self.fail("a number, a slice, a quoted name, '*' or '?(…)' is expected after '['"),
        }
    }

    fn quoted_names(&mut self) -> Result<Step, JsonPathError> {
        let mut names = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(quote @ ('"' | '\'')) => names.push(self.quoted(quote)?),
                _ => return self.fail("a quoted name is expected"),
            }
            self.skip_spaces();
            if !self.take(',') {
                return Ok(Step::Fields(names));
            }
        }
    }

    fn numbers(&mut self) -> Result<Step, JsonPathError> {
        let first = self.integer()?;
        self.skip_spaces();
        if self.take(':') {
            let end = self.integer()?;
            self.skip_spaces();
            let stride = if self.take(':') { self.integer()? } else { None }.unwrap_or(1);
            return match usize::try_from(stride) {
                Ok(stride) if stride > 0 => Ok(Step::Slice { start: first, end, stride }),
                _ => self.fail("the step of a slice must be at least 1"),
            };
        }
        let mut indices = Vec::from_iter(first);
        while self.take(',') {
            indices.extend(self.integer()?);
            self.skip_spaces();
        }
        if indices.is_empty() { self.fail("a number is expected") } else { Ok(Step::Indices(indices)) }
    }

    fn integer(&mut self) -> Result<Option<i64>, JsonPathError> {
        self.skip_spaces();
        let start = self.position;
        self.take('-');
        while self.peek().is_some_and(|next| next.is_ascii_digit()) {
            self.position += 1;
        }
        let digits: String = self.text[start..self.position].iter().collect();
        if digits.is_empty() {
            return Ok(None);
        }
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => self.fail(format!("{digits} is no index")),
        }
    }

    fn filter(&mut self) -> Result<Step, JsonPathError> {
        self.nest()?;
        self.expect('(')?;
        let left = self.operand()?;
        self.skip_spaces();
        let comparisons = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = comparisons.into_iter().find(|(text, _)| self.take_text(text));
        let comparison = match found {
            Some((_, comparison)) => Some((comparison, self.operand()?)),
            None => None,
        };
        self.expect(')')?;
        self.nesting -= 1;
        Ok(Step::Filter(Box::new(Filter { left, comparison })))
    }

    fn operand(&mut self) -> Result<Operand, JsonPathError> {
        self.skip_spaces();
        match self.peek() {
            Some(quote @ ('"' | '\'')) => Ok(Operand::Literal(Value::String(self.quoted(quote)?))),
            Some('@' | '$' | '.' | '[') => Ok(Operand::Path(JsonPath { steps: self.steps(false)? })),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<Operand, JsonPathError> {
        let start = self.position;
        while self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || "+-.".contains(next)) {
            self.position += 1;
        }
        let word: String = self.text[start..self.position].iter().collect();
        match serde_json::from_str(&word) {
            Ok(value) => Ok(Operand::Literal(value)),
            Err(_) => {
                self.position = start;
                self.fail("a path from '@', a quoted text, a number, true or false is expected")
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, JsonPathError> {
        self.position += 1;
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.position += 1;
            match next {
                next if next == quote => return Ok(text),
                '\\' => match self.peek() {
                    Some(escaped) => {
                        self.position += 1;
                        text.push(match escaped {
                            'n' => '\n',
                            't' => '\t',
                            'r' => '\r',
                            other => other,
                        });
                    }
                    None => break,
                },
                next => text.push(next),
            }
        }
        self.fail(format!("the closing {quote} is missing"))
    }
}

fn is_name_start(next: char) -> bool {
    next == '\\' || !(next.is_whitespace() || ".[]{}()=!<>,'\"*$|&?".contains(next))
}
