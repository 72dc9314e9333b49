//! Brokers that want TLS, certificates and logins.

use std::time::Duration;

use bookingq_core::SaslMechanism;
use bookingq_harness::wait::{answered, eventually};
use bookingq_harness::{KafkaCluster, KafkaOptions, KafkaProtocol};
use bookingq_store::replicated::{
    KafkaAddress, KafkaConfig, KafkaLogin, KafkaReadings, KafkaSecurity, KafkaTls, create_topics,
    ensure_topics,
};
use bookingq_store::{Store, StoreError};

use crate::broker::{address, config, queue};
use crate::certificates::Files;
use crate::support::{enqueue, joins};

const SECOND: Duration = Duration::from_secs(1);

/// The settings of brokers with the certificates of `files`.
fn with_tls(files: &Files, clients: &str) -> Vec<(String, String)> {
    let (certificate, key) = ("server.crt", "server.key");
    let both = [key, certificate].map(|file| std::fs::read_to_string(files.path(file)).unwrap());
    std::fs::write(files.path("server.pem"), both.concat()).unwrap();
    let path = |file| files.path(file).display().to_string();
    [
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", path("server.pem")),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.crt")),
        ("ssl.client.auth", clients.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The settings of brokers at which ann and ben log in.
fn with_logins(protocol: &str) -> Vec<(String, String)> {
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required \
                 username=\"ann\" password=\"of ann\";";
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_ben=\"of ben\";";
    let jaas = |name, module: &str| {
        (format!("listener.name.{protocol}.{name}.sasl.jaas.config"), module.to_owned())
    };
    let mechanisms = "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN".to_owned();
    vec![
        ("sasl.enabled.mechanisms".to_owned(), mechanisms),
        ("sasl.mechanism.inter.broker.protocol".to_owned(), "SCRAM-SHA-512".to_owned()),
        jaas("scram-sha-512", scram),
        jaas("scram-sha-256", scram),
        jaas("plain", plain),
    ]
}

fn users() -> Vec<(&'static str, String, String)> {
    ["SCRAM-SHA-512", "SCRAM-SHA-256"]
        .map(|mechanism| (mechanism, "ann".to_owned(), "of ann".to_owned()))
        .into()
}

fn login(mechanism: SaslMechanism, user: &str, password: &str) -> KafkaLogin {
    KafkaLogin { mechanism, user: user.to_owned(), password: password.to_owned() }
}

fn trusting(files: &Files) -> KafkaTls {
    KafkaTls { ca: Some(files.pem("ca.crt")), identity: None }
}

/// Makes the topics of a queue, and a booking in it.
async fn works(address: &KafkaAddress) {
    let queue = queue();
    answered(30 * SECOND, async || create_topics(address, &queue, 1).await).await;
    let replicated = config(queue);
    let store = bookingq_store::open(KafkaConfig { address: address.clone(), replicated }).unwrap();
    store.open().await.unwrap();
    store.enqueue(vec![enqueue("ann")]).await.unwrap();
}

/// Why the topics of a queue cannot be made.
async fn refused(address: &KafkaAddress) -> String {
    let refusal = create_topics(address, &queue(), 1).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal}");
    let line = refusal.to_string();
    assert!(!line.contains('\n'), "{line}");
    assert!(!line.contains("of ann"), "it shows a password: {line}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_with_tls_are_reached_by_whom_they_know_and_who_knows_them() {
    let (files, others) = (Files::issue("127.0.0.1"), Files::issue("127.0.0.1"));
    let options = KafkaOptions {
        protocol: KafkaProtocol::Ssl,
        properties: with_tls(&files, "required"),
        ..KafkaOptions::default()
    };
    let mut cluster = KafkaCluster::start_with(1, &options).unwrap();
    let by = |tls| address(&cluster).with_security(KafkaSecurity { tls: Some(tls), login: None });
    let identity = Some((files.pem("client.crt"), files.pem("client.key")));
    let known = KafkaTls { identity, ..trusting(&files) };
    works(&by(known.clone())).await;
    let stranger = refused(&by(KafkaTls { ca: Some(others.pem("ca.crt")), ..known.clone() })).await;
    assert!(stranger.contains("invalid peer certificate"), "{stranger}");
    let missing = refused(&by(KafkaTls { ca: Some(files.pem("none")), ..known.clone() })).await;
    assert!(missing.contains("cannot read") && missing.contains("none"), "{missing}");
    // Refusals of a client's certificate come with the first answer, not with the handshake.
    refused(&by(trusting(&files))).await;
    refused(&address(&cluster)).await;

    // All certificates are renewed, those of the brokers when they start again.
    let (address, queue) = (by(known), queue());
    answered(30 * SECOND, async || ensure_topics(&address, &queue, 1).await).await;
    let readings = KafkaReadings::follow(&address).unwrap();
    let replicated = config(queue.clone());
    let store = bookingq_store::open(KafkaConfig { address, replicated }).unwrap();
    joins(&*store, "before", 20 * SECOND).await;
    reads(&*store, &readings, 1).await;
    files.renew("127.0.0.1");
    with_tls(&files, "required");
    cluster.kill(0);
    cluster.restart(0).unwrap();
    joins(&*store, "after", 30 * SECOND).await;
    reads(&*store, &readings, 2).await;
}

/// Publishes readings until one with so many bookings arrives.
async fn reads(store: &dyn Store, readings: &KafkaReadings, enqueued: u64) {
    eventually("a reading arrives", 60 * SECOND, async || {
        if let Ok(snapshot) = store.snapshot().await {
            store.publish_reading(&snapshot).await.ok();
        }
        readings.newest(store.queue()).is_some_and(|(found, _)| found.totals.enqueued == enqueued)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_certificates_are_put_right_after_its_start_serves() {
    let (files, worker) = (Files::issue("127.0.0.1"), Files::issue("127.0.0.1"));
    let options = KafkaOptions {
        protocol: KafkaProtocol::Ssl,
        properties: with_tls(&files, "required"),
        ..KafkaOptions::default()
    };
    let cluster = KafkaCluster::start_with(1, &options).unwrap();
    let by = |files: &Files| {
        let identity = Some((files.pem("client.crt"), files.pem("client.key")));
        let tls = Some(KafkaTls { identity, ..trusting(files) });
        address(&cluster).with_security(KafkaSecurity { tls, login: None })
    };
    let queue = queue();
    answered(30 * SECOND, async || ensure_topics(&by(&files), &queue, 1).await).await;
    let readings = KafkaReadings::follow(&by(&files)).unwrap();
    // Those of an authority that the broker does not know, as it does not know expired ones.
    let open = KafkaConfig { address: by(&worker), replicated: config(queue) };
    let store = bookingq_store::open(open).unwrap();
    let error = store.open().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    for file in ["ca.crt", "client.crt", "client.key"] {
        std::fs::copy(files.path(file), worker.path(file)).unwrap();
    }
    eventually("the store opens", 60 * SECOND, async || store.open().await.is_ok()).await;
    joins(&*store, "after", 30 * SECOND).await;
    reads(&*store, &readings, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_by_scram_and_plain_through_tls() {
    let files = Files::issue("127.0.0.1");
    let mut properties = with_tls(&files, "none");
    properties.extend(with_logins("sasl_ssl"));
    let options = KafkaOptions {
        protocol: KafkaProtocol::SaslSsl,
        users: users(),
        properties,
        ..KafkaOptions::default()
    };
    let cluster = KafkaCluster::start_with(1, &options).unwrap();
    let by = |login| {
        let tls = Some(trusting(&files));
        address(&cluster).with_security(KafkaSecurity { tls, login })
    };
    works(&by(Some(login(SaslMechanism::ScramSha512, "ann", "of ann")))).await;
    works(&by(Some(login(SaslMechanism::ScramSha256, "ann", "of ann")))).await;
    works(&by(Some(login(SaslMechanism::Plain, "ben", "of ben")))).await;
    for (mechanism, user) in [
        (SaslMechanism::ScramSha512, "ann"),
        (SaslMechanism::ScramSha256, "eve"),
        (SaslMechanism::Plain, "ben"),
    ] {
        let line = refused(&by(Some(login(mechanism, user, "of another")))).await;
        assert!(line.contains("the login is refused"), "{line}");
    }
    refused(&by(None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_tls_and_a_mechanism_that_brokers_do_not_have() {
    let mut properties = with_logins("sasl_plaintext");
    properties[0].1 = "SCRAM-SHA-512".to_owned();
    let options = KafkaOptions {
        protocol: KafkaProtocol::SaslPlaintext,
        users: users(),
        properties,
        ..KafkaOptions::default()
    };
    let cluster = KafkaCluster::start_with(1, &options).unwrap();
    let by = |login| address(&cluster).with_security(KafkaSecurity { tls: None, login });
    works(&by(Some(login(SaslMechanism::ScramSha512, "ann", "of ann")))).await;
    let line = refused(&by(Some(login(SaslMechanism::ScramSha256, "ann", "of ann")))).await;
    assert!(line.contains("no logins by scram-sha-256"), "{line}");
}
