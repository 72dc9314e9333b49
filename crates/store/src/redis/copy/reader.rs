//! Reads the copy out of what a primary sends.

use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::stream::{fill, line};
use crate::backup::BackupError;

/// Characters that mark the end of a copy whose length is not known.
const MARKER: usize = 40;
/// How an RDB file begins, of Redis and of Valkey since 9.
const MAGIC: [&[u8]; 2] = [b"REDIS", b"VALKEY"];

/// Where the copy ends.
enum CopyEnd {
    /// After so many more bytes.
    Left(u64),
    /// Before these characters.
    Marker([u8; MARKER]),
    /// It has ended.
    Reached,
}

/// The bytes of an RDB file, piece by piece.
pub(crate) struct RdbReader<S> {
    stream: S,
    silence: Duration,
    end: CopyEnd,
    total: Option<u64>,
    received: u64,
    /// The piece, and behind it what may be a part of the marker.
    piece: Vec<u8>,
    /// Length of the piece that was returned last.
    returned: usize,
}

impl<S: AsyncBufRead + Unpin> RdbReader<S> {
    /// Waits until the copy begins.
    pub(crate) async fn begin(mut stream: S, silence: Duration) -> Result<Self, BackupError> {
        let header = line(&mut stream, silence).await?;
        let (end, total) = match header.strip_prefix('$') {
            Some(words) if words.starts_with("EOF:") => {
                let marker = words.as_bytes()["EOF:".len()..].try_into().ok();
                (marker.map(CopyEnd::Marker), None)
            }
            Some(words) => {
                let length = words.parse().ok();
                (length.map(CopyEnd::Left), length)
            }
            None => (None, None),
        };
        let Some(end) = end else {
            return Err(match header.strip_prefix('-') {
                Some(answer) => {
                    BackupError::Refused { command: "PSYNC", answer: answer.to_owned() }
                }
                None => BackupError::unexpected(header.as_bytes()),
            });
        };
        let (piece, returned) = (Vec::new(), 0);
        Ok(Self { stream, silence, end, total, received: 0, piece, returned })
    }

    /// The length, if the primary has said it.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next piece; `None` at the end of a whole copy.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, BackupError> {
        self.piece.drain(..self.returned);
        self.returned = 0;
        while self.returned == 0 {
            match self.end {
                CopyEnd::Left(0) if self.received == 0 => {
                    return Err(BackupError::Cut { received: 0 });
                }
                CopyEnd::Reached | CopyEnd::Left(0) => return Ok(None),
                CopyEnd::Left(left) => {
                    self.read(left).await?;
                    self.returned = self.piece.len();
                    self.end = CopyEnd::Left(left - self.returned as u64);
                }
                CopyEnd::Marker(marker) => {
                    self.read(u64::MAX).await?;
                    self.returned = self.piece.len().saturating_sub(MARKER);
                    // The primary sends nothing behind the marker before it has an answer.
                    if self.piece[self.returned..] == marker {
                        self.end = CopyEnd::Reached;
                        self.piece.truncate(self.returned);
                        break;
                    }
                }
            }
        }
        let first = self.received == 0;
        self.received += self.returned as u64;
        let piece = &self.piece[..self.returned];
        if first && !begins_an_rdb(piece) {
            return Err(BackupError::unexpected(piece));
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Appends what has come, at most `limit` bytes.
    async fn read(&mut self, limit: u64) -> Result<(), BackupError> {
        let bytes = fill(&mut self.stream, self.silence).await?;
        if bytes.is_empty() {
            return Err(BackupError::Cut { received: self.received + self.piece.len() as u64 });
        }
        let taken = bytes.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        self.piece.extend_from_slice(&bytes[..taken]);
        self.stream.consume(taken);
        Ok(())
    }
}

/// Whether the first piece may be the beginning of an RDB file.
fn begins_an_rdb(piece: &[u8]) -> bool {
    MAGIC.iter().any(|magic| {
        let length = piece.len().min(magic.len());
        piece[..length] == magic[..length]
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use tokio::io::{AsyncRead, BufReader};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(1);

    /// The copy in what a primary sends, read in pieces of so many bytes.
    async fn copy(sent: &[u8], pieces: usize) -> Result<Vec<u8>, BackupError> {
        copy_of(BufReader::with_capacity(pieces, Cursor::new(sent.to_vec()))).await
    }

    async fn copy_of(sent: BufReader<impl AsyncRead + Unpin>) -> Result<Vec<u8>, BackupError> {
        let mut reader = RdbReader::begin(sent, SILENCE).await?;
        let mut whole = Vec::new();
        while let Some(piece) = reader.next().await? {
            whole.extend_from_slice(piece);
        }
        Ok(whole)
    }

    #[tokio::test]
    async fn both_forms_of_a_copy_are_read_however_they_are_cut() {
        let data = b"REDIS0011 some data\r\n$5\r\n and more of it, longer than a marker is long";
        let marker = "0123456789abcdef0123456789abcdef01234567";
        let by_length = [format!("\n\n\n${}\r\n", data.len()).as_bytes(), data].concat();
        let by_marker =
            [format!("\n$EOF:{marker}\r\n").as_bytes(), data, marker.as_bytes()].concat();
        for pieces in [1, 2, 7, 39, 40, 41, 64, 1000] {
            assert_eq!(copy(&by_length, pieces).await.unwrap(), data, "{pieces}");
            assert_eq!(copy(&by_marker, pieces).await.unwrap(), data, "{pieces}");
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_cut_is_an_error_at_each_byte() {
        let marker = "0123456789abcdef0123456789abcdef01234567";
        let by_length = b"$9\r\nREDIS0011".to_vec();
        let by_marker = format!("$EOF:{marker}\r\nREDIS0011{marker}").into_bytes();
        for sent in [by_length, by_marker] {
            assert_eq!(copy(&sent, 16).await.unwrap(), b"REDIS0011");
            for length in 0..sent.len() {
                let cut = copy(&sent[..length], 16).await;
                assert!(matches!(cut, Err(BackupError::Cut { .. })), "{length}: {cut:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_copy_is_refused() {
        let refused = copy(b"\n-ERR no copy now\r\n", 16).await.unwrap_err().to_string();
        assert!(refused.contains("PSYNC") && refused.contains("no copy now"), "{refused}");
        for sent in ["+PONG\r\n", "$x\r\n", "$EOF:short\r\n", "$5\r\nVALKY"] {
            let refused = copy(sent.as_bytes(), 16).await;
            assert!(matches!(refused, Err(BackupError::Unexpected(_))), "{sent}: {refused:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn line_ends_are_signs_of_life_and_silence_is_an_error() {
        use tokio::io::AsyncWriteExt as _;
        let (mut primary, replica) = tokio::io::duplex(64);
        let sends = async move {
            for _ in 0..10 {
                primary.write_all(b"\n").await.unwrap();
                tokio::time::sleep(SILENCE / 2).await;
            }
            primary.write_all(b"$9\r\nREDIS").await.unwrap();
            tokio::time::sleep(SILENCE * 2).await;
        };
        let (copied, ()) = tokio::join!(copy_of(BufReader::new(replica)), sends);
        assert!(matches!(copied, Err(BackupError::Silent(SILENCE))), "{copied:?}");
    }
}
