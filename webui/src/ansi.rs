//! Lines of logs for people: colours become classes, everything else that a terminal would obey is dropped.

use maud::{Markup, html};

#[cfg(test)]
mod tests;

/// Longest line that is shown; the raw log has the rest.
const CHARACTERS_MAX: usize = 4000;

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    foreground: Option<u8>,
    background: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    inverse: bool,
}

impl Look {
    fn classes(self) -> String {
        let (mut foreground, mut background) = (self.foreground, self.background);
        if self.inverse {
            (foreground, background) = (background.or(Some(0)), foreground.or(Some(7)));
        }
        let mut classes = Vec::new();
        classes.extend(foreground.map(|colour| format!("f{colour}")));
        classes.extend(background.map(|colour| format!("b{colour}")));
        for (is_set, class) in [(self.bold, "bo"), (self.dim, "di"), (self.italic, "it"), (self.underlined, "un")] {
            if is_set {
                classes.push(class.to_owned());
            }
        }
        classes.join(" ")
    }
}

/// Returns a line as HTML.
pub(crate) fn render(line: &str) -> Markup {
    html! {
        @for (look, text) in pieces(line) {
            @if look == Look::default() { (text) } @else { span class=(look.classes()) { (text) } }
        }
    }
}

/// Returns a line without anything that only terminals obey, for searching.
pub(crate) fn plain(line: &str) -> String {
    pieces(line).into_iter().map(|(_, text)| text).collect()
}

fn pieces(line: &str) -> Vec<(Look, String)> {
    // What stands before a carriage return was overwritten on a terminal: progress bars do that.
    let shown = line.trim_end_matches('\r').rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    let mut pieces: Vec<(Look, String)> = Vec::new();
    let mut look = Look::default();
    let mut count = 0;
    let mut rest = shown.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            escape(&mut rest, &mut look);
            continue;
        }
        if character == '\u{9b}' {
            control_sequence(&mut rest, &mut look);
            continue;
        }
        count += 1;
        if count > CHARACTERS_MAX {
            pieces.push((Look { dim: true, ..Look::default() }, " … (the raw log has the rest)".to_owned()));
            break;
        }
        match pieces.last_mut() {
            Some((last, text)) if *last == look => text.push(character),
            _ => pieces.push((look, character.to_string())),
        }
    }
    pieces
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads what follows an escape character.
fn escape(rest: &mut Characters<'_>, look: &mut Look) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            control_sequence(rest, look);
        }
        // Titles, links, clipboard and the like: up to BEL or ESC \.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(character) = rest.next() {
                if character == '\u{7}' || character == '\u{9c}' {
                    break;
                }
                if character == '\u{1b}' {
                    rest.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | '%') => {
            rest.next();
            rest.next();
        }
        Some(_) => drop(rest.next()),
        None => {}
    }
}

/// Reads a control sequence up to its last character; only `m` (colours) means something here.
fn control_sequence(rest: &mut Characters<'_>, look: &mut Look) {
    let mut parameters = String::new();
    while let Some(character) = rest.peek().copied() {
        // A sequence that is broken off ends where text begins again.
        if !('\u{20}'..='\u{7e}').contains(&character) {
            return;
        }
        rest.next();
        if ('\u{40}'..='\u{7e}').contains(&character) {
            if character == 'm' && parameters.bytes().all(|byte| byte.is_ascii_digit() || b";:".contains(&byte)) {
                select(&parameters, look);
            }
            return;
        }
        parameters.push(character);
    }
}

fn select(parameters: &str, look: &mut Look) {
    let mut numbers = parameters.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => *look = Look::default(),
            1 => look.bold = true,
            2 => look.dim = true,
            3 => look.italic = true,
            4 => look.underlined = true,
            7 => look.inverse = true,
            22 => (look.bold, look.dim) = (false, false),
            23 => look.italic = false,
            24 => look.underlined = false,
            27 => look.inverse = false,
            30..=37 => look.foreground = u8::try_from(number - 30).ok(),
            38 => look.foreground = extended(&mut numbers),
            39 => look.foreground = None,
            40..=47 => look.background = u8::try_from(number - 40).ok(),
            48 => look.background = extended(&mut numbers),
            49 => look.background = None,
            90..=97 => look.foreground = u8::try_from(number - 82).ok(),
            100..=107 => look.background = u8::try_from(number - 92).ok(),
            _ => {}
        }
    }
}

/// Reads a colour of 256 or of 16 million, and returns the nearest of the sixteen.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => match numbers.next()? {
            plain @ 0..=15 => u8::try_from(plain).ok(),
            cube @ 16..=231 => {
                let steps = cube - 16;
                Some(nearest(steps / 36 * 51, steps / 6 % 6 * 51, steps % 6 * 51))
            }
            grey => {
                let light = (grey.min(255) - 232) * 10 + 8;
                Some(nearest(light, light, light))
            }
        },
        2 => Some(nearest(numbers.next()?, numbers.next()?, numbers.next()?)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let most = red.max(green).max(blue);
    if most < 64 {
        return 0;
    }
    let is_on = |part: u16| u8::from(part > most / 2);
    let colour = is_on(red) | is_on(green) << 1 | is_on(blue) << 2;
    if most > 191 { colour + 8 } else { colour }
}
