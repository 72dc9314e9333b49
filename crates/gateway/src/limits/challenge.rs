//! A proof of work: the client finds a number for which SHA-256 of seed and number begins with
//! enough zero bits. The gateway keeps nothing: the seed itself says when it ends and how hard it
//! is, sealed with the place key, so that every gateway accepts it.
//!
//! The seal includes the Idempotency-Key of the join. A solution is therefore good for one join
//! and its repeats, which are one booking, until it ends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bookingq_core::Timestamp;
use bookingq_identity::{KeyRing, SignError};
use ring::digest::{SHA256, digest};

/// Zero bits: 131,072 tries on average.
pub const DIFFICULTY: u8 = 17;
/// Time to solve it and to send the solution.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(120);

/// Longest nonce: the digits of a u64.
const MAX_NONCE: usize = 20;
/// End (8 bytes) and difficulty (1 byte), before the seal.
const HEAD: usize = 9;
/// Head and a seal of 32 bytes.
const SEED_BYTES: usize = HEAD + 32;

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What the client hashes: SHA-256 of `seed:nonce`, in ASCII.
    pub seed: String,
    /// How many zero bits the hash must begin with.
    pub difficulty: u8,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a solution does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// No seed of a gateway with these keys, or one for another Idempotency-Key.
    #[error("the seed was not made for this Idempotency-Key by this gateway")]
    Foreign,
    /// Too late.
    #[error("the challenge has ended; solve a new one")]
    Expired,
    /// No number that solves it.
    #[error("the nonce does not solve the challenge")]
    Unsolved,
}

impl ChallengeError {
    /// The outcome in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Expired => "expired",
            Self::Unsolved => "unsolved",
        }
    }
}

impl Challenge {
    /// Makes one for a join with this Idempotency-Key.
    ///
    /// # Errors
    /// [`SignError::NoKey`] without a place key.
    pub fn issue(keys: &KeyRing, idempotency_key: &str, now: Timestamp) -> Result<Self, SignError> {
        let expires_at = now + CHALLENGE_LIFETIME;
        let mut seed = head(expires_at, DIFFICULTY);
        seed.extend(keys.seal(&sealed(&seed, idempotency_key), now)?);
        Ok(Self { seed: URL_SAFE_NO_PAD.encode(seed), difficulty: DIFFICULTY, expires_at })
    }

    /// Checks a solution.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn check(
        keys: &KeyRing,
        idempotency_key: &str,
        (seed, nonce): (&str, &str),
        now: Timestamp,
    ) -> Result<(), ChallengeError> {
        // The length first: an overlong text costs nothing.
        let is_long = seed.len() != SEED_BYTES.div_ceil(3) * 4 - 1;
        let bytes = if is_long { None } else { URL_SAFE_NO_PAD.decode(seed).ok() };
        let bytes = bytes.ok_or(ChallengeError::Foreign)?;
        let (head, seal) = bytes.split_at_checked(HEAD).ok_or(ChallengeError::Foreign)?;
        if !keys.is_sealed(&sealed(head, idempotency_key), seal) {
            return Err(ChallengeError::Foreign);
        }
        let (end, difficulty) = head.split_first_chunk::<8>().ok_or(ChallengeError::Foreign)?;
        if now >= Timestamp(u64::from_be_bytes(*end)) {
            return Err(ChallengeError::Expired);
        }
        let is_number = (1..=MAX_NONCE).contains(&nonce.len())
            && nonce.bytes().all(|digit| digit.is_ascii_digit());
        let needed = difficulty.first().copied().unwrap_or(u8::MAX);
        if is_number && zero_bits(seed, nonce) >= u32::from(needed) {
            return Ok(());
        }
        Err(ChallengeError::Unsolved)
    }
}

fn head(expires_at: Timestamp, difficulty: u8) -> Vec<u8> {
    let mut head = expires_at.0.to_be_bytes().to_vec();
    head.push(difficulty);
    head
}

fn sealed(head: &[u8], idempotency_key: &str) -> Vec<u8> {
    [b"challenge\0", head, idempotency_key.as_bytes()].concat()
}

fn zero_bits(seed: &str, nonce: &str) -> u32 {
    let hash = digest(&SHA256, format!("{seed}:{nonce}").as_bytes());
    let bytes = hash.as_ref();
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let rest = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros());
    zeros as u32 * 8 + rest
}
