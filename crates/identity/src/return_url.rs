//! Where a client goes on to pay: a URL from outside, held to a list of origins and kept to the
//! byte.

use std::fmt;

use bookingq_core::ids::Invalid;
use serde::{Deserialize, Serialize};

use crate::web_origin::WebOrigin;

/// Longest return URL. It is part of a cookie.
pub const MAX_RETURN_URL_BYTES: usize = 1024;

const FIELD: &str = "returnUrl";
const LENGTH_RULE: &str = "1 to 1024 bytes";
const CHARACTER_RULE: &str = "an absolute URL of printable ASCII, without spaces, quotes, angle \
                              brackets, back-ticks and backslashes; escape others with %";
const FORM_RULE: &str = "http:// or https://, a host without a user name, then path and query";
const LIST_RULE: &str = "a URL of one of the queue's return origins";

/// An absolute `http` or `https` URL that browsers read exactly as it is compared here. Its text is
/// the one that was given, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnUrl {
    text: String,
    origin: WebOrigin,
}

impl ReturnUrl {
    /// Parses it. Whether its origin is allowed is another question: [`ReturnOrigins::parse`].
    ///
    /// # Errors
    /// [`Invalid`] with the broken rule.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let refuse = |rule| Err(Invalid::new(FIELD, text, rule));
        if text.is_empty() || text.len() > MAX_RETURN_URL_BYTES {
            return refuse(LENGTH_RULE);
        }
        // Browsers drop tabs and line ends, and read a backslash as a slash.
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>`".contains(&b)) {
            return refuse(CHARACTER_RULE);
        }
        match WebOrigin::split(text) {
            Some((origin, _)) => Ok(Self { text: text.to_owned(), origin }),
            None => refuse(FORM_RULE),
        }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its origin, for example for `form-action` of a Content-Security-Policy.
    pub fn origin(&self) -> &WebOrigin {
        &self.origin
    }
}

impl fmt::Display for ReturnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for ReturnUrl {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(&text)
    }
}

impl From<ReturnUrl> for String {
    fn from(url: ReturnUrl) -> Self {
        url.text
    }
}

/// The origins to which a queue lets clients return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnOrigins(Vec<WebOrigin>);

impl ReturnOrigins {
    /// With these origins and no others: names are compared whole, so a subdomain is another
    /// origin.
    pub fn new(origins: Vec<WebOrigin>) -> Self {
        Self(origins)
    }

    /// Whether a URL may be used now: a token may be older than the present list.
    pub fn allows(&self, url: &ReturnUrl) -> bool {
        self.0.contains(url.origin())
    }

    /// Parses a URL and compares it with the list.
    ///
    /// # Errors
    /// [`Invalid`] with the broken rule.
    pub fn parse(&self, text: &str) -> Result<ReturnUrl, Invalid> {
        let url = ReturnUrl::new(text)?;
        if self.allows(&url) { Ok(url) } else { Err(Invalid::new(FIELD, text, LIST_RULE)) }
    }

    /// The origins.
    pub fn iter(&self) -> impl Iterator<Item = &WebOrigin> {
        self.0.iter()
    }
}
