//! Tests of what goes to stdout.

use serde_json::{Value, json};

use super::table::{Style, Table, cell_text};
use super::{text, yaml};

fn render(width_max: Option<usize>, rows: &[&[&str]]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
    let (headings, rows) = rows.split_first().unwrap();
    Table::new(headings.clone(), Style { width_max, hides_empty: true, ..Style::default() }).render(rows)
}

#[test]
fn a_table_is_as_wide_as_its_content_when_nobody_looks_at_a_terminal() {
    let rows: &[&[&str]] = &[&["NAME", "N", "MESSAGE"], &["a", "1", &"long ".repeat(40)]];
    assert_eq!(render(None, rows), format!("NAME   N     MESSAGE\na      1     {}\n", "long ".repeat(40).trim_end()));
}

#[test]
fn a_table_fits_its_terminal_and_names_stay_whole() {
    let name = "a-name-that-people-copy";
    let rows: &[&[&str]] = &[
        &["NAMESPACE", "NAME", "EMPTY", "MESSAGE", "AGE"],
        &["default", name, "", "something rather long went wrong", "5m"],
    ];
    for width in [200, 100, 80, 60, 50] {
        let table = render(Some(width), rows);
        assert!(table.lines().all(|line| text::width(line) <= width), "{width}:\n{table}");
        assert!(table.contains(name), "{width}:\n{table}");
    }
    assert_eq!(
        render(Some(60), rows),
        "\
NAMESPACE NAME                    MESSAGE                AGE
default   a-name-that-people-copy something rather long… 5m
"
    );
}

#[test]
fn wide_characters_take_two_columns() {
    assert_eq!(render(None, &[&["A", "B"], &["日本", "x"], &["ab", "x"]]), "A      B\n日本   x\nab     x\n");
    assert_eq!(text::truncated("日本語", 4), "日…");
}

#[test]
fn nothing_that_the_server_says_moves_the_cursor() {
    assert_eq!(render(None, &[&["A"], &["\u{1b}[2Jx\r"]]), "A\n\u{fffd}[2Jx\u{fffd}\n");
}

#[test]
fn cells_show_the_first_line() {
    let cases =
        [(json!(null), ""), (json!("a\nb"), "a..."), (json!(1.5), "1.5"), (json!(true), "true"), (json!("a"), "a")];
    for (cell, shown) in cases {
        assert_eq!(cell_text(&cell), shown);
    }
}

#[test]
fn yaml_reads_back_as_what_it_was() {
    let tricky = [
        "",
        " ",
        "yes",
        "no",
        "on",
        "null",
        "~",
        "true",
        "1",
        "1.5",
        "1e3",
        "0x1f",
        "0o7",
        "12:30",
        "2026-01-02",
        "a: b",
        "a #b",
        "- a",
        "'",
        "\"",
        "\\",
        "a\nb",
        "a\n",
        "\na",
        " a\n  b\n",
        "a\n\n",
        "\t",
        "é",
        "🦀",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "[a",
        "|",
        ">",
        "?",
        ":",
        "-",
        "---",
        "...",
        "<<",
        "=",
        "a\rb",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "trailing ",
        "x: \"y\"",
    ];
    for text in tricky {
        let value = json!({"key": text, "list": [text, {text: text}], "nested": {"a": [], "b": {}, "c": null}});
        let written = yaml::to_string(&value);
        let read: Value = api_types::manifest::documents(&written).unwrap().remove(0).object;
        assert_eq!(read, value, "{text:?} was written as\n{written}");
    }
}

#[test]
fn bytes_have_units() {
    let cases = [(0.0, "0B"), (1023.0, "1023B"), (1024.0, "1Ki"), (1536.0, "1.5Ki"), (3_221_225_472.0, "3Gi")];
    for (count, shown) in cases {
        assert_eq!(text::bytes(count), shown);
    }
}
