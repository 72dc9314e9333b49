//! A bucket of S3 for backups, on AWS and on servers that speak like it, by `object_store`, which
//! signs calls, repeats them and reads answers.
//!
//! ```text
//!   settings   the environment -> endpoint, region, credentials
//!   client     HTTP with the program's own TLS and its deadlines; when a call is repeated
//!   bucket     S3Bucket: list, read, write and remove objects
//!     upload     an object in parts, which is there whole or not at all
//!     reader     an object part by part
//!   error      what failed, where, and why in the words of S3
//! ```

mod bucket;
mod client;
mod error;
mod reader;
mod settings;
mod upload;

pub use self::bucket::S3Bucket;
pub use self::error::{S3Error, S3Fault};
pub(crate) use self::reader::S3Reader;
pub use self::settings::{S3Credentials, S3Settings, S3SettingsError};
pub(crate) use self::upload::S3Upload;

/// Bytes of each part of an object but the last. It is in memory, and has `silence` to get through.
const PART: usize = 16 << 20;
