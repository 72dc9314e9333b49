//! The events of an outbox entry. The promise: crates/fuzz/src/events.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::events(data);
});
