//! A compressed archive in memory.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// A `.tar.gz` whose files are in one folder.
pub struct Archive {
    folder: String,
    seconds: u64,
    builder: Builder<GzEncoder<Vec<u8>>>,
}

impl Archive {
    /// An empty one; files have this time, in seconds since 1970.
    pub fn new(folder: String, seconds: u64) -> Self {
        let builder = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        Self { folder, seconds, builder }
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, text: &str) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.seconds);
        let path = format!("{}/{path}", self.folder);
        self.builder.append_data(&mut header, path, text.as_bytes())
    }

    /// The bytes.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()?.finish()
    }
}
