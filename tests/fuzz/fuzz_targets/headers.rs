//! Headers of a request. The promise: crates/fuzz/src/headers.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::headers(data);
});
