//! The connection on which a primary sends a copy: the client library has none that gives raw
//! bytes.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{ConnectionAddr, ConnectionInfo};
use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::backup::BackupError;
use crate::redis::{RedisTls, resp};
use crate::tls_client;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// Longest line of an answer.
const LINE: usize = 4 << 10;

/// How to connect.
pub(crate) struct CopyConnection {
    info: ConnectionInfo,
    tls: RedisTls,
}

/// A byte stream in both directions.
pub(crate) trait CopyTransport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> CopyTransport for T {}

/// A connection by which PSYNC was accepted: the copy follows.
pub(crate) type CopyStream = BufReader<Box<dyn CopyTransport>>;

impl CopyConnection {
    pub(super) fn new(info: ConnectionInfo, tls: RedisTls) -> Self {
        Self { info, tls }
    }

    /// Connects, logs in, and asks for a copy. Waits `silence` at most for each sign of life.
    pub(crate) async fn open(&self, silence: Duration) -> Result<CopyStream, BackupError> {
        let dialled = timeout(silence, self.dial()).await;
        let dialled = dialled.map_err(|_| BackupError::Silent(silence))??;
        let mut stream = BufReader::with_capacity(BUFFER, dialled);
        let mut ask = async |words: &[&str]| {
            send(&mut stream, words).await?;
            line(&mut stream, silence).await
        };
        let login = self.info.redis_settings();
        if let Some(password) = login.password() {
            let words = ["AUTH"].into_iter().chain(login.username()).chain([password]);
            accepted("AUTH", &ask(&words.collect::<Vec<_>>()).await?)?;
        }
        accepted("REPLCONF", &ask(&["REPLCONF", "capa", "eof"]).await?)?;
        // A server that does not know it sends a copy all the same.
        ask(&["REPLCONF", "rdb-only", "1"]).await?;
        let answer = accepted("PSYNC", &ask(&["PSYNC", "?", "-1"]).await?)?;
        if !answer.starts_with("FULLRESYNC") {
            return Err(BackupError::unexpected(answer.as_bytes()));
        }
        Ok(stream)
    }

    async fn dial(&self) -> Result<Box<dyn CopyTransport>, BackupError> {
        let failed = |error: &dyn std::fmt::Display| {
            BackupError::Connection(format!("{}: {error}", self.info.addr()))
        };
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                Ok(Box::new(stream.map_err(|error| failed(&error))?))
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = &self.tls;
                let config = tls_client::client_config(tls.ca.as_ref(), tls.identity.as_ref());
                let config = config.await.map_err(|error| failed(&error))?;
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
                let name = name.map_err(|error| failed(&error))?;
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|error| failed(&error))?;
                let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                Ok(Box::new(stream.map_err(|error| failed(&format!("no TLS with it: {error}")))?))
            }
            _ => Err(failed(&"only TCP and TLS can be copied from")),
        }
    }
}

async fn send(stream: &mut CopyStream, words: &[&str]) -> Result<(), BackupError> {
    let sent = async {
        stream.write_all(resp::command(words).as_bytes()).await?;
        stream.flush().await
    };
    sent.await.map_err(|error: std::io::Error| BackupError::Connection(error.to_string()))
}

/// What has come, at least a byte; empty at the end of the connection.
pub(super) async fn fill(
    stream: &mut (impl AsyncBufRead + Unpin),
    silence: Duration,
) -> Result<&[u8], BackupError> {
    let bytes = timeout(silence, stream.fill_buf()).await;
    let bytes = bytes.map_err(|_| BackupError::Silent(silence))?;
    bytes.map_err(|error| BackupError::Connection(error.to_string()))
}

/// The next line that is not empty. A primary that prepares a copy sends line ends, as signs of
/// life.
pub(super) async fn line(
    stream: &mut (impl AsyncBufRead + Unpin),
    silence: Duration,
) -> Result<String, BackupError> {
    let mut line = Vec::new();
    loop {
        let bytes = fill(stream, silence).await?;
        if bytes.is_empty() {
            return Err(BackupError::Cut { received: 0 });
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        line.extend_from_slice(&bytes[..taken]);
        stream.consume(taken);
        let text = line.trim_ascii();
        if text.len() > LINE {
            return Err(BackupError::unexpected(text));
        }
        if end.is_some() {
            if !text.is_empty() {
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
            line.clear();
        }
    }
}

/// The words of an answer that is no error.
fn accepted(command: &'static str, answer: &str) -> Result<String, BackupError> {
    match answer.split_at_checked(1) {
        Some(("+", words)) => Ok(words.to_owned()),
        Some(("-", words)) => Err(BackupError::Refused { command, answer: words.to_owned() }),
        _ => Err(BackupError::unexpected(answer.as_bytes())),
    }
}
