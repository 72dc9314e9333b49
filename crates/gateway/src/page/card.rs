//! The part of the page that differs between two clients: languages, the state of the place, forms.

use std::fmt::Write as _;

use bookingq_serve::html::escape;
use serde_json::json;

use super::request::PageRequest;
use super::settings::PageSettings;
use super::strings::{Language, Strings};
use super::template::{Values, hidden_field, json_in_script};
use super::text;
use super::view::{PageState, has};
use crate::place_json::{ChanceJson, to_json};

const TEMPLATE: &str = include_str!("../../page/dynamic.html");

/// What is shown ends this much before the deadline, because a payment takes time to arrive.
const MARGIN: u64 = 2000;

/// Renders it.
pub(super) fn render(
    page: &PageSettings,
    strings: &Strings,
    request: &PageRequest,
    state: &PageState<'_>,
) -> String {
    let view = state.view();
    let mut values = Values::default();
    values
        .html("view", view)
        .text("h", strings.get(&format!("{view}.h")))
        .text("p", &lead(strings, view, state))
        .text("what", &what(page, request, state))
        .html("base", page.base.as_str())
        .text("query", &request.query.text())
        .html("languages", languages(request))
        .text("text", page.brand.text.as_deref().unwrap_or_default())
        .html("key", request.key.as_str())
        .html("now", json_in_script(&now(request, state)));
    big(&mut values, strings, view, state);
    facts(&mut values, strings, view, state);
    actions(&mut values, page, strings, view, request, state);
    if let Some(refusal) = state.refusal {
        values.text("note", &strings.with("error", &[("reason", refusal)]));
    }
    values.fill(TEMPLATE, strings)
}

fn lead(strings: &Strings, view: &str, state: &PageState<'_>) -> String {
    if view == "notOpen" && state.place.is_some() {
        return strings.get("notOpen.in").to_owned();
    }
    let time = deadline(state).map(|at| text::moment(bookingq_core::Timestamp(at)));
    strings.with(&format!("{view}.p"), &[("time", time.as_deref().unwrap_or_default())])
}

/// The shown end of the hold, in milliseconds.
fn deadline(state: &PageState<'_>) -> Option<u64> {
    let deadline = text::parse_moment(state.place?.deadline.as_deref()?)?;
    Some(deadline.0.saturating_sub(MARGIN))
}

/// `Stalls × 2`: what is booked, or would be.
fn what(page: &PageSettings, request: &PageRequest, state: &PageState<'_>) -> String {
    let wanted = request.query.item.as_deref().unwrap_or_default();
    let (name, quantity) = match state.place {
        Some(place) => (place.item.name.as_str(), place.quantity),
        None => (wanted, request.quantity()),
    };
    let offered = page.items.iter().find(|item| item.name == name);
    let title = offered.map_or(name, |item| &item.title);
    match quantity {
        _ if title.is_empty() => String::new(),
        0 | 1 => title.to_owned(),
        more => format!("{title} × {more}"),
    }
}

fn languages(request: &PageRequest) -> String {
    let mut html = String::new();
    for language in Language::all() {
        let (code, query) = (language.code(), request.query.in_language(language));
        let name = language.name();
        let current = if language == request.language { " aria-current=\"true\"" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            html,
            r#"<li><a href="{}" lang="{code}" hreflang="{code}"{current}>{name}</a></li>"#,
            escape(&query),
        );
    }
    html
}

/// The large number: the time left, the time until the sale opens, or the position.
fn big(values: &mut Values, strings: &Strings, view: &str, state: &PageState<'_>) {
    if !has(view, "big") {
        return;
    }
    let opens = state.queue.and_then(|queue| queue.opens_at);
    let position = state.place.and_then(|place| place.position);
    let (label, number, below) = match (view, opens, position) {
        ("turn", ..) => {
            let left = deadline(state).unwrap_or_default().saturating_sub(state.now.0);
            ("timeLeft", text::countdown(left), String::new())
        }
        ("notOpen", Some(opens), _) => {
            let time = text::moment(opens);
            let left = opens.0.saturating_sub(state.now.0);
            ("opensIn", text::countdown(left), strings.with("at", &[("time", &time)]))
        }
        (.., Some(position)) => ("position", strings.number(position), String::new()),
        _ => return,
    };
    let long = if number.chars().count() > 6 { " long" } else { "" };
    values
        .text("biglabel", strings.get(label))
        .text("big", &number)
        .text("bigsub", &below)
        .html("long", long);
}

fn facts(values: &mut Values, strings: &Strings, view: &str, state: &PageState<'_>) {
    let wait = match (state.place, state.queue) {
        (Some(place), _) => Some(text::wait(strings, place.wait, place.wait_unknown)),
        (None, Some(queue)) => queue.wait.map(|wait| text::wait(strings, Some(wait), None)),
        (None, None) => None,
    };
    let number = |count: u64| (count > 0).then(|| strings.number(count));
    let chance = |chance| match chance {
        ChanceJson::Likely => strings.get("likely").to_owned(),
        ChanceJson::Uncertain => strings.get("uncertain").to_owned(),
        ChanceJson::Unlikely => strings.get("unlikely").to_owned(),
    };
    let facts = [
        ("wait", wait),
        ("line", state.queue.and_then(|queue| number(queue.waiting))),
        ("unsettled", state.place.and_then(|place| number(place.item.unsettled))),
        ("chance", state.place.and_then(|place| place.chance).map(chance)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact.filter(|_| has(view, name)) {
            values.text(name, &fact).html("facts", "shown");
        }
    }
    if let Some(place) = state.place.filter(|place| has(view, "reason") && !place.reason.is_empty())
    {
        values.text("reason", &strings.with("reason", &[("reason", &place.reason)]));
    }
}

/// Which forms are shown, and their fields.
fn actions(
    values: &mut Values,
    page: &PageSettings,
    strings: &Strings,
    view: &str,
    request: &PageRequest,
    state: &PageState<'_>,
) {
    let placed = state.place.is_some();
    let first = matches!(view, "join" | "notOpen");
    for part in ["spin", "continue", "update"] {
        if has(view, part) {
            values.html(part, "shown");
        }
    }
    if has(view, "join") && !(view == "notOpen" && placed) {
        values.html("join", "shown");
    }
    if has(view, "leave") && placed {
        values.html("leave", "shown");
    }
    values
        .text("joinLabel", strings.get(if first { "b.join" } else { "b.again" }))
        .html("fields", join_fields(page, strings, request))
        .html(
            "queryFields",
            request.query.hidden_fields(&["lang", "item", "quantity", "returnUrl"]),
        );
    if let Some(home) = &page.brand.home {
        let hidden = if has(view, "home") { "" } else { " hidden" };
        let (home, back) = (escape(home), escape(strings.get("b.home")));
        values.html(
            "home",
            format!(r#"<p id="home"{hidden}><a class="button" href="{home}">{back}</a></p>"#),
        );
    }
}

/// What to book: as the address says, else a choice among the offered items.
fn join_fields(page: &PageSettings, strings: &Strings, request: &PageRequest) -> String {
    let mut html = request.query.hidden_fields(&["returnUrl"]);
    if request.query.item.is_some() || page.items.is_empty() {
        html += &request.query.hidden_fields(&["item", "quantity"]);
        return html;
    }
    let mut options = String::new();
    for item in &page.items {
        let (name, title) = (escape(&item.name), escape(&item.title));
        let _ = write!(options, r#"<option value="{name}">{title}</option>"#);
    }
    let most = page.items.iter().map(|item| item.max_quantity).max().unwrap_or(1);
    let (item, quantity) = (escape(strings.get("item")), escape(strings.get("quantity")));
    let _ = write!(
        html,
        r#"<div class="fields"><label>{item}<select name="item">{options}</select></label>"#
    );
    if most > 1 {
        let _ = write!(
            html,
            r#"<label>{quantity}<input type="number" name="quantity" min="1" max="{most}" value="{}" required></label>"#,
            request.quantity(),
        );
    } else {
        hidden_field(&mut html, "quantity", "1");
    }
    html + "</div>"
}

/// The state for the script.
fn now(request: &PageRequest, state: &PageState<'_>) -> String {
    let raw = |json: &str| serde_json::value::RawValue::from_string(json.to_owned()).ok();
    let wanted = request
        .query
        .item
        .as_deref()
        .map(|item| json!({"item": {"name": item}, "quantity": request.quantity()}));
    to_json(&json!({
        "queue": state.queue.and_then(|queue| raw(&queue.json)),
        "place": state.place,
        "unknown": state.unknown,
        "named": state.named,
        "wanted": wanted,
    }))
}
