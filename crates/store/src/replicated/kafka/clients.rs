//! Settings of producers, consumers and administrative clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;

use super::address::KafkaAddress;
use super::security::{KafkaLogin, KafkaSecurity, KafkaTls};
use crate::StoreError;
use crate::pem::PemSource;

/// Consumers whose messages a task awaits.
pub(super) type Consumer = rdkafka::consumer::StreamConsumer<Quiet>;
/// Producers that report each record.
pub(super) type Producer = FutureProducer<Quiet>;
/// Clients that make topics and read their settings.
pub(super) type Admin = rdkafka::admin::AdminClient<Quiet>;

/// How long others may go on using a client that is dropped.
const OTHERS: Duration = Duration::from_secs(10);

/// Takes what librdkafka has to say to the level of details. It repeats itself while a broker is
/// away, and what matters comes back as the error of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}

/// What all clients have in common. A broker that does not answer is left after three seconds, and
/// tried again twice a second.
fn common(address: &KafkaAddress) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address.bootstrap())
        .set("client.id", "bookingq")
        .set("socket.timeout.ms", "3000")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("socket.connection.setup.timeout.ms", "3000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set_log_level(RDKafkaLogLevel::Warning);
    secure(&mut config, address.security());
    config
}

/// How brokers are reached. The files are read when the client is made, and not again.
fn secure(config: &mut ClientConfig, security: &KafkaSecurity) {
    let KafkaSecurity { tls, login } = security;
    let protocol = match (tls, login) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    let mut pem = |name: &str, source: &PemSource| {
        match source {
            PemSource::File(path) => config.set(format!("{name}.location"), path.to_string_lossy()),
            PemSource::Text(text) => {
                config.set(format!("{name}.pem"), String::from_utf8_lossy(text))
            }
        };
    };
    if let Some(KafkaTls { ca, identity }) = tls {
        if let Some(ca) = ca {
            pem("ssl.ca", ca);
        }
        if let Some((certificate, key)) = identity {
            pem("ssl.certificate", certificate);
            pem("ssl.key", key);
        }
        if ca.is_none() {
            // Where systems keep their authorities: OpenSSL may have been built for another place.
            config.set("ssl.ca.location", "probe");
        }
    }
    if let Some(KafkaLogin { mechanism, user, password }) = login {
        config
            .set("sasl.mechanism", mechanism.wire_name())
            .set("sasl.username", user)
            .set("sasl.password", password);
    }
}

/// A producer that waits for all replicas in sync. One record is on its way, so that idempotence
/// would add nothing to what an envelope's number does.
fn producer(address: &KafkaAddress) -> Result<Arc<Producer>, StoreError> {
    let mut config = common(address);
    config
        .set("acks", "all")
        .set("enable.idempotence", "false")
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        .set("message.max.bytes", "1000000")
        .set("request.timeout.ms", "3000")
        .set("message.timeout.ms", "4500");
    config.create_with_context(Quiet).map(Arc::new).map_err(|error| failed(&error))
}

/// A producer that is made again when the certificates in its files were renewed: a client reads
/// them only when it is made.
pub(super) struct RenewedProducer {
    address: KafkaAddress,
    /// The producer, and what was in the files before it was made.
    made: Mutex<(u64, Arc<Producer>)>,
}

impl RenewedProducer {
    pub(super) fn new(address: &KafkaAddress) -> Result<Self, StoreError> {
        let files = address.security().fingerprint();
        let made = Mutex::new((files, producer(address)?));
        Ok(Self { address: address.clone(), made })
    }

    /// The newest one.
    pub(super) fn get(&self) -> Arc<Producer> {
        Arc::clone(&self.made.lock().1)
    }

    /// Makes it again.
    pub(super) fn replace(&self) -> Result<(), StoreError> {
        self.replace_with(self.address.security().fingerprint())
    }

    fn replace_with(&self, files: u64) -> Result<(), StoreError> {
        let fresh = producer(&self.address)?;
        let (_, old) = std::mem::replace(&mut *self.made.lock(), (files, fresh));
        retire(&old);
        Ok(())
    }

    /// Makes it again if the files have changed. Returns whether it was. Fails with files that are
    /// half written, which are to be looked at again.
    pub(super) async fn renew(self: &Arc<Self>) -> Result<bool, StoreError> {
        let this = Arc::clone(self);
        let renewed = tokio::task::spawn_blocking(move || {
            let files = this.address.security().fingerprint();
            let has_changed = this.made.lock().0 != files;
            if has_changed {
                this.replace_with(files)?;
            }
            Ok(has_changed)
        });
        renewed.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

impl Drop for RenewedProducer {
    fn drop(&mut self) {
        retire(&self.made.lock().1);
    }
}

/// A consumer that reads what it is assigned.
pub(super) fn consumer(address: &KafkaAddress) -> Result<Arc<Consumer>, StoreError> {
    let mut config = reading(address);
    config
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("check.crcs", "true")
        .set("fetch.message.max.bytes", "4000000")
        .set("queued.max.messages.kbytes", "32768");
    config.create_with_context(Quiet).map(Arc::new).map_err(|error| failed(&error))
}

/// A consumer of readings, which may jump: only the newest ones are of interest.
pub(super) fn follower(address: &KafkaAddress) -> Result<Arc<Consumer>, StoreError> {
    let mut config = reading(address);
    config.set("auto.offset.reset", "latest").set("queued.max.messages.kbytes", "4096");
    config.create_with_context(Quiet).map(Arc::new).map_err(|error| failed(&error))
}

/// What consumers have in common. No offset is ever committed: librdkafka asks for the name of a
/// group although there is none.
fn reading(address: &KafkaAddress) -> ClientConfig {
    let mut config = common(address);
    config
        .set("group.id", "bookingq-none")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("max.poll.interval.ms", "86400000")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.error.backoff.ms", "50");
    config
}

/// A client that makes topics, reads their settings and drops records.
pub(super) fn admin(address: &KafkaAddress) -> Result<Arc<Admin>, StoreError> {
    common(address).create_with_context(Quiet).map(Arc::new).map_err(|error| failed(&error))
}

fn failed(error: &KafkaError) -> StoreError {
    StoreError::Settings(format!("the client of Kafka cannot be made: {error}"))
}

/// Drops a client on a thread of its own, because dropping it may wait for a broker. Call it right
/// before the caller's own handle is dropped.
pub(super) fn retire<T: Send + Sync + 'static>(client: &Arc<T>) {
    let client = Arc::clone(client);
    std::thread::spawn(move || {
        let until = Instant::now() + OTHERS;
        while Arc::strong_count(&client) > 1 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(client);
    });
}
