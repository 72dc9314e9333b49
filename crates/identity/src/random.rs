//! Random numbers of the system.

use ring::rand::{SecureRandom as _, SystemRandom};

/// So many random bytes; `None` if the system gives none.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}
