//! TLS and logins of connections to brokers.

use std::fmt;

use bookingq_core::SaslMechanism;

use crate::pem::PemSource;

/// How brokers are reached: by default as plain text and without a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// TLS, if the listeners of the brokers speak it.
    pub tls: Option<KafkaTls>,
    /// How to log in, if the brokers want it.
    pub login: Option<KafkaLogin>,
}

#[cfg(feature = "kafka")]
impl KafkaSecurity {
    /// What is in the files now. A file that cannot be read counts as empty. Blocks as making a
    /// client does, which reads the same files.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut texts = Vec::new();
        if let Some(KafkaTls { ca, identity }) = &self.tls {
            let pair = identity.iter().flat_map(|(certificate, key)| [certificate, key]);
            for source in ca.iter().chain(pair) {
                match source {
                    PemSource::File(path) => texts.extend(std::fs::read(path).unwrap_or_default()),
                    PemSource::Text(text) => texts.extend(text),
                }
            }
        }
        xxhash_rust::xxh3::xxh3_64(&texts)
    }
}

/// What a connection by TLS trusts, and what it presents. By default it trusts the authorities of
/// the system, and presents nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// The authorities that may have signed the brokers' certificates, instead of the system's.
    pub ca: Option<PemSource>,
    /// The client's certificate and its key.
    pub identity: Option<(PemSource, PemSource)>,
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for KafkaLogin {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLogin")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
