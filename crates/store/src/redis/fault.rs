//! What a Redis error means for a caller, and for the connection that it came on.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::StoreError;

/// What to do with the connection after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionAction {
    /// Keep it: the server answered.
    Keep,
    /// Replace it: after a failover, a restart or a change of password, a new connection may reach
    /// a server that can serve.
    Replace,
}

pub(super) fn classify(error: &RedisError) -> (StoreError, ConnectionAction) {
    use ConnectionAction::{Keep, Replace};
    use ServerErrorKind as Server;
    let unavailable = || StoreError::Unavailable(error.to_string());
    match error.kind() {
        ErrorKind::Server(
            Server::ReadOnly
            | Server::BusyLoading
            | Server::MasterDown
            | Server::ClusterDown
            // The slot is at another node.
            | Server::Moved,
        )
        | ErrorKind::AuthenticationFailed
        | ErrorKind::Io => (unavailable(), Replace),
        // NOSCRIPT arrives here only if the scripts were flushed right after they were loaded.
        // While a slot moves, some of its keys are at one node and some at the other, so no node
        // can run a script: until MOVED says that it is done.
        ErrorKind::Server(Server::NoScript | Server::TryAgain | Server::Ask) => {
            (unavailable(), Keep)
        }
        // A proxy may put READONLY behind words of its own.
        _ if error.to_string().contains("READONLY") => (unavailable(), Replace),
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "UNBLOCKED") => (unavailable(), Replace),
            // Out of memory, a failing disk, a long script of another program, missing rights: an
            // operator can repair all of them while this store keeps trying.
            Some("OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "NOPERM") => (unavailable(), Keep),
            _ if error.is_unrecoverable_error() => (unavailable(), Replace),
            _ => (StoreError::Unexpected(error.to_string()), Keep),
        },
    }
}

/// Whether the server has answered, and refuses the command itself: it does not know it, or an ACL
/// forbids it.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || matches!(classify(error).0, StoreError::Unexpected(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readonly_behind_the_words_of_a_proxy_replaces_the_connection() {
        let refusal = "READONLY You can't write against a read only replica.".to_owned();
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        let (error, action) = classify(&RedisError::from((kind, "a proxy", refusal)));
        assert!(error.is_transient(), "{error}");
        assert_eq!(action, ConnectionAction::Replace);
    }

    #[test]
    fn a_command_is_refused_by_an_answer_and_not_by_a_connection() {
        let answer = |code: &str, text: &str| {
            ::redis::make_extension_error(code.to_owned(), Some(text.to_owned()))
        };
        let unknown = ErrorKind::Server(ServerErrorKind::ResponseError);
        let unknown =
            RedisError::from((unknown, "An error", "unknown command 'CONFIG'".to_owned()));
        assert!(is_refusal(&answer("NOPERM", "User a has no permissions")));
        assert!(is_refusal(&answer("DENIED", "by the words of a proxy")));
        assert!(is_refusal(&unknown));
        for passing in [
            RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
            RedisError::from((ErrorKind::Server(ServerErrorKind::BusyLoading), "loading")),
            answer("NOAUTH", "Authentication required."),
            answer("OOM", "command not allowed"),
            answer("BUSY", "Redis is busy running a script"),
        ] {
            assert!(!is_refusal(&passing), "{passing}");
        }
    }

    #[test]
    fn scripts_flushed_while_they_are_loaded_are_a_transient_error() {
        let error =
            RedisError::from((ErrorKind::Server(ServerErrorKind::NoScript), "No matching script"));
        let (error, action) = classify(&error);
        assert!(error.is_transient(), "{error}");
        assert_eq!(action, ConnectionAction::Keep);
    }
}
