//! From which address a request comes: the connection's, or, behind trusted proxies, the one that
//! they report in X-Forwarded-For.
//!
//! Each proxy appends the address of its client. So the list is read from the right, and only as
//! long as the address before is a trusted proxy: what stands further left was written by the
//! client itself and may be anything.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use bookingq_core::Invalid;

/// The header.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More proxies in a row are not followed.
const MAX_HOPS: usize = 16;

const RULE: &str = "an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32";

/// An IP network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyNetwork {
    address: IpAddr,
    prefix: u8,
}

impl ProxyNetwork {
    /// Parses an address or a network.
    ///
    /// # Errors
    /// [`Invalid`]; also if bits after the prefix are set, which is a slip as a rule.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        Self::parse(text).ok_or_else(|| Invalid::new("trusted-proxy", text, RULE))
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = width(address);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        let is_network = prefix <= bits && masked(address, prefix) == to_bits(address);
        is_network.then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        width(self.address) == width(address)
            && masked(address, self.prefix) == masked(self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Left-aligned.
fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(address: IpAddr, prefix: u8) -> u128 {
    to_bits(address) & !u128::MAX.checked_shr(u32::from(prefix)).unwrap_or_default()
}

/// The proxies whose X-Forwarded-For is read.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<ProxyNetwork>);

impl TrustedProxies {
    /// With these networks.
    ///
    /// # Errors
    /// [`Invalid`] for what is no network.
    pub fn new<S: AsRef<str>>(networks: &[S]) -> Result<Self, Invalid> {
        networks
            .iter()
            .map(|text| ProxyNetwork::new(text.as_ref()))
            .collect::<Result<_, _>>()
            .map(Self)
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
