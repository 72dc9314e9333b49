//! A booking's text in Redis.

use bookingq_core::ClientId;
use bookingq_store::StoreError;
use bookingq_store::read_booking;

/// What may stand in Redis where a booking should be.
///
/// # Panics
/// When it is told as anything but unexpected, or at a length that fills a log.
pub fn booking(data: &[u8]) -> bool {
    let Ok(client) = ClientId::new("ann") else { return false };
    match read_booking(&client, data) {
        Ok(booking) => {
            assert_eq!(booking.client, client);
            true
        }
        Err(StoreError::Unexpected(told)) => {
            assert!(told.len() < 1000, "{} bytes of error", told.len());
            false
        }
        Err(other) => panic!("not an outage: {other}"),
    }
}
