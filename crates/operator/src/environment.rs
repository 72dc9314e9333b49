//! The operator's own surroundings, which appear in the objects that it builds.

use std::fs::File;
use std::io::{self, Read as _};

use xxhash_rust::xxh3::Xxh3;

/// Image and namespace of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEnvironment {
    /// Image of the workers, sweepers and gateways of queues that name none. By default the
    /// operator's own, so that all are of one release.
    pub image: String,
    /// The namespace of the operator, which may connect to every managed Redis.
    pub namespace: String,
    /// The operator's release: an update is what another one changes in the Pods of queues.
    pub release: String,
}

impl OperatorEnvironment {
    /// The image that a spec names, or the one of queues that name none.
    pub fn image_or(&self, named: Option<&String>) -> String {
        named.unwrap_or(&self.image).clone()
    }
}

/// The release of this program: its version, and a digest of its file, because two builds of one
/// version may make other Pods. Takes as long as reading the file.
pub fn own_release() -> String {
    let digest = std::env::current_exe().and_then(File::open).and_then(digest);
    let digest = digest.map_or_else(|_| "unknown".to_owned(), |digest| format!("{digest:08x}"));
    format!("{}-{digest}", env!("CARGO_PKG_VERSION"))
}

fn digest(mut file: File) -> io::Result<u32> {
    let (mut hash, mut part) = (Xxh3::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hash.digest() as u32),
            read => hash.update(&part[..read]),
        }
    }
}
