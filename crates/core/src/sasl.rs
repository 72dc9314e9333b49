//! How a client logs in at Kafka's brokers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Invalid;

/// A mechanism of SASL: how a user proves to know a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum SaslMechanism {
    /// SCRAM with SHA-512. The broker learns no password.
    ScramSha512,
    /// SCRAM with SHA-256. The broker learns no password.
    ScramSha256,
    /// The password itself, so only where TLS hides it.
    Plain,
}

impl SaslMechanism {
    /// All of them, the strongest one first.
    pub const ALL: [Self; 3] = [Self::ScramSha512, Self::ScramSha256, Self::Plain];

    /// Its name on the command line and in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha512 => "scram-sha-512",
            Self::ScramSha256 => "scram-sha-256",
            Self::Plain => "plain",
        }
    }

    /// Its name in the protocol.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<SaslMechanism> for &'static str {
    fn from(mechanism: SaslMechanism) -> Self {
        mechanism.as_str()
    }
}

impl TryFrom<String> for SaslMechanism {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl FromStr for SaslMechanism {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|mechanism| mechanism.as_str() == text);
        found.ok_or_else(|| {
            Invalid::new("the SASL mechanism", text, "scram-sha-512, scram-sha-256 or plain")
        })
    }
}
