//! The command line. The promise: crates/fuzz/src/arguments.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::arguments(data);
});
