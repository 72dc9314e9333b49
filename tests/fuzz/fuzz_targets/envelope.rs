//! A record of a log of commands. The promise: crates/fuzz/src/envelope.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::envelope(data);
});
