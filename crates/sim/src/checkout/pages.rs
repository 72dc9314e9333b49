//! The pages of the demo checkout.

use std::fmt::Write as _;

use bookingq_core::Timestamp;
use bookingq_identity::PassClaims;
use bookingq_serve::html::escape;

/// Their style.
pub(super) const STYLE: &str = include_str!("../../checkout/checkout.css");
/// Counts the time left down.
pub(super) const SCRIPT: &str = include_str!("../../checkout/checkout.js");

/// What is shown ends this much before the pass does, because a payment takes time to arrive.
const MARGIN: u64 = 2000;

/// The page for clients without a pass.
pub(super) fn about(queue_page: &str) -> String {
    let text = "This is a demo of a seller's checkout. You come here with a pass from the waiting \
                room, when it is your turn.";
    let body = format!("<h1>Demo checkout</h1><p>{text}</p>{}", back(queue_page, "To the queue"));
    page("Demo checkout", "", &body)
}

/// What is reserved, the time left, and the button.
pub(super) fn pay(claims: &PassClaims, pass: &str, now: Timestamp, queue_page: &str) -> String {
    let left = claims.expires_at.0.saturating_sub(now.0 + MARGIN) / 1000;
    let body = format!(
        r#"<h1>Pay for your booking</h1>
{facts}
<p class="left">Time left <strong id="left" data-seconds="{left}" role="timer">{minutes}:{seconds:02}</strong></p>
<p id="over" role="alert" hidden>The time to pay is over.</p>
<form id="pay" method="post" action="/{queue}/pay"><input type="hidden" name="pass" value="{pass}">
<button class="primary">Pay now</button></form>
<p class="small">Nothing is charged: this is a demo.</p>
{back}"#,
        facts = facts(claims),
        minutes = left / 60,
        seconds = left % 60,
        queue = escape(claims.queue.as_str()),
        pass = escape(pass),
        back = back(queue_page, "Back to the queue"),
    );
    page("Pay", "", &body)
}

/// The booking is paid.
pub(super) fn paid(claims: &PassClaims, queue_page: &str) -> String {
    let body = format!(
        "<h1>Paid. Thank you!</h1>{}<p>The queue's page shows the confirmation.</p>{}",
        facts(claims),
        back(queue_page, "Back to the queue"),
    );
    page("Paid", "good", &body)
}

/// The payment, or the pass, is refused.
pub(super) fn refused(title: &str, detail: &str, queue_page: &str) -> String {
    let body = format!(
        "<h1>{}</h1><p>{}</p><p>Nothing was charged.</p>{}",
        escape(title),
        escape(detail),
        back(queue_page, "Back to the queue"),
    );
    page("Not paid", "bad", &body)
}

/// There was no answer; the same payment may be sent again.
pub(super) fn unknown(
    problem: &str,
    claims: &PassClaims,
    pass: &str,
    now: Timestamp,
    queue_page: &str,
) -> String {
    let note = format!(
        r#"<p class="note" role="alert">We do not know yet whether it worked ({}). Pay again: you are charged once.</p><h1>"#,
        escape(problem)
    );
    pay(claims, pass, now, queue_page).replacen("<h1>", &note, 1)
}

fn facts(claims: &PassClaims) -> String {
    let mut facts = String::from("<dl>");
    let quantity = claims.quantity.get().to_string();
    let item = if claims.item.is_empty() { claims.queue.as_str() } else { &claims.item };
    let rows =
        [("Item", item), ("Quantity", &quantity), ("Reservation", claims.reservation.as_str())];
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = write!(facts, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    }
    facts + "</dl>"
}

fn back(queue_page: &str, text: &str) -> String {
    format!(r#"<p><a href="{}">{text}</a></p>"#, escape(queue_page))
}

fn page(title: &str, class: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title} · Demo checkout</title>
<link rel="stylesheet" href="/assets/checkout.css">
<script src="/assets/checkout.js" defer></script>
</head>
<body>
<main class="card {class}">
{body}
</main>
</body>
</html>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let html = refused("<b>", "\"'&", "http://a/?<");
        assert!(html.contains("<h1>&lt;b&gt;</h1><p>&quot;&#39;&amp;</p>"), "{html}");
        assert!(html.contains("href=\"http://a/?&lt;\""), "{html}");
    }
}
