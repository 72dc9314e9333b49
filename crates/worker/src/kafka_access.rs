//! From the arguments that say how Kafka is reached to the settings of its store, for every command
//! that takes them.

use std::path::PathBuf;

use bookingq_api::args::{InvalidArgs, KAFKA_PASSWORD, KafkaArgs};
use bookingq_store::PemSource;
use bookingq_store::replicated::{KafkaLogin, KafkaSecurity, KafkaTls};

use crate::password_file::{self, UnreadablePassword};

/// Why Kafka cannot be reached as the arguments say.
#[derive(Debug, thiserror::Error)]
pub enum KafkaAccessError {
    /// The file with the password.
    #[error(transparent)]
    File(#[from] UnreadablePassword),
    /// A user without a password.
    #[error(
        "--kafka-user is {user:?} without a password; allowed: with it in {KAFKA_PASSWORD} or in \
         the file of --kafka-password-file"
    )]
    NoPassword {
        /// The user.
        user: String,
    },
    /// The arguments do not fit together.
    #[error(transparent)]
    Args(#[from] InvalidArgs),
}

/// How brokers are reached. Certificates are read when the store connects, and again when they
/// change; the password is read here.
///
/// # Errors
/// [`KafkaAccessError`].
pub async fn kafka_security(args: &KafkaArgs) -> Result<KafkaSecurity, KafkaAccessError> {
    let file = |path: &Option<PathBuf>| path.clone().map(PemSource::File);
    let identity = file(&args.certificate).zip(file(&args.key));
    let tls = args.has_tls().then(|| KafkaTls { ca: file(&args.ca), identity });
    let login = match args.login()? {
        None => None,
        Some((user, mechanism)) => {
            let (user, password) = (user.to_owned(), password(args, user).await?);
            Some(KafkaLogin { mechanism, user, password })
        }
    };
    Ok(KafkaSecurity { tls, login })
}

async fn password(args: &KafkaArgs, user: &str) -> Result<String, KafkaAccessError> {
    let Some(file) = &args.password_file else {
        let none = |_| KafkaAccessError::NoPassword { user: user.to_owned() };
        return std::env::var(KAFKA_PASSWORD).map_err(none);
    };
    Ok(password_file::read("--kafka-password-file", file).await?)
}
