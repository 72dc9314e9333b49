//! Reads the admin port of another process.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why an admin port cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AdminReadError {
    /// No connection.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// The cause.
        cause: std::io::Error,
    },
    /// The connection ended before the answer was complete.
    #[error("the answer ended: {0}")]
    Http(#[from] hyper::Error),
    /// The path was refused.
    #[error("status {0}")]
    Status(StatusCode),
    /// The answer is too long, or ended too early.
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The answer is not text.
    #[error("the answer is not UTF-8")]
    Text,
    /// The answer did not come in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// The text at `path` of an admin port, of at most `max` bytes, within `deadline`.
///
/// # Errors
/// [`AdminReadError`], of the first step that fails.
pub async fn get(
    address: SocketAddr,
    path: &'static str,
    max: usize,
    deadline: Duration,
) -> Result<String, AdminReadError> {
    let answer = tokio::time::timeout(deadline, read(address, path, max)).await;
    answer.unwrap_or(Err(AdminReadError::Late(deadline)))
}

async fn read(
    address: SocketAddr,
    path: &'static str,
    max: usize,
) -> Result<String, AdminReadError> {
    let connect = TcpStream::connect(address).await;
    let stream = connect.map_err(|cause| AdminReadError::Connect { address, cause })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static(path);
    if let Ok(host) = address.to_string().parse() {
        request.headers_mut().insert(header::HOST, host);
    }
    // The connection is driven only as long as the answer is awaited.
    let answer = async {
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(AdminReadError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), max).collect().await;
        let body = body.map_err(AdminReadError::Body)?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| AdminReadError::Text)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        closed = connection => { closed?; answer.await }
    }
}
