//! A booking's text in Redis.

use bookingq_core::ClientId;
use bookingq_store::StoreError;
use bookingq_store::read_booking;

/// Parses a text of any origin as a booking.
///
/// # Panics
/// When the error is another one than `Unexpected`, or too long for a log.
pub fn booking(data: &[u8]) -> bool {
    let Ok(client) = ClientId::new("ann") else { return false };
    match read_booking(&client, data) {
        Ok(booking) => {
            assert_eq!(booking.client, client);
            true
        }
        Err(StoreError::Unexpected(message)) => {
            assert!(message.len() < 1000, "{} bytes of error", message.len());
            false
        }
        Err(other) => panic!("not an outage: {other}"),
    }
}
