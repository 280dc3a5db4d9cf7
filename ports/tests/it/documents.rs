//! The tables of `docs/recipes.md` are what the rules say. `UPDATE_DOCS=1` writes them.

use std::fmt::Write as _;
use std::path::Path;

use ports::compose::policy;
use ports::recipe::lint;

fn policy_table() -> String {
    let mut table = String::from(
        "| rule | about | why | what happens | permitted by | maintainers are warned |\n|---|---|---|---|---|---|\n",
    );
    for rule in policy::RULES {
        let permission =
            if rule.permission.is_empty() { "nothing".to_owned() } else { format!("`{}`", rule.permission) };
        let warned = if rule.warns_trusted { "yes" } else { "no" };
        let verdict = rule.verdict.word();
        writeln!(table, "| `{}` | {} | {} | {verdict} | {permission} | {warned} |", rule.id, rule.about, rule.why)
            .expect("a string takes all");
    }
    table
}

fn lint_table() -> String {
    let mut table = String::from("| rule | severity | what should be | what to do |\n|---|---|---|---|\n");
    for rule in lint::RULES {
        let (id, severity) = (rule.id, rule.severity.word());
        writeln!(table, "| {id} | {severity} | {} | {} |", rule.should, rule.fix).expect("a string takes all");
    }
    table
}

#[test]
#[expect(clippy::disallowed_methods, reason = "UPDATE_DOCS is how a person asks for the documents to be written")]
fn the_tables_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes.md");
    let written = std::fs::read_to_string(&path).expect("docs/recipes.md is there");
    let mut wanted = written.clone();
    for (name, table) in [("policy", policy_table()), ("lint", lint_table())] {
        let start_mark = format!("<!-- table: {name} -->\n");
        let start = wanted.find(&start_mark).expect("the table has a mark") + start_mark.len();
        let end = start + wanted[start..].find("<!-- end -->").expect("the table has an end");
        wanted.replace_range(start..end, &table);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("docs/recipes.md can be written");
    }
    let stale = "docs/recipes.md is stale: UPDATE_DOCS=1 cargo nextest run -p ports documents";
    assert_eq!(std::fs::read_to_string(&path).expect("docs/recipes.md is there"), wanted, "{stale}");
}
