//! A queue in Kafka whose brokers want TLS and a login.

use std::collections::BTreeMap;
use std::path::Path;

use bookingq_core::SaslMechanism;
use bookingq_harness::wait::eventually;
use bookingq_harness::{KafkaCluster, KafkaOptions, KafkaProtocol};
use bookingq_store::redis::PemSource;
use bookingq_store::replicated::{KafkaLogin, KafkaSecurity, KafkaTls};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::kafka::{ReportingWorker, address, queue};
use crate::testbed::Testbed;

const USER: &str = "ann";
const PASSWORD: &str = "of ann";

/// An authority, in PEM, and a file with the key and the certificate of the brokers.
fn certificates(folder: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    // A certificate with the name of its issuer counts as self-signed.
    params.distinguished_name.push(DnType::CommonName, "broker");
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    std::fs::write(folder.join("server.pem"), key.serialize_pem() + &certificate).unwrap();
    std::fs::write(folder.join("ca.crt"), &ca).unwrap();
    ca
}

/// A broker that takes TLS with a login by SCRAM only.
fn broker(folder: &Path) -> KafkaCluster {
    let login = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"{USER}\" password=\"{PASSWORD}\";"
    );
    let path = |file| folder.join(file).display().to_string();
    let properties = [
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", path("server.pem")),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.crt")),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512".to_owned()),
        ("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512".to_owned()),
        ("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", login),
    ];
    let options = KafkaOptions {
        protocol: KafkaProtocol::SaslSsl,
        users: vec![("SCRAM-SHA-512", USER.to_owned(), PASSWORD.to_owned())],
        properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
        ..KafkaOptions::default()
    };
    KafkaCluster::start_with(1, &options).unwrap()
}

async fn create_secret(testbed: &Testbed, name: &str, key: &str, value: &str) {
    let secret = Secret {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([(key.to_owned(), ByteString(value.into()))])),
        ..Secret::default()
    };
    testbed.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
}

/// The versions of the Secrets in the workers' template.
async fn secrets_of_workers(testbed: &Testbed) -> Option<String> {
    let template = testbed.deployment().await?.spec?.template.metadata?;
    template.annotations?.remove("bookingqueue.dev/secrets")
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_with_tls_and_a_login_are_reached_with_the_secrets_of_the_spec() {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path());
    let (testbed, kafka) = (Testbed::new("secured").await, broker(folder.path()));
    let operator = testbed.operator(Budget::unlimited());
    create_secret(&testbed, "kafka-tls", "ca.crt", &ca).await;
    create_secret(&testbed, "kafka-user", "password", "of another").await;
    testbed
        .create(json!({
            "kafka": {
                "bootstrap": kafka.bootstrap(), "replication": 1,
                "tls": { "secretName": "kafka-tls" },
                "sasl": {
                    "username": USER,
                    "passwordSecret": { "name": "kafka-user", "key": "password" },
                },
            },
            "worker": { "concurrency": 1 },
        }))
        .await;
    testbed.until_argument("--kafka-tls-ca=/etc/bookingq/kafka-tls/ca.crt").await;
    testbed.until_argument("--kafka-user=ann").await;
    testbed.until_condition("KafkaReady", "False", "Unreachable").await;
    let before = secrets_of_workers(&testbed).await;
    assert!(before.as_ref().is_some_and(|secrets| secrets.contains("kafka-user@")), "{before:?}");

    // The right password restarts the workers, and the operator logs in with it.
    let right = Patch::Merge(json!({ "stringData": { "password": PASSWORD } }));
    testbed.api::<Secret>().patch("kafka-user", &PatchParams::default(), &right).await.unwrap();
    eventually("a restart of the workers", LIMIT, async || {
        secrets_of_workers(&testbed).await != before
    })
    .await;
    testbed.until_condition("KafkaReady", "False", "NoReadings").await;

    let tls = KafkaTls { ca: Some(PemSource::Text(ca.into())), identity: None };
    let login = KafkaLogin {
        mechanism: SaslMechanism::ScramSha512,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
    };
    let address =
        address(&kafka).with_security(KafkaSecurity { tls: Some(tls), login: Some(login) });
    let _worker = ReportingWorker::start(&address, &queue(&testbed)).await;
    testbed.until_condition("KafkaReady", "True", "Reachable").await;
    operator.stop().await;
}
