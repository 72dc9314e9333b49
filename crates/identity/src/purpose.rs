//! What a key is for, and the algorithm it is used with.

use std::fmt;

/// The one kind of token that a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Place tokens, which only gateways read.
    Place,
    /// Passes, which the seller reads.
    Pass,
    /// Enqueue tokens, which the seller signs.
    Enqueue,
    /// Tokens of the seller's backend, for payments.
    Backend,
}

impl KeyPurpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Place, Self::Pass, Self::Enqueue, Self::Backend];

    /// The name in key files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Pass => "pass",
            Self::Enqueue => "enqueue",
            Self::Backend => "backend",
        }
    }

    /// The algorithm of a new key, where both sides can use it.
    pub const fn usual_algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Pass => KeyAlgorithm::EdDsa,
            Self::Place | Self::Enqueue | Self::Backend => KeyAlgorithm::Hs256,
        }
    }
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A JWS algorithm (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256: one secret signs and verifies.
    Hs256,
    /// Ed25519: the private key signs, the public key verifies.
    EdDsa,
}

impl KeyAlgorithm {
    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
