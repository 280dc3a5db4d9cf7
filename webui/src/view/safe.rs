//! The last look at a page: characters that would hide or turn around what others wrote become readable.
//!
//! Templates escape HTML. What remains are characters without a face: controls, and those that change the direction of
//! text. Our own texts have none, so the whole page is looked at, once, and nothing can be forgotten.

use std::fmt::Write as _;

/// Returns whether a character has no business on a page.
fn is_faceless(character: char) -> bool {
    matches!(character,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\r' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}'
        | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the page with such characters named instead.
pub(crate) fn safe(html: String) -> String {
    if !html.chars().any(is_faceless) {
        return html;
    }
    let mut out = String::with_capacity(html.len() + 64);
    for character in html.chars() {
        if is_faceless(character) {
            write!(out, "[U+{:04X}]", u32::from(character)).expect("writing to a String cannot fail");
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_named() {
        assert_eq!(safe("main\u{202e}gnp.exe".to_owned()), "main[U+202E]gnp.exe");
        assert_eq!(safe("a\u{1b}[31mb\0".to_owned()), "a[U+001B][31mb[U+0000]");
        assert_eq!(
            safe("tabs\tand\nlines, 日本, 👩\u{200d}🌾 and עברית stay".to_owned()),
            "tabs\tand\nlines, 日本, 👩\u{200d}🌾 and עברית stay"
        );
    }
}
