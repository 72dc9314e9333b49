//! The arguments that say how Kafka's brokers are reached.

use std::path::PathBuf;

use bookingq_core::SaslMechanism;
use clap::Args;
use serde::Serialize;

use super::{InvalidArgs, with_env};
use crate::plan::KafkaPlan;

/// Names the password of `--kafka-user` in the environment.
pub const KAFKA_PASSWORD: &str = "BOOKINGQ_KAFKA_PASSWORD";

/// TLS and the login of connections to Kafka. The password is in none of its fields: it comes from
/// the environment, [`KAFKA_PASSWORD`], or from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Kafka", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct KafkaArgs {
    /// Reach Kafka's brokers by TLS; the other flags of --kafka-tls mean it too
    #[arg(id = "kafka-tls", long = "kafka-tls")]
    #[serde(rename = "kafka-tls")]
    pub tls: bool,
    /// Certificate authority that signs the brokers' certificates (PEM) [default: the system's]
    #[arg(id = "kafka-tls-ca", long = "kafka-tls-ca", value_name = "FILE")]
    #[serde(rename = "kafka-tls-ca")]
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM), for brokers that want one
    #[arg(
        id = "kafka-tls-cert",
        long = "kafka-tls-cert",
        value_name = "FILE",
        requires = "kafka-tls-key"
    )]
    #[serde(rename = "kafka-tls-cert")]
    pub certificate: Option<PathBuf>,
    /// Client key (PEM), for brokers that want one
    #[arg(
        id = "kafka-tls-key",
        long = "kafka-tls-key",
        value_name = "FILE",
        requires = "kafka-tls-cert"
    )]
    #[serde(rename = "kafka-tls-key")]
    pub key: Option<PathBuf>,
    /// How to log in at Kafka's brokers: scram-sha-512, scram-sha-256 or plain (with TLS only)
    /// [default: scram-sha-512, if there is a user]
    #[arg(
        id = "kafka-sasl-mechanism",
        long = "kafka-sasl-mechanism",
        value_name = "NAME",
        requires = "kafka-user"
    )]
    #[serde(rename = "kafka-sasl-mechanism")]
    pub mechanism: Option<SaslMechanism>,
    /// User at Kafka's brokers. The password is in the environment: BOOKINGQ_KAFKA_PASSWORD
    #[arg(id = "kafka-user", long = "kafka-user", value_name = "NAME")]
    #[serde(rename = "kafka-user")]
    pub user: Option<String>,
    /// File with the password of --kafka-user, instead of BOOKINGQ_KAFKA_PASSWORD
    #[arg(
        id = "kafka-password-file",
        long = "kafka-password-file",
        value_name = "FILE",
        requires = "kafka-user"
    )]
    #[serde(rename = "kafka-password-file")]
    pub password_file: Option<PathBuf>,
}

impl KafkaArgs {
    /// Those of a plan, without files.
    pub(super) fn of(plan: &KafkaPlan) -> Self {
        Self {
            tls: plan.tls.is_some(),
            mechanism: plan.sasl.as_ref().map(|sasl| sasl.mechanism.into()),
            user: plan.sasl.as_ref().map(|sasl| sasl.username.clone()),
            ..Self::default()
        }
    }

    /// Whether the brokers are reached by TLS.
    pub fn has_tls(&self) -> bool {
        self.tls || self.ca.is_some() || self.certificate.is_some()
    }

    /// The user and the mechanism of the login, if one is set.
    ///
    /// # Errors
    /// [`InvalidArgs`] if the login would show the password to others.
    pub fn login(&self) -> Result<Option<(&str, SaslMechanism)>, InvalidArgs> {
        let Some(user) = &self.user else { return Ok(None) };
        let mechanism = self.mechanism.unwrap_or(SaslMechanism::ScramSha512);
        if mechanism == SaslMechanism::Plain && !self.has_tls() {
            return Err(InvalidArgs {
                flag: "kafka-sasl-mechanism".to_owned(),
                value: mechanism.to_string(),
                allowed: "scram-sha-512 and scram-sha-256; plain with --kafka-tls or \
                          --kafka-tls-ca only, since it sends the password itself"
                    .to_owned(),
            });
        }
        Ok(Some((user, mechanism)))
    }
}
