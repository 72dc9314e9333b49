//! From which address a request comes: the connection's, or, behind trusted proxies, the one that
//! they report in X-Forwarded-For.
//!
//! Each proxy appends the address of its client. So the list is read from the right, and only as
//! long as the address before is a trusted proxy: what stands further left was written by the
//! client itself and may be anything.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use bookingq_core::Invalid;
use bookingq_core::ip_network::IpNetwork;

/// The header.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More proxies in a row are not followed.
const MAX_HOPS: usize = 16;

const RULE: &str = "an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32";

/// The proxies whose X-Forwarded-For is read.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNetwork>);

impl TrustedProxies {
    /// With these networks.
    ///
    /// # Errors
    /// [`Invalid`] for what is no network.
    pub fn new<S: AsRef<str>>(networks: &[S]) -> Result<Self, Invalid> {
        let parse = |text: &S| {
            let text = text.as_ref();
            IpNetwork::parse(text).ok_or_else(|| Invalid::new("trusted-proxy", text, RULE))
        };
        networks.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address: the first one from the right that is no trusted proxy.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        if self.0.is_empty() {
            return address;
        }
        // Several headers are one list, the last of which was added last.
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&b| b == b','));
        for entry in entries.take(MAX_HOPS) {
            if !self.trusts(address) {
                break;
            }
            // A proxy that reports no address is as far as we see.
            let Some(reported) = parse_entry(entry) else { break };
            address = reported;
        }
        address
    }
}

/// An address as proxies write it: with a port, in brackets, in quotes.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}
