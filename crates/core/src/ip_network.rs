//! Networks of IP addresses, such as those of trusted proxies.

use std::net::IpAddr;

/// A network of IP addresses; one address is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Parses an address, or a network such as `10.0.0.0/8` or `2001:db8::/32`. `None` also if bits
    /// after the prefix are set, which is a slip as a rule.
    pub fn parse(text: &str) -> Option<Self> {
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

    /// Whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
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
