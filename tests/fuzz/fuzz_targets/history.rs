//! A history that was kept. What must hold: crates/fuzz/src/history.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::history(data);
});
