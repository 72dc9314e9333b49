//! One connection of a client: a WebSocket or an event stream, plain or over TLS, of a gateway or
//! of the yardsticks. Each gives the texts that it is sent.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bookingq_identity::KeyPurpose;
use bookingq_identity::new_key_file;
use clap::ValueEnum;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, Lines,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Files of the certificate in the folder of the keys' parent.
pub(super) const CERTIFICATE: (&str, &str) = ("tls.crt", "tls.key");
/// What the kernel keeps for a client that does not read.
const SMALL: u32 = 4096;

/// What clients open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkKind {
    Websocket,
    WebsocketTls,
    Events,
    EventsTls,
    /// A channel of Centrifugo.
    Centrifugo,
}

impl LinkKind {
    pub(super) fn is_tls(self) -> bool {
        matches!(self, Self::WebsocketTls | Self::EventsTls)
    }
}

pub(super) trait LinkStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> LinkStream for T {}
type AnyStream = Box<dyn LinkStream>;

/// A connection.
pub(super) enum ClientLink {
    Socket(Box<WebSocketStream<AnyStream>>),
    Events(Lines<BufReader<AnyStream>>),
}

/// The settings of all connections of a process.
pub(super) struct Dialer {
    pub(super) address: SocketAddr,
    pub(super) kind: LinkKind,
    /// Whether what arrives stays unread.
    pub(super) unread: bool,
    tls: Option<TlsConnector>,
}

/// Writes keys and a certificate that gateways and clients share.
pub(super) fn write_keys(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder.join("keys"))?;
    for purpose in [KeyPurpose::Place, KeyPurpose::Pass] {
        let file = folder.join("keys").join(format!("{purpose}.json"));
        std::fs::write(file, new_key_file(purpose, None, None)?)?;
    }
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(folder.join(CERTIFICATE.0), own.cert.pem())?;
    std::fs::write(folder.join(CERTIFICATE.1), own.signing_key.serialize_pem())?;
    Ok(())
}

impl Dialer {
    pub(super) fn new(
        address: SocketAddr,
        kind: LinkKind,
        unread: bool,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let tls = match folder {
            Some(folder) if kind.is_tls() => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(folder.join(CERTIFICATE.0))?)?;
                let config = ClientConfig::builder().with_root_certificates(roots);
                Some(TlsConnector::from(Arc::new(config.with_no_client_auth())))
            }
            _ => None,
        };
        Ok(Self { address, kind, unread, tls })
    }

    /// Opens a connection of the place with this token.
    pub(super) async fn open(&self, token: Option<&str>) -> Result<ClientLink> {
        let stream = self.stream().await?;
        match self.kind {
            LinkKind::Events | LinkKind::EventsTls => self.events(stream, token).await,
            _ => self.socket(stream, token).await,
        }
    }

    async fn stream(&self) -> Result<AnyStream> {
        let stream = if self.unread {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(SMALL)?;
            socket.connect(self.address).await?
        } else {
            TcpStream::connect(self.address).await?
        };
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("localhost")?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    async fn events(&self, mut stream: AnyStream, token: Option<&str>) -> Result<ClientLink> {
        let token = token.context("an event stream needs a place")?;
        let request = format!(
            "GET /v1/queues/concert/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer \
             {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut lines = BufReader::with_capacity(512, stream).lines();
        if !self.unread {
            let status = lines.next_line().await?.unwrap_or_default();
            if !status.contains(" 200 ") {
                bail!("no event stream: {status}");
            }
        }
        Ok(ClientLink::Events(lines))
    }

    async fn socket(&self, stream: AnyStream, token: Option<&str>) -> Result<ClientLink> {
        let centrifugo = self.kind == LinkKind::Centrifugo;
        let path = if centrifugo { "connection/websocket" } else { "v1/queues/concert/socket" };
        let mut request = format!("ws://{}/{path}", self.address).into_client_request()?;
        let headers = request.headers_mut();
        if !centrifugo {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("bq1"));
        }
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
        }
        let mut config = WebSocketConfig::default();
        (config.read_buffer_size, config.write_buffer_size) = (512, 0);
        let (mut socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        if centrifugo {
            for command in
                [r#"{"id":1,"connect":{}}"#, r#"{"id":2,"subscribe":{"channel":"line"}}"#]
            {
                socket.send(Message::text(command)).await?;
            }
        }
        Ok(ClientLink::Socket(Box::new(socket)))
    }
}

impl ClientLink {
    /// The next text; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        match self {
            Self::Socket(socket) => loop {
                match socket.next().await?.ok()? {
                    // A ping of Centrifugo.
                    Message::Text(text) if text.as_str() == "{}" => {
                        socket.send(Message::text("{}")).await.ok()?;
                    }
                    Message::Text(text) => return Some(text.as_str().to_owned()),
                    _ => {}
                }
            },
            Self::Events(lines) => loop {
                let line = lines.next_line().await.ok()??;
                if let Some(text) = line.strip_prefix("data: ") {
                    return Some(text.to_owned());
                }
            },
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        if let Self::Socket(mut socket) = self {
            let _ = (*socket).close(None).await;
        }
    }
}
