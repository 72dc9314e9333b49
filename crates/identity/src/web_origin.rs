//! Origins of the web: scheme, host and port, compared as browsers do.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bookingq_core::ids::Invalid;
use serde::{Deserialize, Serialize};

/// An origin such as `https://tickets.example` (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin {
    scheme: WebScheme,
    /// In lower case.
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum WebScheme {
    Http,
    Https,
}

const RULE: &str = "http:// or https://, a host, and a port if it is not the usual one, without a \
                    path: https://tickets.example";

impl WebOrigin {
    /// Parses an origin without anything after it.
    ///
    /// # Errors
    /// [`Invalid`] with the rule.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let (origin, rest) = Self::split(text).ok_or_else(|| Invalid::new("origin", text, RULE))?;
        if rest.is_empty() { Ok(origin) } else { Err(Invalid::new("origin", text, RULE)) }
    }

    /// Splits a URL into its origin and what follows. Strict: what browsers would repair, such as
    /// missing slashes, an empty port or an escaped host, is refused, and so are user names.
    pub(crate) fn split(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = WebScheme::split(url)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (host, port) = match authority.rfind(':').filter(|_| !authority.ends_with(']')) {
            Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
            None => (authority, None),
        };
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => scheme.usual_port(),
        };
        is_host(host).then(|| (Self { scheme, host: host.to_ascii_lowercase(), port }, rest))
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let is_short = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_short.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0)
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets; addresses in their shortest form,
/// because browsers rewrite others, also what only looks like an address: `0x7f.1`.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let is_shortest = |address: Ipv6Addr| address.to_string() == inner.to_ascii_lowercase();
        return !inner.contains('.') && inner.parse().is_ok_and(is_shortest);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|first: char| first.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    host.len() <= 253 && host.split('.').all(label)
}

impl WebScheme {
    fn split(url: &str) -> Option<(Self, &str)> {
        [Self::Https, Self::Http].into_iter().find_map(|scheme| {
            let (start, rest) = url.split_at_checked(scheme.prefix().len())?;
            start.eq_ignore_ascii_case(scheme.prefix()).then_some((scheme, rest))
        })
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    const fn usual_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.prefix(), self.host)?;
        if self.port == self.scheme.usual_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for WebOrigin {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(&text)
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.to_string()
    }
}
