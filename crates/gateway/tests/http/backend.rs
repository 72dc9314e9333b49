//! Payments come over the backend port only, from a caller that is known.

use std::path::{Path, PathBuf};

use bookingq_gateway::config::KeySource;
use bookingq_identity::{BackendClaims, KeyPurpose, KeyRing, new_key_file};
use serde_json::{Value, json};

use crate::client::{Answer, Ask, post, send};
use crate::world::{World, local};

const PAYMENTS: &str = "/v1/queues/concert/payments";

fn keys(folder: &Path) -> KeyRing {
    for (name, purpose) in
        [("place", KeyPurpose::Place), ("pass", KeyPurpose::Pass), ("backend", KeyPurpose::Backend)]
    {
        let text = new_key_file(purpose, Some(name), None).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }
    KeyRing::load(folder).unwrap()
}

/// A token of the seller's backend.
fn token(ring: &KeyRing) -> String {
    let now = bookingq_gateway::place_json::wall_clock();
    let claims = BackendClaims {
        backend: "seller".to_owned(),
        queue: None,
        expires_at: now + std::time::Duration::from_secs(60),
    };
    let key = ring.signing(KeyPurpose::Backend, now).unwrap();
    format!("Bearer {}", claims.sign(key).unwrap())
}

async fn world(folder: &Path) -> World {
    let source = KeySource::Folder(folder.to_owned());
    World::with("stock=5", |config| config.keys = source).await
}

async fn pay(world: &World, ask: Ask) -> Answer {
    send(world.gateway.backend_addr().unwrap(), ask).await
}

fn problem(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["reason"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_backend_pays_by_pass_or_by_ids_and_no_other_caller_does() {
    let folder = tempfile::tempdir().unwrap();
    let bearer = token(&keys(folder.path()));
    let world = world(folder.path()).await;
    let joined = world.join("{}").await;
    world.until(&joined.cookie(), "reserved").await;
    let pass =
        post("/v1/queues/concert/places/me/pass", "").browser(&joined.cookie(), &world.host());
    let pass = world.send(pass).await.json()["pass"].clone();
    let body = json!({"paymentId": "p1", "pass": pass}).to_string();
    let required = (401, json!("BACKEND_UNAUTHORIZED"));
    assert_eq!(problem(&pay(&world, post(PAYMENTS, &body)).await), required);
    let place_token = format!("Bearer {}", joined.json()["token"].as_str().unwrap());
    let by_client = pay(&world, post(PAYMENTS, &body).with("authorization", &place_token)).await;
    assert_eq!(problem(&by_client), required);
    let public = world.send(post(PAYMENTS, &body).with("authorization", &bearer)).await;
    assert_eq!(problem(&public), (404, json!("NOT_FOUND")), "not on the public port");
    let paid = pay(&world, post(PAYMENTS, &body).with("authorization", &bearer)).await;
    assert_eq!(paid.status, 200, "{paid:?}");
    let state = paid.json()["place"]["state"].clone();
    assert!(state == "confirmed" || state == "confirming", "{state}");
    let ids = json!({
        "paymentId": "p1",
        "clientId": paid.json()["clientId"],
        "bookingId": paid.json()["place"]["bookingId"]
    });
    let again = pay(&world, post(PAYMENTS, &ids.to_string()).with("authorization", &bearer)).await;
    assert_eq!(again.status, 200, "a repeat: {again:?}");
    let second = json!({"paymentId": "p2", "pass": pass}).to_string();
    let second = pay(&world, post(PAYMENTS, &second).with("authorization", &bearer)).await;
    assert_eq!(problem(&second), (409, json!("ALREADY_FINAL")));
    world.until(&joined.cookie(), "confirmed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_a_booking_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let bearer = token(&keys(folder.path()));
    let world = world(folder.path()).await;
    let table = [
        (json!({"paymentId": "p"}), "pass"),
        (json!({"paymentId": "p", "clientId": "a"}), "pass"),
        (json!({"paymentId": "p", "pass": "a.b.c"}), "pass"),
        (json!({"paymentId": "p", "clientId": "a", "bookingId": "b"}), "bookingId"),
        (json!({"pass": "a.b.c"}), "paymentId"),
        (json!({"paymentId": "p", "pass": "a.b.c", "amount": 1}), "amount"),
    ];
    for (body, field) in table {
        let answer = pay(&world, post(PAYMENTS, &body.to_string()).with("authorization", &bearer));
        let problem = answer.await.json();
        assert_eq!(
            (&problem["reason"], &problem["field"]),
            (&json!("INVALID_ARGUMENT"), &json!(field))
        );
    }
    let unknown = json!({
        "paymentId": "p", "clientId": "ann", "bookingId": uuid::Uuid::new_v4().to_string()
    });
    let unknown = pay(&world, post(PAYMENTS, &unknown.to_string()).with("authorization", &bearer));
    assert_eq!(problem(&unknown.await), (404, json!("BOOKING_NOT_FOUND")));
}

/// A CA, and certificates that it signed.
struct Authority {
    folder: PathBuf,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).unwrap().pem();
        Self { folder: folder.to_owned(), issuer: rcgen::Issuer::new(ca, key), pem }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_authority_the_certificate_is_required_and_is_enough() {
    use std::sync::Arc;

    use bookingq_gateway::config::BackendConfig;
    use bookingq_serve::tls::{Identity, ServerTls};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio::net::TcpStream;

    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTls {
        identity: Identity {
            certificate: authority.write("tls.crt", &certificate),
            key: authority.write("tls.key", &key),
        },
        client_ca: Some(authority.write("ca.crt", &authority.pem)),
    };
    let world = World::with("stock=5", |config| {
        config.backend = Some(BackendConfig { listen: local(), tls: Some(tls) });
    })
    .await;
    let port = world.gateway.backend_addr().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let trust = || rustls::ClientConfig::builder().with_root_certificates(roots.clone());
    let (certificate, key) = authority.issue("seller");
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let known = trust().with_client_auth_cert(vec![certificate], key).unwrap();
    let body =
        json!({"paymentId": "p", "clientId": "ann", "bookingId": uuid::Uuid::new_v4().to_string()});
    for (config, is_known) in [(known, true), (trust().with_no_client_auth(), false)] {
        let stream = TcpStream::connect(port).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut connection = crate::client::Connection::http1(
            connector.connect(name, stream).await.unwrap(),
            "localhost",
        )
        .await;
        let answer = connection.try_send(post(PAYMENTS, &body.to_string())).await;
        match answer {
            Ok(answer) if is_known => {
                assert_eq!(problem(&answer), (404, json!("BOOKING_NOT_FOUND")));
            }
            Err(_) if !is_known => {}
            other => panic!("known: {is_known}, {other:?}"),
        }
    }
}
