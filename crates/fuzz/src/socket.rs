//! The messages of a WebSocket.

use bookingq_gateway::frames::pong;
use bookingq_gateway::socket::pinged;
use serde_json::Value;

/// The store's clock in the answer.
const NOW: u64 = 1_796_040_000_000;

/// A text message of a client.
///
/// # Panics
/// When the answer to a ping is not one frame with the client's own number, or is much longer than
/// the ping.
pub fn socket(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some(number) = pinged(text) else { return false };
    let answer = pong(&number, NOW).text();
    let read: Value = serde_json::from_str(&answer).unwrap_or_default();
    assert_eq!(read["t"], "pong", "{answer}");
    assert_eq!(read["now"], NOW, "{answer}");
    let sent: Value = serde_json::from_str(text).unwrap_or_default();
    assert!(read["c"] == sent["c"] && read["c"] == Value::Number(number), "{text}: {answer}");
    assert!(answer.len() <= text.len() + 64, "{text}: {answer}");
    true
}
