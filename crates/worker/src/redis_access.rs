//! From the arguments of a Redis to the settings of its store, for every command that takes them.

use bookingq_api::args::RedisAccessArgs;
use bookingq_store::redis::{PemSource, RedisTls, SentinelLogin};
use bookingq_store::{RedisConfig, StoreError};

use crate::password_file::{self, UnreadablePassword};

/// Why a Redis cannot be reached as the arguments say.
#[derive(Debug, thiserror::Error)]
pub enum RedisAccessError {
    /// A file with a password.
    #[error(transparent)]
    File(#[from] UnreadablePassword),
    /// Address, login and certificates do not fit together.
    #[error(transparent)]
    Settings(#[from] StoreError),
}

/// Adds logins and certificates to the settings of a store, and checks these. Certificates are read
/// at each new connection, passwords here.
///
/// # Errors
/// [`RedisAccessError`].
pub async fn with_access(
    config: RedisConfig,
    args: &RedisAccessArgs,
) -> Result<RedisConfig, RedisAccessError> {
    let mut config = match &args.password_file {
        Some(file) => {
            config.with_password(&password_file::read("--redis-password-file", file).await?)?
        }
        None => config,
    };
    let identity = args.certificate.clone().zip(args.key.clone());
    config.tls = RedisTls {
        ca: args.ca.clone().map(PemSource::File),
        identity: identity
            .map(|(certificate, key)| (PemSource::File(certificate), PemSource::File(key))),
    };
    config.sentinel = SentinelLogin {
        username: args.sentinel_username.clone(),
        password: match &args.sentinel_password_file {
            Some(file) => Some(password_file::read("--redis-sentinel-password-file", file).await?),
            None => None,
        },
    };
    config.check()?;
    Ok(config)
}
