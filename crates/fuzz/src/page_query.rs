//! The query of the page.

use axum::extract::Query;
use axum::http::Uri;
use bookingq_gateway::page::PageAddress;

/// A line with the query, and one with Accept-Language.
///
/// # Panics
/// When the page's links do not lead to what was asked, or are no text of a URL.
pub fn page_query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (query, accepted) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(uri) = format!("/q/concert?{query}").parse::<Uri>() else { return false };
    let Ok(Query(asked)) = Query::<PageAddress>::try_from_uri(&uri) else { return false };
    let language = asked.language(accepted.trim_end());
    assert!(!language.code().is_empty());
    let link = format!("/q/concert{}", asked.text());
    let safe = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte);
    assert!(link.bytes().all(safe), "{link}");
    let again = link.parse::<Uri>().ok().and_then(|uri| Query::try_from_uri(&uri).ok());
    assert_eq!(again.map(|Query(again)| again), Some(asked), "{link}");
    true
}
