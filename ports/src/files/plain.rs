//! Text for people and terminals, from whatever a program writes: no escape sequences, no control characters, UTF-8.

/// Returns one line as it would look on a terminal without colours.
///
/// Escape sequences go, of what a carriage return overwrites only the last part stays, other control characters but the
/// tab go, and bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = strip_sequences(text.trim_end_matches(['\r', '\n']));
    let visible = text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    visible.chars().filter(|character| *character == '\t' || !character.is_control()).collect()
}

/// Returns text of several lines without escape sequences and control characters.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut clean = String::with_capacity(bytes.len());
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        clean.push_str(&line(piece));
        if piece.ends_with(b"\n") {
            clean.push('\n');
        }
    }
    clean
}

/// Removes ESC sequences: CSI (`ESC [ … letter`), OSC and other strings (`ESC ] … BEL` or `ESC \`), and two-byte ones.
fn strip_sequences(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut rest),
            // The one-character form of `ESC [`.
            '\u{9b}' => skip_control(&mut rest),
            other => clean.push(other),
        }
    }
    clean
}

fn skip_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.next() {
        Some('[') => skip_control(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(character) = rest.next() {
                if character == '\u{7}' || (character == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        // Character sets have one more.
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_control(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while rest.next_if(|character| ('\u{20}'..='\u{3f}').contains(character)).is_some() {}
    rest.next_if(|character| ('\u{40}'..='\u{7e}').contains(character));
}
