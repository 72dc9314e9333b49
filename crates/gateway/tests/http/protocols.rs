//! HTTP/1.1, HTTP/2 and TLS.

use std::sync::Arc;
use std::time::Duration;

use bookingq_serve::tls::{Identity, ServerTls};
use futures::StreamExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

use crate::client::{Connection, LIMIT, get};
use crate::world::{ME, World, join};

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_http_1_and_http_2_without_tls() {
    let world = World::waiting().await;
    let mut one = Connection::open(world.public()).await;
    assert_eq!(one.send(join("{}", &Uuid::new_v4().to_string())).await.status, 201);
    assert_eq!(one.send(get("/v1/queues/concert")).await.status, 200, "the connection is kept");
    let stream = TcpStream::connect(world.public()).await.unwrap();
    let mut two = Connection::http2(stream, &world.host()).await;
    assert_eq!(two.send(join("{}", &Uuid::new_v4().to_string())).await.status, 201);
    assert_eq!(two.send(get("/v1/queues/concert")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_client_chooses_the_protocol() {
    // Fails if another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let tls = ServerTls { identity: Identity { certificate, key }, client_ca: None };
    let world = World::with("stock=9", |config| config.tls = Some(tls)).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(own.cert.pem().as_bytes()).unwrap()).unwrap();
    for (offered, chosen) in [(vec!["h2", "http/1.1"], "h2"), (vec!["http/1.1"], "http/1.1")] {
        let mut config =
            ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(world.public()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
        let mut connection = match chosen {
            "h2" => Connection::http2(stream, "localhost").await,
            _ => Connection::http1(stream, "localhost").await,
        };
        assert_eq!(connection.send(get("/v1/queues/concert")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_connections_streams_are_refused_and_polls_are_answered() {
    let world = World::with("stock=9,latency=1h", |config| config.max_connections = 1).await;
    let joined = world.join("{}").await;
    let bearer = format!("Bearer {}", joined.json()["token"].as_str().unwrap());
    let url = format!("ws://{}/v1/queues/concert/socket", world.host());
    let request = || {
        let mut request = url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "bq1".parse().unwrap());
        request
    };
    let (mut first, _) = connect_async(request()).await.unwrap();
    let hello = timeout(LIMIT, first.next()).await.unwrap().unwrap().unwrap();
    assert!(hello.to_text().unwrap().contains("hello"), "{hello}");
    let Err(Error::Http(refused)) = connect_async(request()).await else { panic!("not refused") };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(world.send(get(ME).with("authorization", &bearer)).await.status, 200);
    first.close(None).await.unwrap();
    let again = async {
        while connect_async(request()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, again).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::waiting().await;
    let mut stream = TcpStream::connect(world.public()).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 431");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_request_is_cut_off_in_time() {
    let world = World::waiting().await;
    let mut silent = TcpStream::connect(world.public()).await.unwrap();
    let mut slow = TcpStream::connect(world.public()).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let (mut first, mut second) = ([0; 1], [0; 1]);
    let both = async { tokio::join!(silent.read(&mut first), slow.read(&mut second)) };
    // Cut off, with or without an answer.
    let _ = timeout(LIMIT + Duration::from_secs(10), both).await.expect("both end");
}
