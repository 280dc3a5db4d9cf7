//! Rules of Traefik's routers: whether one can only match requests to certain hosts.

/// Deepest nesting of parentheses that is read.
const DEPTH_MAX: usize = 32;

/// Returns whether a rule matches no other requests than those to hosts that `is_ours` takes. A rule that cannot be
/// read matches anything.
pub(super) fn is_for(rule: &str, is_ours: &dyn Fn(&str) -> bool) -> bool {
    let mut reader = Reader { rest: rule, is_ours, depth: 0 };
    let outcome = reader.any();
    reader.blanks();
    outcome.unwrap_or(false) && reader.rest.is_empty()
}

struct Reader<'a> {
    rest: &'a str,
    is_ours: &'a dyn Fn(&str) -> bool,
    depth: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, word: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `a || b`: bound when both are.
    fn any(&mut self) -> Option<bool> {
        let mut bound = self.all()?;
        while self.eat("||") {
            bound &= self.all()?;
        }
        Some(bound)
    }

    /// `a && b`: bound when one is.
    fn all(&mut self) -> Option<bool> {
        let mut bound = self.one()?;
        while self.eat("&&") {
            bound |= self.one()?;
        }
        Some(bound)
    }

    fn one(&mut self) -> Option<bool> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let bound = if self.eat("!") {
            self.one()?;
            // What does not match one host matches all others.
            false
        } else if self.eat("(") {
            let bound = self.any()?;
            if !self.eat(")") {
                return None;
            }
            bound
        } else {
            self.matcher()?
        };
        self.depth -= 1;
        Some(bound)
    }

    /// ``Host(`a`, `b`)`` and the like.
    fn matcher(&mut self) -> Option<bool> {
        self.blanks();
        let end = self.rest.find(|letter: char| !letter.is_ascii_alphanumeric())?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name.is_empty() || !self.eat("(") {
            return None;
        }
        let mut arguments = Vec::new();
        loop {
            self.blanks();
            let quote = self.rest.chars().next().filter(|quote| matches!(quote, '`' | '"' | '\''))?;
            let inner = &self.rest[1..];
            let end = inner.find(quote)?;
            if inner[..end].contains('\\') {
                return None;
            }
            arguments.push(&inner[..end]);
            self.rest = &inner[end + 1..];
            if self.eat(")") {
                break;
            }
            if !self.eat(",") {
                return None;
            }
        }
        let is_host = name.eq_ignore_ascii_case("host");
        Some(is_host && !arguments.is_empty() && arguments.iter().all(|host| (self.is_ours)(host)))
    }
}
