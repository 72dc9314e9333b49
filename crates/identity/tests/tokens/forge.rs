//! Tokens made by hand, right and wrong, without the code under test.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A secret of 32 equal bytes, as a key file has it.
pub fn secret(byte: u8) -> String {
    base64url(&[byte; 32])
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The public half of the pair of 32 equal bytes.
pub fn public_key(seed: u8) -> String {
    base64url(pair(seed).public_key().as_ref())
}

/// The same as OpenSSL writes it.
pub fn public_pem(seed: u8) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
    pem("PUBLIC KEY", &[&prefix[..], pair(seed).public_key().as_ref()].concat())
}

/// The private half, PKCS #8 version 1 as OpenSSL writes it.
pub fn private_pem(seed: u8) -> String {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pem("PRIVATE KEY", &[&prefix[..], &[seed; 32]].concat())
}

fn pem(name: &str, der: &[u8]) -> String {
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", STANDARD.encode(der))
}

/// How a forged token is signed.
#[derive(Clone, Copy)]
pub enum Signer<'a> {
    Hmac(&'a [u8]),
    Pair(u8),
    Nothing,
}

/// A token with any header and claims.
pub fn token(header: &Value, claims: &Value, signer: Signer<'_>) -> String {
    raw(&header.to_string(), &claims.to_string(), signer)
}

/// A token of any two texts.
pub fn raw(header: &str, claims: &str, signer: Signer<'_>) -> String {
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = match signer {
        Signer::Hmac(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        Signer::Pair(seed) => pair(seed).sign(message.as_bytes()).as_ref().to_vec(),
        Signer::Nothing => Vec::new(),
    };
    format!("{message}.{}", base64url(&signature))
}

pub fn header(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "kid": kid, "typ": "JWT"})
}

/// A token whose claims were changed after it was signed.
pub fn with_claims(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    change(&mut claims);
    format!("{}.{}.{}", parts[0], base64url(claims.to_string().as_bytes()), parts[2])
}

/// The claims of a token.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
