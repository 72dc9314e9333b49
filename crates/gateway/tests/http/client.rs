//! A small HTTP client: one connection, one request after the other.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().unwrap()
    }

    /// `NAME=TOKEN` of the cookie that was set.
    pub fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

/// A request that is being built.
pub struct Ask {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

pub fn ask(method: Method, path: &str) -> Ask {
    Ask { method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
}

pub fn get(path: &str) -> Ask {
    ask(Method::GET, path)
}

/// A POST with JSON.
pub fn post(path: &str, body: &str) -> Ask {
    ask(Method::POST, path).json(body)
}

impl Ask {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    pub fn json(mut self, body: &str) -> Self {
        self.body = Bytes::copy_from_slice(body.as_bytes());
        self.with("content-type", "application/json")
    }

    /// The headers of a browser with this cookie, on a page of the gateway.
    pub fn browser(self, cookie: &str, host: &str) -> Self {
        self.with("cookie", cookie).with("origin", &format!("http://{host}"))
    }

    fn build(self, authority: &str, absolute: bool) -> Request<Body> {
        let target = if absolute { format!("http://{authority}{}", self.path) } else { self.path };
        let mut request =
            Request::builder().method(self.method).uri(target).body(Body::from(self.body)).unwrap();
        *request.headers_mut() = self.headers;
        if !absolute && !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, authority.parse().unwrap());
        }
        request
    }
}

enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// A connection.
pub struct Connection {
    sender: Sender,
    authority: String,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::http1(stream, &address.to_string()).await
    }

    pub async fn http1<S>(stream: S, authority: &str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::One(sender), authority: authority.to_owned() }
    }

    pub async fn http2<S>(stream: S, authority: &str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Two(sender), authority: authority.to_owned() }
    }

    pub async fn send(&mut self, ask: Ask) -> Answer {
        self.try_send(ask).await.unwrap()
    }

    pub async fn try_send(&mut self, ask: Ask) -> hyper::Result<Answer> {
        let whole = async {
            let answer = match &mut self.sender {
                Sender::One(sender) => {
                    sender.ready().await?;
                    sender.send_request(ask.build(&self.authority, false)).await?
                }
                Sender::Two(sender) => {
                    sender.ready().await?;
                    sender.send_request(ask.build(&self.authority, true)).await?
                }
            };
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        timeout(LIMIT, whole).await.expect("an answer in time")
    }
}

/// One request on a connection of its own.
pub async fn send(address: SocketAddr, ask: Ask) -> Answer {
    Connection::open(address).await.send(ask).await
}
