//! A message of a WebSocket. The promise: crates/fuzz/src/socket.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::socket(data);
});
