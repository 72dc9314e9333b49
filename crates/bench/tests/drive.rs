//! The clients of our driver.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bookingq_bench::bookings::fresh_queue;
use bookingq_bench::drive::Batching;
use bookingq_bench::drive::enqueue::{Clients, due, take};
use bookingq_store::StoreConfig;

#[test]
fn what_is_left_is_taken_once() {
    let left = AtomicUsize::new(5);
    assert_eq!([(); 4].map(|()| take(&left, 2)), [Some(2), Some(2), Some(1), None]);
}

#[tokio::test]
async fn a_payload_has_64_bytes_and_holds_the_due_time() {
    let store = bookingq_store::open(StoreConfig::memory(fresh_queue().unwrap())).unwrap();
    let clients = Clients::new(store, Batching::Single);
    let booking = clients.next(Duration::from_micros(1_234_567)).unwrap();
    let payload = &booking.details.payload;
    assert_eq!(payload.len(), 64);
    assert_eq!(due(payload).unwrap(), Duration::from_micros(1_234_567));
    assert!(due(b"short").is_err());
}
