//! A token of a client, a seller or a backend. The promise: crates/fuzz/src/token.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::token(data);
});
