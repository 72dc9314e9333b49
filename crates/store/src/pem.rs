//! Certificates and keys as texts in PEM.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A text in PEM.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// In this file. Who connects says when it is read again.
    File(PathBuf),
    /// The text itself.
    Text(Vec<u8>),
}

impl PemSource {
    /// The text.
    ///
    /// # Errors
    /// When the file cannot be read; the error names it.
    pub(crate) async fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| {
                let why = format!("cannot read {}: {error}", path.display());
                io::Error::new(error.kind(), why)
            }),
        }
    }
}

impl fmt::Debug for PemSource {
    /// Without the text, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.debug_tuple("Text").finish_non_exhaustive(),
        }
    }
}
