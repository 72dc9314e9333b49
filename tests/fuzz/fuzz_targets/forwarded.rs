//! The header X-Forwarded-For. The promise: crates/fuzz/src/forwarded.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::forwarded(data);
});
