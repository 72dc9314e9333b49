//! A connection to a broker beside those of the client library: as plain text or by TLS, and logged
//! in if need be.

use std::sync::Arc;

use bookingq_core::SaslMechanism;
use rand::distr::{Alphanumeric, SampleString as _};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::scram::{ScramHash, ScramLogin};
use super::security::{KafkaLogin, KafkaSecurity};
use crate::tls_client;

/// The keys of the requests of a login, and the versions that are spoken.
const HANDSHAKE: (i16, i16) = (17, 1);
const AUTHENTICATE: (i16, i16) = (36, 0);
/// The error code of a mechanism that the broker does not have.
const UNSUPPORTED_MECHANISM: i16 = 33;
/// Longest answer that is read.
const MAX_ANSWER: u32 = 4 << 20;
/// Characters of a nonce: 190 bits.
const NONCE: usize = 32;

/// A connection that requests can be sent by.
pub(super) struct BrokerConnection(Box<dyn Duplex>);

/// How to connect to brokers: what a [`KafkaSecurity`] says, with the certificates of now.
#[derive(Clone)]
pub(super) struct BrokerEntry {
    tls: Option<TlsConnector>,
    login: Option<KafkaLogin>,
}

impl BrokerEntry {
    /// Reads the certificates, which may have been renewed since the last connection.
    pub(super) async fn read(security: &KafkaSecurity) -> Result<Self, String> {
        let tls = match &security.tls {
            None => None,
            Some(tls) => {
                let config = tls_client::client_config(tls.ca.as_ref(), tls.identity.as_ref());
                Some(TlsConnector::from(Arc::new(config.await?)))
            }
        };
        Ok(Self { tls, login: security.login.clone() })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl BrokerConnection {
    /// Connects to HOST:PORT and logs in.
    pub(super) async fn open(broker: &str, entry: &BrokerEntry) -> Result<Self, String> {
        let stream = TcpStream::connect(broker).await.map_err(|error| error.to_string())?;
        let mut connection = match &entry.tls {
            None => Self(Box::new(stream)),
            Some(connector) => {
                let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
                let host = host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
                let stream = connector.connect(name, stream).await;
                Self(Box::new(stream.map_err(|error| format!("no TLS with it: {error}"))?))
            }
        };
        if let Some(login) = &entry.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    /// Sends a request, without its length, and returns the answer, without its own.
    pub(super) async fn ask(&mut self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut framed = (request.len() as u32).to_be_bytes().to_vec();
        framed.extend(request);
        self.0.write_all(&framed).await?;
        self.0.flush().await?;
        let length = self.0.read_u32().await?;
        if length > MAX_ANSWER {
            return Err(std::io::Error::other("it does not speak Kafka's protocol"));
        }
        let mut answer = vec![0; length as usize];
        self.0.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn log_in(&mut self, login: &KafkaLogin) -> Result<(), String> {
        let KafkaLogin { mechanism, user, password } = login;
        self.choose(*mechanism).await?;
        let hash = match mechanism {
            SaslMechanism::Plain => {
                return self.prove(&format!("\0{user}\0{password}")).await.map(drop);
            }
            SaslMechanism::ScramSha256 => ScramHash::sha256(),
            SaslMechanism::ScramSha512 => ScramHash::sha512(),
        };
        let nonce = Alphanumeric.sample_string(&mut rand::rng(), NONCE);
        let scram = ScramLogin::new(hash, user, &nonce);
        let server = self.prove(&scram.first()).await?;
        let refused = |why: &str| format!("{mechanism} with it fails: {why}");
        let (proof, signature) = scram.proof(password, &server).map_err(refused)?;
        let last = self.prove(&proof).await?;
        if signature.is_in(&last) { Ok(()) } else { Err(refused("it does not know the password")) }
    }

    /// Asks for a mechanism.
    async fn choose(&mut self, mechanism: SaslMechanism) -> Result<(), String> {
        let mut request = head(HANDSHAKE);
        let name = mechanism.wire_name();
        request.extend((name.len() as u16).to_be_bytes());
        request.extend(name.as_bytes());
        let no_answer = |error| format!("it does not let {mechanism} begin: {error}");
        let answer = self.ask(&request).await.map_err(no_answer)?;
        match LoginAnswer(&answer).error() {
            Some(0) => Ok(()),
            Some(UNSUPPORTED_MECHANISM) => Err(format!("it has no logins by {mechanism}")),
            code => Err(format!("it refuses {mechanism} with error {}", code.unwrap_or(-1))),
        }
    }

    /// Sends one message of a mechanism and returns the broker's.
    async fn prove(&mut self, message: &str) -> Result<String, String> {
        let mut request = head(AUTHENTICATE);
        request.extend((message.len() as u32).to_be_bytes());
        request.extend(message.as_bytes());
        let closed = |error| format!("the login broke off: {error}");
        let answer = self.ask(&request).await.map_err(closed)?;
        let mut answer = LoginAnswer(&answer);
        let code = answer.error().unwrap_or(-1);
        let why = answer.text();
        if code != 0 {
            let why = why.unwrap_or_else(|| format!("error {code}"));
            return Err(format!("the login is refused: {why}"));
        }
        answer.bytes().ok_or_else(|| "its answer to the login cannot be read".to_owned())
    }
}

/// The head of a request, without the name of a client.
fn head((key, version): (i16, i16)) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
    bytes
}

/// What is left of an answer to a request of a login.
struct LoginAnswer<'a>(&'a [u8]);

impl LoginAnswer<'_> {
    /// The error code, after the number of the request.
    fn error(&mut self) -> Option<i16> {
        let (_, rest) = self.0.split_at_checked(4)?;
        let (code, rest) = rest.split_at_checked(2)?;
        self.0 = rest;
        Some(i16::from_be_bytes(code.try_into().ok()?))
    }

    /// A text, which may be none.
    fn text(&mut self) -> Option<String> {
        let (length, rest) = self.0.split_at_checked(2)?;
        self.0 = rest;
        let length = usize::try_from(i16::from_be_bytes(length.try_into().ok()?)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// Bytes that are a text.
    fn bytes(&mut self) -> Option<String> {
        let (length, rest) = self.0.split_at_checked(4)?;
        let length = usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok()?;
        String::from_utf8(rest.get(..length)?.to_vec()).ok()
    }
}
