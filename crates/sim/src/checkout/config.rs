//! What the demo checkout is configured with.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use bookingq_core::Invalid;
use bookingq_identity::KeyRing;
use hyper::Uri;

/// The demo checkout.
#[derive(Debug, Clone)]
pub struct CheckoutConfig {
    /// Its HTTP port; port 0: any free one.
    pub listen: SocketAddr,
    /// The gateway's public port, for the keys of passes and for links.
    pub gateway: HttpAddress,
    /// The gateway's backend port.
    pub backend: HttpAddress,
    /// A key of purpose `backend`, which the gateway knows too.
    pub keys: KeyRing,
    /// `iss` of passes.
    pub issuer: String,
    /// `aud` of passes; the queue's name if not set.
    pub audience: Option<String>,
}

/// `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl FromStr for HttpAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parsed = || {
            let uri: Uri = text.parse().ok()?;
            let plain = uri.scheme_str() == Some("http") && uri.path() == "/";
            let host = uri.host()?.to_owned();
            plain.then(|| Self { host, port: uri.port_u16().unwrap_or(80) })
        };
        parsed().ok_or_else(|| Invalid::new("address", text, "http://HOST:PORT"))
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_http() {
        let address: HttpAddress = "http://[::1]:8080".parse().unwrap();
        assert_eq!(address.to_string(), "http://[::1]:8080");
        for wrong in ["https://a:1", "a:1", "http://a/x", ""] {
            assert!(wrong.parse::<HttpAddress>().is_err(), "{wrong}");
        }
    }
}
