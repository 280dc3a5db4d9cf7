//! [`Redacted`]: a filter that holds back only what may be the beginning of a secret.

use super::{MASK, Redactor};

/// Takes secrets out of something that comes in pieces.
#[derive(Debug)]
pub struct Redacted {
    redactor: Redactor,
    /// What was held back.
    pub(super) held: Vec<u8>,
    /// How many bytes of it are part of a secret whose mask is written already.
    masked: usize,
}

impl Redacted {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, held: Vec::new(), masked: 0 }
    }

    /// Takes the next piece and returns what can go on.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let pending = self.redactor.patterns().pending(&self.held);
        self.release(self.held.len() - pending)
    }

    /// Returns what was held back: nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(self.held.len())
    }

    /// Lets go of everything before `until`. Every secret that is not complete yet begins there or later.
    fn release(&mut self, until: usize) -> Vec<u8> {
        let mut clean = Vec::with_capacity(until);
        let (mut at, mut masked_until) = (0, self.masked);
        for range in self.redactor.patterns().matches(&self.held) {
            if range.start >= until && range.start >= masked_until {
                break;
            }
            if range.start < masked_until {
                // It overlaps what is masked already.
                masked_until = masked_until.max(range.end);
                continue;
            }
            at = at.max(masked_until);
            clean.extend_from_slice(&self.held[at..range.start]);
            clean.extend_from_slice(MASK.as_bytes());
            masked_until = range.end;
        }
        at = at.max(masked_until);
        if at < until {
            clean.extend_from_slice(&self.held[at..until]);
        }
        self.held.drain(..until);
        self.masked = masked_until.saturating_sub(until);
        clean
    }
}
