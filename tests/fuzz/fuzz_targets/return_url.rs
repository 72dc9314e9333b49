//! A return URL. The promise: crates/fuzz/src/return_url.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::return_url(data);
});
