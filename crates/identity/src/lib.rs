//! Who is who at the gateway: keys, place tokens, passes, enqueue tokens, return URLs.
//!
//! ```text
//!   key folder ──> KeyRing ──> place token   client <-> gateway: "I hold this place" (HS256)
//!                     │──────> pass          gateway -> seller: "has this reservation" (EdDSA)
//!                     │──────> JWKS          the public halves, to check passes with
//!                     │<────── enqueue token seller -> gateway: "this account may join"
//!                     '<────── backend token seller -> gateway: "I may report payments"
//! ```
//!
//! All tokens are compact JWS (RFC 7515) with one rule: the `kid` of the header selects a key, and
//! the key alone decides algorithm and purpose. The header's `alg` is only compared with it. So
//! `none`, a public key used as an HMAC secret, and a token of one kind presented as another kind
//! are all refused before a claim is read.
//!
//! Time is an argument. Random numbers are drawn for new keys and for the `jti` of a pass; the only
//! other I/O is [`KeyRing::load`].

mod audience;
mod backend_token;
mod derive;
mod encoding;
mod enqueue_token;
mod error;
mod foreign;
mod generate;
mod jwks;
mod jws;
mod key;
mod key_file;
mod key_ring;
mod lifetimes;
mod numeric_date;
mod pass;
mod pass_verifier;
mod place_token;
mod purpose;
mod random;
mod return_url;
mod web_origin;

pub use backend_token::BackendClaims;
pub use enqueue_token::EnqueueClaims;
pub use error::{KeyError, SignError, TokenError};
pub use generate::new_key_file;
pub use jws::MAX_TOKEN_BYTES;
pub use key::Key;
pub use key_ring::{KeyRing, MAX_KEYS};
pub use lifetimes::{CLOCK_LEEWAY, FOREIGN_LIFETIME, JWKS_MAX_AGE, PASS_LIFETIME};
pub use pass::{PassClaims, PassGrant};
pub use pass_verifier::PassVerifier;
pub use place_token::PlaceClaims;
pub use purpose::{KeyAlgorithm, KeyPurpose};
pub use return_url::{MAX_RETURN_URL_BYTES, ReturnOrigins, ReturnUrl};
pub use web_origin::WebOrigin;
