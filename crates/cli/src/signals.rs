//! SIGTERM and SIGINT: the first asks to leave in order, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The signals of this process. A verb that does not ask for them keeps the usual effect: it ends
/// at the first one.
#[derive(Debug, Default)]
pub struct Signals {
    at_once: CancellationToken,
}

impl Signals {
    /// Takes the signals over: the token is cancelled at the first one.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn leaving(&self) -> std::io::Result<CancellationToken> {
        let (mut term, mut int) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (first, second) = (CancellationToken::new(), self.at_once.clone());
        let leaving = first.clone();
        tokio::spawn(async move {
            let name = tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" };
            info!(signal = name, "leaving in order; a second signal leaves at once");
            first.cancel();
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            warn!("second signal: leaving at once");
            second.cancel();
        });
        Ok(leaving)
    }

    /// Waits for the second signal. Whatever runs is dropped then, which ends its processes too.
    pub async fn at_once(&self) {
        self.at_once.cancelled().await;
    }
}
