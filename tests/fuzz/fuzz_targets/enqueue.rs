//! The messages of `BookingWorkerService`. The promise: crates/fuzz/src/enqueue.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::enqueue(data);
});
