//! The whole life of bookings, in batches of any size.
#![allow(clippy::unwrap_used)]

use bookingq_bench::bookings::{fresh_queue, whole_lives};
use bookingq_store::StoreConfig;

#[tokio::test]
async fn every_booking_is_confirmed_with_any_batch_size() {
    for batch in [1, 3, 64, 256] {
        let store = bookingq_store::open(StoreConfig::memory(fresh_queue().unwrap())).unwrap();
        whole_lives(store, 250, batch).await.unwrap();
    }
}
