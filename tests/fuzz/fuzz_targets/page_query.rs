//! The query of the page. The promise: crates/fuzz/src/page_query.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bookingq_fuzz::page_query(data);
});
