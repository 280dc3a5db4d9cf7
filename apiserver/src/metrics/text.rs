//! From OpenMetrics to Prometheus' older text format: the samples are the same, what is said about them is not.

use std::fmt::Write as _;

/// Returns OpenMetrics text as Prometheus' text format 0.0.4: there a counter's family is called as its samples are,
/// with `_total`; an unknown type is `untyped`; and there are neither units nor an end mark.
pub(super) fn to_prometheus(text: &str) -> String {
    let mut converted = String::with_capacity(text.len());
    // The help of a family comes before its type.
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let kind = match kind {
                "unknown" => "untyped",
                "info" | "stateset" => "gauge",
                known => known,
            };
            // Writing to a String cannot fail.
            if let Some((_, text)) = help.take().filter(|(described, _)| *described == name) {
                let _ = writeln!(converted, "# HELP {name}{suffix} {text}");
            }
            let _ = writeln!(converted, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            converted.push_str(line);
            converted.push('\n');
        }
    }
    converted
}
