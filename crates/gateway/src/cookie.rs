//! The cookie that keeps a place in a browser.

use axum::http::HeaderValue;
use bookingq_core::QueueName;

use crate::auth::CookieStyle;
use crate::state::GatewayState;

/// `Set-Cookie` with the token of a place. `Lax`: a link from a mail or a bank's page finds the
/// place, and a form of another page does not use it.
pub fn set(state: &GatewayState, queue: &QueueName, token: &str) -> HeaderValue {
    let (name, age) = (state.cookies.name(queue), state.place_lifetime.as_secs());
    let secure = if state.cookies == CookieStyle::Secure { "; Secure" } else { "" };
    let text = format!("{name}={token}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}");
    // Tokens and queue names are ASCII.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
