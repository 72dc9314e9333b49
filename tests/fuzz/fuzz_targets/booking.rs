//! A booking's text in Redis. The promise: crates/fuzz/src/booking.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::booking(data);
});
