//! A recorded history. The promise: crates/fuzz/src/history.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::history(data);
});
