//! Hostile and colourful lines.

use proptest::prelude::*;

use super::*;

#[test]
fn colours_become_classes_and_nothing_else_survives() {
    let cases = [
        ("plain", "plain"),
        ("\u{1b}[31mred\u{1b}[0m text", r#"<span class="f1">red</span> text"#),
        ("\u{1b}[1;38;5;196mhot", r#"<span class="f9 bo">hot</span>"#),
        ("\u{1b}[48;2;0;0;200mdeep", r#"<span class="b12">deep</span>"#),
        ("\u{1b}[7minverse", r#"<span class="f0 b7">inverse</span>"#),
        ("10%\r50%\r100%", "100%"),
        ("a\u{1b}[2Jb\u{1b}[10;10Hc", "abc"),
        ("\u{1b}]0;title\u{7}after", "after"),
        ("\u{1b}]8;;https://evil.example\u{1b}\\link", "link"),
        ("<b>&\"", "&lt;b&gt;&amp;&quot;"),
        ("cut \u{1b}[3", "cut "),
    ];
    for (line, html) in cases {
        assert_eq!(render(line).into_string(), html, "{line:?}");
    }
}

#[test]
fn long_lines_are_cut() {
    let shown = render(&"x".repeat(100_000)).into_string();
    assert!(shown.len() < 5000 && shown.contains("raw log"));
}

proptest! {
    #[test]
    fn whatever_comes_is_harmless(line in "[\\x00-\\x7f\u{9b}\u{202e}<>é]{0,80}") {
        let html = render(&line).into_string();
        let is_obeyed = |character: char| "\u{1b}\u{9b}\r".contains(character);
        prop_assert!(!html.contains(is_obeyed));
        let text = html.replace("</span>", "").replace("<span class=\"", "");
        prop_assert!(!text.contains('<'));
    }
}
