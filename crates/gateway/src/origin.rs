//! Which pages may act for a client: the check of `Origin` and `Sec-Fetch-Site` (CSRF), and CORS.
//!
//! A browser adds the cookie of a place to requests that any page makes it send. So a request that
//! changes something, opens a WebSocket, or opens an event stream by cookie must come from a page
//! of the gateway's own host or of a listed origin. A bearer token is not sent by a browser on its
//! own; a request without a cookie and without an origin comes from no page.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use bookingq_core::Invalid;
use bookingq_identity::WebOrigin;

use crate::auth;
use crate::problem::{Problem, ProblemReason};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins that are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(BTreeSet<WebOrigin>);

impl AllowedOrigins {
    /// Parses the origins of the setting `field`.
    ///
    /// # Errors
    /// [`Invalid`] for what is no origin: another scheme than http and https, a path, user
    /// information, or a wildcard.
    pub fn new<S: AsRef<str>>(
        field: &'static str,
        origins: impl IntoIterator<Item = S>,
    ) -> Result<Self, Invalid> {
        let parse = |origin: S| {
            let invalid = |invalid| Invalid { field: field.into(), ..invalid };
            WebOrigin::new(origin.as_ref()).map_err(invalid)
        };
        origins.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a page of this origin may act.
    pub fn contains(&self, origin: &str) -> bool {
        WebOrigin::new(origin).is_ok_and(|origin| self.0.contains(&origin))
    }

    /// These and further ones.
    #[must_use]
    pub fn with(&self, further: &Self) -> Self {
        Self(self.0.union(&further.0).cloned().collect())
    }

    /// The origins.
    pub fn iter(&self) -> impl Iterator<Item = &WebOrigin> {
        self.0.iter()
    }
}

/// What of a request decides whether it may act for a client.
#[derive(Debug, Clone, Copy)]
pub struct PageOrigin<'a> {
    headers: &'a HeaderMap,
    uri: &'a Uri,
}

/// Why a page may not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A page of another origin.
    #[error("pages of this origin may not act for a client of this gateway")]
    Foreign,
    /// A page without an origin: a sandboxed frame, a file, or a redirect.
    #[error("pages without an origin may not act for a client of this gateway")]
    Null,
    /// A cookie, but no page that sent it.
    #[error(
        "a request with a cookie must name the origin of its page; programs send a bearer token"
    )]
    Missing,
}

impl From<OriginError> for Problem {
    fn from(error: OriginError) -> Self {
        Self::new(ProblemReason::OriginRefused, error.to_string())
    }
}

impl<'a> PageOrigin<'a> {
    /// The caller of a request.
    pub fn new(headers: &'a HeaderMap, uri: &'a Uri) -> Self {
        Self { headers, uri }
    }

    /// Whether a request of this method changes something.
    pub fn is_unsafe(method: &Method) -> bool {
        !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Its `Origin`, if there is one.
    pub fn origin(self) -> Option<&'a str> {
        // Not readable as text: foreign, since it can equal nothing.
        self.headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?"))
    }

    /// Whether this request may act for a client.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn check(self, allowed: &AllowedOrigins) -> Result<(), OriginError> {
        match self.origin() {
            Some("null") => Err(OriginError::Null),
            Some(origin) if self.is_own(origin) || allowed.contains(origin) => Ok(()),
            // A proxy may have written another Host. No page can set this header.
            Some(_) if self.site() == Some(b"same-origin") => Ok(()),
            Some(_) => Err(OriginError::Foreign),
            None => self.check_without_origin(),
        }
    }

    /// How the browser relates the page to the URL that it asks.
    fn site(self) -> Option<&'a [u8]> {
        self.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes)
    }

    /// Browsers leave the origin out of some requests to the page's own host, and say so.
    fn check_without_origin(self) -> Result<(), OriginError> {
        match self.site() {
            Some(b"same-origin") => Ok(()),
            Some(b"cross-site" | b"same-site") => Err(OriginError::Foreign),
            _ if self.has_cookie_only() => Err(OriginError::Missing),
            _ => Ok(()),
        }
    }

    /// A program may keep the cookie and send its token: the token counts, and no page can add it
    /// without an origin.
    fn has_cookie_only(self) -> bool {
        self.headers.contains_key(header::COOKIE) && auth::bearer(self.headers).is_none()
    }

    /// Whether the page is of the host that was asked. The scheme is not compared: behind a proxy
    /// that ends TLS it is another one.
    fn is_own(self, origin: &str) -> bool {
        let asked = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let asked = asked.or_else(|| self.uri.authority().map(http::uri::Authority::as_str));
        let Some(asked) = asked else { return false };
        let (Ok(origin), Some((scheme, _))) = (WebOrigin::new(origin), origin.split_once("://"))
        else {
            return false;
        };
        WebOrigin::new(&format!("{scheme}://{asked}")).is_ok_and(|own| own == origin)
    }

    /// The `Origin` to which the answer may be shown (CORS): only a listed one.
    pub fn reader(self, allowed: &AllowedOrigins) -> Option<HeaderValue> {
        let origin = self.headers.get(header::ORIGIN)?;
        origin.to_str().is_ok_and(|text| allowed.contains(text)).then(|| origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        pairs.iter().map(parse).collect()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), OriginError> {
        let allowed = AllowedOrigins::new("origin", ["https://www.example.com"]).unwrap();
        let mut all = vec![("host", "queue.example.com")];
        all.extend(pairs);
        let (headers, uri) = (headers(&all), Uri::from_static("/v1/queues/concert/places"));
        PageOrigin::new(&headers, &uri).check(&allowed)
    }

    #[test]
    fn own_and_listed_pages_may_act_and_all_others_may_not() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Result<(), OriginError>);
        let (cookie, bearer) = (("cookie", "__Host-bq-concert=x"), ("authorization", "Bearer x"));
        let table: &[Row<'_>] = &[
            (&[("origin", "https://queue.example.com"), cookie], Ok(())),
            (&[("origin", "https://queue.example.com:443"), cookie], Ok(())),
            (&[("origin", "https://QUEUE.example.com"), cookie], Ok(())),
            (&[("origin", "https://www.example.com"), cookie], Ok(())),
            (&[("origin", "https://www.example.com:443")], Ok(())),
            (&[("origin", "http://www.example.com"), cookie], Err(OriginError::Foreign)),
            (&[("origin", "https://www.example.com:8443"), cookie], Err(OriginError::Foreign)),
            (&[("origin", "https://www.example.com.evil.test")], Err(OriginError::Foreign)),
            (&[("origin", "https://evil.test"), cookie], Err(OriginError::Foreign)),
            (&[("origin", "https://evil.test"), bearer], Err(OriginError::Foreign)),
            (&[("origin", "https://evil.test")], Err(OriginError::Foreign)),
            (&[("origin", "https://queue.example.com@evil.test")], Err(OriginError::Foreign)),
            (&[("origin", "https://queue.example.com/")], Err(OriginError::Foreign)),
            (&[("origin", "ftp://queue.example.com")], Err(OriginError::Foreign)),
            (&[("origin", "")], Err(OriginError::Foreign)),
            (&[("origin", "https://proxy.test"), ("sec-fetch-site", "same-origin")], Ok(())),
            (
                &[("origin", "https://evil.test"), ("sec-fetch-site", "same-site")],
                Err(OriginError::Foreign),
            ),
            (&[("origin", "null"), ("sec-fetch-site", "same-origin")], Err(OriginError::Null)),
            (&[("origin", "null"), cookie], Err(OriginError::Null)),
            (&[("origin", "null")], Err(OriginError::Null)),
            (&[cookie], Err(OriginError::Missing)),
            (&[cookie, bearer], Ok(())),
            (&[cookie, ("authorization", "Basic x")], Err(OriginError::Missing)),
            (&[cookie, bearer, ("sec-fetch-site", "cross-site")], Err(OriginError::Foreign)),
            (&[cookie, ("sec-fetch-site", "none")], Err(OriginError::Missing)),
            (&[cookie, ("sec-fetch-site", "same-origin")], Ok(())),
            (&[cookie, ("sec-fetch-site", "same-site")], Err(OriginError::Foreign)),
            (&[("sec-fetch-site", "cross-site")], Err(OriginError::Foreign)),
            (&[bearer], Ok(())),
            (&[], Ok(())),
        ];
        for (pairs, expected) in table {
            assert_eq!(&check(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_authority_of_http_2_stands_for_the_host() {
        let headers = headers(&[("origin", "https://queue.example.com")]);
        let uri = Uri::from_static("https://queue.example.com/v1/queues/concert/places");
        assert_eq!(PageOrigin::new(&headers, &uri).check(&AllowedOrigins::default()), Ok(()));
        let uri = Uri::from_static("https://other.example.com/v1/queues/concert/places");
        let foreign = PageOrigin::new(&headers, &uri).check(&AllowedOrigins::default());
        assert_eq!(foreign, Err(OriginError::Foreign));
    }

    #[test]
    fn only_listed_origins_may_read_the_answer() {
        let allowed = AllowedOrigins::new("origin", ["https://www.example.com"]).unwrap();
        let uri = Uri::from_static("/");
        let read = |origin| PageOrigin::new(&headers(&[("origin", origin)]), &uri).reader(&allowed);
        assert_eq!(read("https://www.example.com").unwrap(), "https://www.example.com");
        assert_eq!(read("https://evil.test"), None);
        assert_eq!(read("null"), None);
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_name() {
        for wrong in [
            "*",
            "www.example.com",
            "https://a/b",
            "https://a@b",
            "https://",
            "https://a:",
            "a://b",
        ] {
            let error = AllowedOrigins::new("origin", [wrong]).unwrap_err();
            assert_eq!(error.field, "origin", "{wrong}");
        }
        assert!(AllowedOrigins::new("origin", ["http://[::1]:8080"]).is_ok());
    }
}
