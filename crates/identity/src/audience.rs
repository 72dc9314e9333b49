//! The `aud` of a token that a seller signs: one value or several (RFC 7519 section 4.1.3).

use serde::{Deserialize, Serialize};

use crate::error::TokenError;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Without an `aud` the purpose of the key alone says for whom a token is.
    pub(crate) fn check(audience: Option<&Self>, own: &str) -> Result<(), TokenError> {
        let includes_us = match audience {
            None => true,
            Some(Self::One(one)) => one == own,
            Some(Self::Several(several)) => several.iter().any(|one| one == own),
        };
        includes_us.then_some(()).ok_or(TokenError::WrongAudience)
    }
}
