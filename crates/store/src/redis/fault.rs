//! What a Redis error means for a caller and for the connection it came on.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::StoreError;

/// What to do with the connection an error came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It works: the server answered.
    Keep,
    /// Another connection may reach a server that can serve: after a failover, a restart, a change
    /// of password.
    Replace,
}

/// Sorts an error.
pub(super) fn judge(error: &RedisError) -> (StoreError, Fate) {
    use ServerErrorKind as Server;
    let unavailable = || StoreError::Unavailable(error.to_string());
    match error.kind() {
        ErrorKind::Server(
            Server::ReadOnly | Server::BusyLoading | Server::MasterDown | Server::ClusterDown,
        )
        | ErrorKind::AuthenticationFailed
        | ErrorKind::Io => (unavailable(), Fate::Replace),
        // NOSCRIPT comes here only when the scripts were taken away again just after they had been
        // loaded.
        ErrorKind::Server(Server::NoScript | Server::TryAgain | Server::Moved | Server::Ask) => {
            (unavailable(), Fate::Keep)
        }
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "UNBLOCKED") => (unavailable(), Fate::Replace),
            // Out of memory, a failing disk, a script of somebody else that takes long, a mistake
            // in the rights: it may pass.
            Some("OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "NOPERM") => {
                (unavailable(), Fate::Keep)
            }
            _ if error.is_unrecoverable_error() => (unavailable(), Fate::Replace),
            _ => (StoreError::Unexpected(error.to_string()), Fate::Keep),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_are_taken_away_while_they_are_loaded_are_an_outage_and_not_an_end() {
        let error =
            RedisError::from((ErrorKind::Server(ServerErrorKind::NoScript), "No matching script"));
        let (error, fate) = judge(&error);
        assert!(error.is_transient(), "{error}");
        assert_eq!(fate, Fate::Keep);
    }
}
