//! A booking's text in Redis. What must hold: crates/fuzz/src/booking.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::booking(data);
});
