//! Small pictures, drawn with attributes only: the security policy allows no style in elements.

use api_types::kinds::test_run::RungStatus;
use maud::{Markup, html};

use super::words;
use crate::index::{RUNGS, RunSummary};

/// Returns the five rungs of a run as five small squares.
pub(crate) fn rungs(run: &RunSummary) -> Markup {
    let words: Vec<String> = RUNGS
        .iter()
        .zip(run.rungs)
        .map(|((_, name), rung)| format!("{name} {}", rung.map_or("not yet", |rung| words::rung(rung.status).1)))
        .collect();
    html! {
        svg.rungs width="78" height="14" viewBox="0 0 78 14" role="img" aria-label=(words.join(", ")) {
            @for (at, rung) in run.rungs.iter().enumerate() {
                @let class = match rung {
                    Some(rung) if run.is_finished() || rung.status != RungStatus::Unverified => words::rung(rung.status).0.class(),
                    Some(rung) if rung.began => "busy",
                    _ => "none",
                };
                rect class=(class) x=(at * 16) y="0" width="13" height="14" rx="3" {}
            }
        }
    }
}

/// Returns the levels of the last runs, oldest first, as bars.
pub(crate) fn trend(runs: &[&RunSummary]) -> Markup {
    let levels: Vec<String> =
        runs.iter().map(|run| run.level.map_or("–".to_owned(), |level| level.to_string())).collect();
    html! {
        @if runs.is_empty() {
            span.muted { "–" }
        } @else {
            svg.trend width=(runs.len() * 7) height="20" viewBox=(format!("0 0 {} 20", runs.len() * 7)) role="img"
                aria-label=(format!("levels of the last runs, oldest first: {}", levels.join(", "))) {
                @for (at, run) in runs.iter().enumerate() {
                    @let height = 2 + u32::from(run.level.unwrap_or(0)) * 18 / 5;
                    rect class=(words::phase(run.phase).0.class()) x=(at * 7) y=(20 - height) width="5" height=(height) rx="1" {}
                }
            }
        }
    }
}

/// Returns a bar from one share of the whole to another, both in per mille, with a mark for what is usual.
pub(crate) fn span(class: &str, from: i64, to: i64, usual: Option<i64>) -> Markup {
    let share = |per_mille: i64| {
        let per_mille = per_mille.clamp(0, 1000);
        format!("{}.{}%", per_mille / 10, per_mille % 10)
    };
    let width = (to - from).clamp(6, 1000);
    html! {
        svg.span width="100%" height="10" aria-hidden="true" {
            rect.track x="0" y="4" width="100%" height="2" rx="1" {}
            rect class=(class) x=(share(from)) y="1" width=(share(width)) height="8" rx="3" {}
            @if let Some(usual) = usual { rect.usual x=(share(from + usual)) y="0" width="2" height="10" {} }
        }
    }
}

/// Returns how much of something is used, in per mille, with a word for those who do not see it.
pub(crate) fn gauge(used: i64, is_tight: bool, label: &str) -> Markup {
    let used = used.clamp(0, 1000);
    html! {
        svg.gauge width="100%" height="8" role="img" aria-label=(label) {
            rect.track x="0" y="0" width="100%" height="8" rx="4" {}
            rect class=(if is_tight { "bad" } else { "fill" }) x="0" y="0" width=(format!("{}.{}%", used / 10, used % 10)) height="8" rx="4" {}
        }
    }
}
