//! The messages of `BookingWorkerService`. What must hold: crates/fuzz/src/enqueue.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::enqueue(data);
});
