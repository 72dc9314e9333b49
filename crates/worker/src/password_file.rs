//! A password that a flag names by its file.

use std::path::{Path, PathBuf};

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {flag} {}: {cause}", file.display())]
pub struct UnreadablePassword {
    /// The flag that names it.
    flag: &'static str,
    /// Its path.
    file: PathBuf,
    /// What the system answered.
    cause: std::io::Error,
}

/// The password in the file that a flag names, without the end of its line.
pub(crate) async fn read(flag: &'static str, file: &Path) -> Result<String, UnreadablePassword> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|cause| UnreadablePassword { flag, file: file.to_owned(), cause })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
