//! A chunk of a snapshot of a queue. The promise: crates/fuzz/src/snapshot.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::snapshot(data);
});
