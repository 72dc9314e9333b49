//! The gRPC contract (`bookingqueue.v1`, files under /proto) as Rust, and its only meeting point
//! with the core types.

pub mod convert;
pub mod error;

/// Generated from /proto; its documentation is that of the files there.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("bookingqueue.v1");
}

/// All descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
