//! Badges: a recipe's level as a picture, and in the format of shields' endpoint.

use axum::body::Body;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::json;

use crate::answer::{Answer, raw};
use crate::index::RECIPES;
use crate::pages::row as pages_row;
use crate::route::{BadgeForm, Place};
use crate::view::safe::safe;
use crate::visit::{Visit, is_public};

/// Width of a character in the font that badges are drawn in, in tenths of a pixel.
const CHARACTER_WIDTH: usize = 68;
const GREY: &str = "#6b737c";

/// What a badge says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Badge {
    label: String,
    message: String,
    colour: &'static str,
    is_stale: bool,
}

/// Answers with the badge of a recipe.
pub(crate) fn answer(visit: &Visit, place: &Place, form: BadgeForm) -> Answer {
    let Some(recipe) = visit.index.recipes.get(place.key().as_str()) else { return unknown(place, form) };
    let row = pages_row(visit, recipe);
    let badge = match recipe.status.level {
        None => Badge { label: place.name.clone(), message: "unknown".to_owned(), colour: GREY, is_stale: false },
        Some(level) => {
            let is_stale = row.is_stale(visit);
            let old = if is_stale { ", old" } else { "" };
            let message = format!("level {level}{old}");
            Badge { label: place.name.clone(), message, colour: colour(level), is_stale }
        }
    };
    let mut answer = draw(200, &badge, form);
    let cache =
        if is_public(&visit.state, RECIPES, &place.namespace, "") { "public, max-age=60" } else { "no-store, private" };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

/// Answers for a recipe that is not there, and in the same way for one that the reader may not see.
pub(crate) fn unknown(place: &Place, form: BadgeForm) -> Answer {
    let badge = Badge { label: place.name.clone(), message: "unknown".to_owned(), colour: GREY, is_stale: false };
    draw(404, &badge, form)
}

fn colour(level: u8) -> &'static str {
    match level {
        0 => "#b3261e",
        1 => "#b1460f",
        2 => "#8f5a00",
        3 => "#6f6600",
        4 => "#3f7a1f",
        _ => "#1b7a3d",
    }
}

fn draw(code: u16, badge: &Badge, form: BadgeForm) -> Answer {
    match form {
        BadgeForm::Svg => raw(code, "image/svg+xml; charset=utf-8", Body::from(safe(svg(badge)))),
        BadgeForm::Json => {
            let document = json!({
                "schemaVersion": 1, "label": badge.label, "message": badge.message, "color": badge.colour,
            });
            raw(code, "application/json", Body::from(document.to_string()))
        }
    }
}

fn svg(badge: &Badge) -> String {
    let width = |text: &str| text.chars().count() * CHARACTER_WIDTH / 10 + 12;
    let (left, right) = (width(&badge.label), width(&badge.message));
    let (whole, opacity) = (left + right, if badge.is_stale { "0.65" } else { "1" });
    let (label, message) = (escape(&badge.label), escape(&badge.message));
    let (label_at, message_at) = (left / 2, left + right / 2);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{label}: {message}"><title>{label}: {message}</title><clipPath id="r"><rect width="{whole}" height="20" rx="4"/></clipPath><g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3b4248"/><rect x="{left}" width="{right}" height="20" fill="#3b4248"/><rect x="{left}" width="{right}" height="20" fill="{}" fill-opacity="{opacity}"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{label_at}" y="14">{label}</text><text x="{message_at}" y="14">{message}</text></g></svg>"##,
        badge.colour
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_says_level_and_age() {
        let badge = Badge {
            label: "next\"cloud".to_owned(),
            message: "level 4, old".to_owned(),
            colour: colour(4),
            is_stale: true,
        };
        let picture = svg(&badge);
        assert!(picture.contains("next&quot;cloud: level 4, old"));
        assert!(picture.contains("#3f7a1f") && picture.contains("fill-opacity=\"0.65\""));
        assert!(!picture.contains("<script"));
    }
}
