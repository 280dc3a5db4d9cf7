//! Nonsense that is nearly sense: inputs that a parser takes, cut, doubled, spliced and littered with what hurts.

use crate::seed::Random;

/// Longest input that is made, in bytes.
const BYTES_MAX: usize = 16 * 1024;
/// What has hurt parsers before.
const TOKENS: [&[u8]; 44] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\"",
    b"'",
    b"\\",
    b"/",
    b":",
    b",",
    b"-",
    b"- ",
    b"\n",
    b"\n---\n",
    b"\t",
    b"\0",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"%",
    b"%00",
    b"%ff",
    b"..",
    b"~1",
    b"~0",
    b"$patch",
    b"metadata",
    b"\xff",
    b"\xc3\x28",
    "\u{202e}".as_bytes(),
    "é".as_bytes(),
    b"1e999",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"\\ud800",
    b"@.",
    b"==",
];

/// Makes inputs out of others.
pub struct Mutator {
    random: Random,
}

impl Mutator {
    /// Returns a mutator that replays what `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }

    /// Returns a new input made of one or two of `corpus`, which must not be empty.
    pub fn next_input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).clone();
        // Mostly small changes: what is quite broken is refused at the first byte.
        for _ in 0..=self.random.below(4) {
            self.change(&mut input, corpus);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.random.below(choices.len() as u64);
        &choices[usize::try_from(index).expect("below the length of a slice")]
    }

    /// Returns a position from 0 to `end`.
    fn position(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64 + 1)).expect("at most the length of a slice")
    }

    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let (one, other) = (self.position(input.len()), self.position(input.len()));
        one.min(other)..one.max(other)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.position(input.len());
        match self.random.below(9) {
            0 => {
                let bit = self.random.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let range = self.range(input);
                input.drain(range);
            }
            2 => {
                let part = input[self.range(input)].to_vec();
                input.splice(at..at, part);
            }
            3 => {
                let other = self.pick(corpus).clone();
                let part = other[self.range(&other)].to_vec();
                input.splice(at..at, part);
            }
            4 => {
                let token = *self.pick(&TOKENS);
                input.splice(at..at, token.iter().copied());
            }
            5 => {
                let token = *self.pick(&TOKENS);
                let range = self.range(input);
                input.splice(range, token.iter().copied());
            }
            6 => {
                let times = 1 << self.random.below(11);
                let token = self.pick(&TOKENS).repeat(times);
                input.splice(at..at, token);
            }
            7 => {
                let byte = u8::try_from(self.random.below(256)).expect("below 256");
                input.insert(at, byte);
            }
            _ => input.truncate(at),
        }
    }
}
