//! SIGTERM and SIGINT: the first starts a graceful shutdown, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The signals of this process. A command that never asks for them keeps the default: it ends at
/// the first signal.
#[derive(Debug, Default)]
pub struct Signals {
    at_once: CancellationToken,
}

impl Signals {
    /// Installs the handlers. The first signal cancels the returned token.
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
            info!(signal = name, "shutting down; a second signal ends the process at once");
            first.cancel();
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            warn!("second signal: ending at once");
            second.cancel();
        });
        Ok(leaving)
    }

    /// Waits for the second signal. The caller then drops what runs, child processes included.
    pub async fn at_once(&self) {
        self.at_once.cancelled().await;
    }
}
