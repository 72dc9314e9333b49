//! Hosts, origins and links, as a gateway accepts them. (`bookingq_identity` parses origins; this
//! crate does not import it, so the rules here are a subset of its rules.)

use std::net::Ipv4Addr;

/// A DNS label (RFC 1123) in lower case, which is also the name of a namespace.
pub(crate) fn is_label(text: &str) -> bool {
    let word = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    word && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS name in lower case.
pub(crate) fn is_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let address = last.starts_with(|first: char| first.is_ascii_digit());
    text.len() <= 253 && !address && text.split('.').all(is_label)
}

/// `scheme://host[:port]`, as browsers write it.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1"));
    let port = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    port && (is_name(host) || host.parse::<Ipv4Addr>().is_ok())
}

/// A URL of one of these origins.
pub(crate) fn is_of(url: &str, origins: &[String]) -> bool {
    is_clean(url)
        && url.len() <= 1024
        && origins
            .iter()
            .filter_map(|origin| url.strip_prefix(origin.as_str()))
            .any(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// An https: URL, or a path of the own host.
pub(crate) fn is_link(text: &str) -> bool {
    let path = text.starts_with('/') && !text.starts_with("//");
    let url = text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    is_clean(text) && text.len() <= 1024 && (path || url)
}

/// `#rgb` or `#rrggbb`.
pub(crate) fn is_color(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| {
        matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// A text for people, of at most so many bytes.
pub(crate) fn is_text(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

/// Nothing that could leave an attribute of HTML or a content security policy.
fn is_clean(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\;,`{}|^#".contains(&byte))
}
