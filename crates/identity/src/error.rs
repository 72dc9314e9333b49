//! Why a token, a key or a signature is refused. No error contains a secret, a token or a claim.

use std::path::PathBuf;

use crate::purpose::{KeyAlgorithm, KeyPurpose};

/// A token that does not pass a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token that is valid here.
    #[error("the token has {bytes} bytes; allowed: at most {allowed}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        allowed: usize,
    },
    /// Not a compact JWS.
    #[error("the token is no compact JWS: {0}")]
    Malformed(&'static str),
    /// The header requires something that is not understood here (`crit`).
    #[error("the token's header has `crit`, which is not supported")]
    Critical,
    /// No key has this `kid`, or the key is not valid yet.
    #[error("the token's kid {0} names no key that is valid now")]
    UnknownKey(String),
    /// The key of this `kid` signs other kinds of tokens.
    #[error("the token's key {kid} has the purpose {purpose}; needed: {needed}")]
    WrongPurpose {
        /// The key.
        kid: String,
        /// Its purpose.
        purpose: KeyPurpose,
        /// The purpose of a key for this kind of token.
        needed: KeyPurpose,
    },
    /// The header's `alg` is not the algorithm of the key.
    #[error("the token's alg differs from the {needed} of its key {kid}")]
    WrongAlgorithm {
        /// The key.
        kid: String,
        /// Its algorithm.
        needed: KeyAlgorithm,
    },
    /// Altered, or signed by another key.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Signed as it must be, but a claim is missing or has a wrong type or value.
    #[error("the token's claim `{claim}` is missing or invalid; allowed: {allowed}")]
    BadClaim {
        /// Its name.
        claim: &'static str,
        /// The allowed values.
        allowed: &'static str,
    },
    /// The claims are no JSON object of this kind of token.
    #[error("the token's claims are not those of a {0}")]
    BadClaims(&'static str),
    /// `exp` has passed.
    #[error("the token expired {seconds} s ago")]
    Expired {
        /// How long ago.
        seconds: u64,
    },
    /// `exp` is further away than this kind of token may live.
    #[error("the token expires in {seconds} s; allowed: at most {allowed}")]
    LivesTooLong {
        /// Time left.
        seconds: u64,
        /// The limit.
        allowed: u64,
    },
    /// `nbf` or `iat` is in the future.
    #[error("the token's `{0}` is in the future")]
    NotYetValid(&'static str),
    /// For another queue.
    #[error("the token is for another queue")]
    WrongQueue,
    /// From another issuer.
    #[error("the token's `iss` is another issuer")]
    WrongIssuer,
    /// For another audience.
    #[error("the token's `aud` is another audience")]
    WrongAudience,
}

impl TokenError {
    /// The failed check as a stable word, for metrics and logs.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "length",
            Self::Malformed(_) => "format",
            Self::Critical => "crit",
            Self::UnknownKey(_) => "kid",
            Self::WrongPurpose { .. } => "purpose",
            Self::WrongAlgorithm { .. } => "alg",
            Self::BadSignature => "signature",
            Self::BadClaim { .. } | Self::BadClaims(_) => "claims",
            Self::Expired { .. } => "exp",
            Self::LivesTooLong { .. } => "lifetime",
            Self::NotYetValid(_) => "nbf",
            Self::WrongQueue => "queue",
            Self::WrongIssuer => "iss",
            Self::WrongAudience => "aud",
        }
    }
}

/// A token or pass that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The ring has no key that may sign this kind of token now.
    #[error("no key of purpose {0} may sign now; add one to the key folder")]
    NoKey(KeyPurpose),
    /// A public key cannot sign.
    #[error("the key {0} is public and cannot sign")]
    PublicKey(String),
    /// It would be longer than any verifier accepts.
    #[error("the token would have {bytes} bytes; allowed: at most {allowed}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        allowed: usize,
    },
    /// The deadline has passed, so there is nothing to pass on.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// The system's random numbers failed.
    #[error("the system gave no random numbers")]
    NoRandomness,
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    Unwritable,
}

/// A key, or a folder of keys, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What happened.
        cause: std::io::Error,
    },
    /// A file is no JSON of a key.
    #[error(
        "{file}: {what}; allowed: a JSON object with kid, purpose, alg, notBefore (optional), and \
         one of secret, privateKey, publicKey"
    )]
    NotAKey {
        /// The file's name.
        file: String,
        /// What is wrong, without the content.
        what: String,
    },
    /// A field of a key is invalid. Secret values are not shown.
    #[error("{file}: {field} is {value}; allowed: {allowed}")]
    Field {
        /// The file's name.
        file: String,
        /// The field.
        field: &'static str,
        /// The value, escaped and cut, or `invalid` for a secret one.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// Two keys with one id.
    #[error("{file}: kid is \"{kid}\", which {other} has as well; allowed: a kid of its own")]
    Repeated {
        /// The file read last.
        file: String,
        /// The id.
        kid: String,
        /// The file read before it.
        other: String,
    },
    /// More keys than a ring holds.
    #[error("{count} keys; allowed: at most {allowed}; remove the files of retired keys")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The limit.
        allowed: usize,
    },
    /// A JWKS that cannot be used.
    #[error("the JWKS cannot be used: {0}")]
    Jwks(&'static str),
    /// The system's random numbers failed.
    #[error("the system gave no random numbers")]
    NoRandomness,
}
