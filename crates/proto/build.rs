//! Compiles /proto in Rust (protox), so that the build needs no protoc.

use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 5] = [
    "bookingqueue/v1/booking.proto",
    "bookingqueue/v1/booking_worker_service.proto",
    "bookingqueue/v1/booking_service.proto",
    "bookingqueue/v1/ticket_service.proto",
    "bookingqueue/v1/realtime_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptor.bin");
    std::fs::write(&out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".bookingqueue.v1").compile_fds(descriptors)?;
    Ok(())
}
