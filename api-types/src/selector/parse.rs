//! The grammar of label selectors, with the words in which Kubernetes refuses what breaks it.

use super::{Operator, Requirement, SelectorError};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Identifier(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    GreaterThan,
    LessThan,
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Identifier(text) => text,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::GreaterThan => ">",
            Self::LessThan => "<",
            Self::End => "",
        }
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text).into_iter().peekable() };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::Identifier(_) | Token::Not => {}
            Token::End => return Ok(requirements),
            other => return expected(&other, "!, identifier, or 'end of string'"),
        }
        let requirement =
            parser.requirement().map_err(|why| SelectorError(format!("unable to parse requirement: {why}")))?;
        requirements.push(requirement);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Comma => match parser.peek() {
                Token::Identifier(_) | Token::Not => {}
                other => return expected(&other, "identifier after ','"),
            },
            other => return expected(&other, "',' or 'end of string'"),
        }
    }
}

impl Parser {
    fn peek(&mut self) -> Token {
        self.tokens.peek().cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        self.tokens.next().unwrap_or(Token::End)
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut first = self.next();
        let is_negated = first == Token::Not;
        if is_negated {
            first = self.next();
        }
        let key = match first {
            Token::Identifier(key) => key,
            other => return expected(&other, "identifier"),
        };
        if is_negated {
            return Requirement::new(&key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Requirement::new(&key, Operator::Exists, Vec::new());
        }
        let operator = match self.next() {
            Token::Equals | Token::DoubleEquals => Operator::Equals,
            Token::NotEquals => Operator::NotEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            Token::Identifier(word) if word == "in" => Operator::In,
            Token::Identifier(word) if word == "notin" => Operator::NotIn,
            other => return expected(&other, "in, notin, =, ==, !=, gt, lt"),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.value_list()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(&key, operator, values)
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Identifier(value) => Ok(value),
            other => expected(&other, "identifier"),
        }
    }

    /// Parses `(a,b)`; an empty place between commas is the empty value.
    fn value_list(&mut self) -> Result<Vec<String>, SelectorError> {
        let open = self.next();
        if open != Token::Open {
            return Err(SelectorError(format!("found '{}' expected: '('", open.text())));
        }
        let mut values = Vec::new();
        if self.peek() == Token::Close {
            self.next();
            return Ok(values);
        }
        loop {
            match self.peek() {
                Token::Identifier(value) => {
                    self.next();
                    values.push(value);
                }
                Token::Comma | Token::Close => values.push(String::new()),
                other => return expected(&other, "',', ')' or identifier"),
            }
            match self.next() {
                Token::Comma => {}
                Token::Close => return Ok(values),
                other => return expected(&other, "',' or ')'"),
            }
        }
    }
}

fn expected<T>(found: &Token, what: &str) -> Result<T, SelectorError> {
    Err(SelectorError(format!("found '{}', expected: {what}", found.text())))
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        let token = match first {
            first if first.is_ascii_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::GreaterThan,
            '<' => Token::LessThan,
            '!' if rest.next_if_eq(&'=').is_some() => Token::NotEquals,
            '!' => Token::Not,
            '=' if rest.next_if_eq(&'=').is_some() => Token::DoubleEquals,
            '=' => Token::Equals,
            first => {
                let mut word = String::from(first);
                while let Some(next) = rest.next_if(|next| !next.is_ascii_whitespace() && !",()><!=".contains(*next)) {
                    word.push(next);
                }
                Token::Identifier(word)
            }
        };
        tokens.push(token);
    }
    tokens
}
