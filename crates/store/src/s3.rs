//! The calls of S3 that backups need, to AWS and to what speaks like it.
//!
//! ```text
//!   settings   the environment -> endpoint, region, credentials
//!   address    a bucket -> URLs
//!   bucket     S3Bucket: list, read, write and remove objects
//!     upload     an object in parts, which is there whole or not at all
//!     reader     an object piece by piece, which goes on after a cut
//!     call       one call: signed, sent, repeated
//!       sign       signature version 4
//!       silence    a call ends when nothing moves
//!       answers    XML
//! ```
//!
//! The HTTP client, TLS and the cryptography are those of the rest of the program. The crates for
//! S3 bring others of them: `object_store` has reqwest, and `rusty-s3` has RustCrypto, does not
//! sign what is sent and does not list unfinished uploads.

mod address;
mod answers;
mod bucket;
mod call;
mod error;
mod reader;
mod settings;
mod sign;
mod silence;
mod upload;

pub use self::bucket::S3Bucket;
pub use self::error::{S3Error, S3Fault};
pub(crate) use self::reader::S3Reader;
pub use self::settings::{S3Credentials, S3Settings, S3SettingsError};
pub(crate) use self::upload::S3Upload;
