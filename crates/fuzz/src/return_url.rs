//! Return URLs.

use bookingq_identity::{ReturnOrigins, WebOrigin};

/// A return URL, held to a list of three origins.
///
/// # Panics
/// When an allowed URL is not kept to the byte, or a browser would go to another origin.
pub fn return_url(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let text = text.strip_suffix('\n').unwrap_or(text);
    let listed = ["https://pay.example", "https://[2001:db8::1]", "http://localhost:8080"];
    let origins = listed.iter().filter_map(|origin| WebOrigin::new(origin).ok()).collect();
    let Ok(url) = ReturnOrigins::new(origins).parse(text) else { return false };
    assert_eq!(url.as_str(), text);
    // `url` reads as browsers do.
    let seen = url::Url::parse(text).ok();
    let origin = seen.as_ref().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    assert!(listed.contains(&origin.as_str()), "{text} leads to {origin}");
    assert!(seen.is_some_and(|url| url.username().is_empty() && url.password().is_none()));
    true
}
