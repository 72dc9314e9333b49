//! What an address of Kafka may be, for the resource and for the command line.

/// Brokers that an address may name.
pub const MAX_BROKERS: usize = 64;
/// Characters of a prefix of topics. Kafka allows topics of 249 characters, and a queue's name has
/// at most 127.
const MAX_PREFIX: usize = 100;

/// Whether it is `HOST:PORT`.
pub fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether topics may begin with it: 1 to 100 letters, digits, '.', '_' and '-'.
pub fn is_topic_prefix(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_PREFIX).contains(&text.len()) && text.chars().all(fits)
}
