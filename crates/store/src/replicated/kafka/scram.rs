//! SCRAM (RFC 5802) as a client: it proves that it knows the password, which it does not send, and
//! that the broker knows what was made of it. Without channel binding, as Kafka has none.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Iterations that a broker may ask for: RFC 7677 wants 4,096 at least, and a broker that asks for
/// too many would keep this process busy.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

/// The algorithms of one mechanism.
#[derive(Clone, Copy)]
pub(super) struct ScramHash {
    derive: pbkdf2::Algorithm,
    sign: hmac::Algorithm,
    hash: &'static digest::Algorithm,
}

impl ScramHash {
    pub(super) fn sha256() -> Self {
        let (derive, sign) = (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256);
        Self { derive, sign, hash: &digest::SHA256 }
    }

    pub(super) fn sha512() -> Self {
        let (derive, sign) = (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512);
        Self { derive, sign, hash: &digest::SHA512 }
    }
}

/// A login that has begun.
pub(super) struct ScramLogin {
    hash: ScramHash,
    /// `client-first-message-bare`: the user and our nonce.
    bare: String,
    nonce: String,
}

/// What a broker must answer to the proof.
pub(super) struct ServerSignature(Vec<u8>);

impl ScramLogin {
    /// Begins with a nonce, which must be random printable text without a comma.
    pub(super) fn new(hash: ScramHash, user: &str, nonce: &str) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, bare: format!("n={user},r={nonce}"), nonce: nonce.to_owned() }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The proof, from the broker's first message. Fails with what is wrong about that.
    pub(super) fn proof(
        &self,
        password: &str,
        server: &str,
    ) -> Result<(String, ServerSignature), &'static str> {
        let mut fields = server.split(',');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let nonce = field("r").filter(|nonce| nonce.starts_with(&self.nonce));
        let nonce = nonce.ok_or("its nonce is not made of ours")?;
        let salt = field("s").and_then(|salt| STANDARD.decode(salt).ok());
        let salt = salt.ok_or("its salt is unreadable")?;
        let iterations = field("i").and_then(|number| number.parse::<u32>().ok());
        let iterations = iterations
            .filter(|number| ITERATIONS.contains(number))
            .and_then(NonZeroU32::new)
            .ok_or("its number of iterations is not 4096 to 1000000")?;
        let ScramHash { derive, sign, hash } = self.hash;
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, iterations, &salt, password.as_bytes(), &mut salted);
        let signed = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(sign, key), text);
        let client_key = signed(&salted, b"Client Key");
        let stored = digest::digest(hash, client_key.as_ref());
        let unproved = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{unproved}", self.bare);
        let signature = signed(stored.as_ref(), all.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = signed(&salted, b"Server Key");
        let expected = signed(server_key.as_ref(), all.as_bytes());
        let message = format!("{unproved},p={}", STANDARD.encode(proof));
        Ok((message, ServerSignature(expected.as_ref().to_vec())))
    }
}

impl ServerSignature {
    /// Whether the broker's last message shows that it knows the password's derivative.
    pub(super) fn is_in(&self, server: &str) -> bool {
        let signature = server.split(',').next().and_then(|field| field.strip_prefix("v="));
        signature.and_then(|text| STANDARD.decode(text).ok()).as_ref() == Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let login = ScramLogin::new(ScramHash::sha256(), "user", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(login.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proof, signature) = login.proof("pencil", server).unwrap();
        assert_eq!(
            proof,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(signature.is_in("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!signature.is_in("v=AAAA"));
    }

    #[test]
    fn a_broker_that_answers_with_a_nonce_of_its_own_is_refused() {
        let login = ScramLogin::new(ScramHash::sha512(), "a,b=c", "mine");
        assert_eq!(login.first(), "n,,n=a=2Cb=3Dc,r=mine");
        for server in ["r=other,s=AAAA,i=4096", "r=mine1,s=!,i=4096", "r=mine1,s=AAAA,i=1", ""] {
            assert!(login.proof("pencil", server).is_err(), "{server}");
        }
    }
}
