//! The header X-Forwarded-For.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};
use bookingq_gateway::limits::proxies::TrustedProxies;

/// A line with trusted networks, a line with the address of the connection, and then one header a
/// line.
///
/// # Panics
/// When an untrusted connection or an address that no header names decides.
pub fn forwarded(data: &[u8]) -> bool {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next()?).ok();
    let (Some(networks), Some(Ok(peer))) = (text(), text().map(str::parse::<IpAddr>)) else {
        return false;
    };
    let networks: Vec<&str> = networks.split(',').filter(|network| !network.is_empty()).collect();
    let Ok(proxies) = TrustedProxies::new(&networks) else { return false };
    let mut headers = HeaderMap::new();
    let lines: Vec<&[u8]> = lines.collect();
    for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append("x-forwarded-for", value);
    }
    let (client, peer) = (proxies.client(peer, &headers), peer.to_canonical());
    let none = HeaderMap::new();
    assert_eq!(proxies.client(peer, &none), peer);
    if networks.is_empty() {
        assert_eq!(client, peer);
    }
    // The answer is in canonical form: as the address of a connection, it stands for itself.
    assert_eq!(proxies.client(client, &none), client);
    let named = lines.iter().flat_map(|line| line.split(|&byte| byte == b',')).any(|entry| {
        let text = String::from_utf8_lossy(entry);
        let bare = text.trim().trim_matches('"');
        let bare = bare.rsplit_once("]:").map_or(bare, |(address, _)| address);
        let bare = bare.trim_matches(['[', ']']).split('%').next().unwrap_or_default();
        let without_port = bare.rsplit_once(':').map_or(bare, |(address, _)| address);
        [bare, without_port]
            .iter()
            .any(|text| text.parse().is_ok_and(|it: IpAddr| it.to_canonical() == client))
    });
    assert!(client == peer || named, "{client} is named nowhere");
    true
}
