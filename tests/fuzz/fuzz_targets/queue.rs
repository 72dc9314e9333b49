//! A `BookingQueue` in YAML. The promise: crates/fuzz/src/queue.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::queue(data);
});
