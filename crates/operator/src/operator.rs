//! The process: serves the admin port, waits to become the leader, then runs the controller until
//! it shuts down or loses the lease.

use std::net::SocketAddr;

use bookingq_serve::{AdminPort, Readiness, ServeError};
use futures::future::{BoxFuture, FutureExt as _};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio_util::sync::CancellationToken;

use crate::controller::{self, ControllerSettings};
use crate::leader::{Candidate, Election, LeadershipEnd};
use crate::leader_fence::LeaderFence;
use crate::metrics::Metrics;

/// Why an operator cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no configuration for the API server.
    #[error("no cluster: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration is invalid.
    #[error("the configuration of the cluster is invalid: {0}")]
    Client(#[from] kube::Error),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] ServeError),
    /// Another operator may be the leader by now.
    #[error("lost the leader election; exiting, so that there is only one leader")]
    Lost,
    /// Two metrics of one name: a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs an operator until `leaving`, with the configuration in `KUBECONFIG` or that of its Pod.
/// Boxed, so that the binary does not compile the operator's futures again.
///
/// # Errors
/// [`OperatorError`]; the process must exit after [`OperatorError::Lost`].
pub fn run(
    settings: ControllerSettings,
    election: Election,
    admin: Option<SocketAddr>,
    leaving: CancellationToken,
) -> BoxFuture<'static, Result<(), OperatorError>> {
    async move {
        let config = Config::infer().await?;
        let metrics = Metrics::new()?;
        let registry = metrics.registry();
        // An operator that waits to lead is ready.
        let serving = async move {
            match admin {
                Some(address) => {
                    Ok(AdminPort::bind(address).await?.serve(registry, Readiness::ready()).await?)
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = lead(config, settings, election, metrics, leaving) => outcome,
            failed = serving => failed,
        }
    }
    .boxed()
}

/// Waits to lead, and runs the controller as the leader. Without the admin port.
///
/// # Errors
/// As [`run`].
pub async fn lead(
    config: Config,
    settings: ControllerSettings,
    election: Election,
    metrics: Metrics,
    leaving: CancellationToken,
) -> Result<(), OperatorError> {
    let fence = LeaderFence::default();
    let client = Client::try_from(config.clone())?;
    let fenced = ClientBuilder::try_from(config)?.with_layer(&fence.layer()).build();
    let mut candidate = Candidate::new(client, election, fence.clone());
    if !candidate.lead(&leaving).await {
        return Ok(());
    }
    metrics.leading.set(1);
    // The lease is renewed until the last reconcile is done, so `hold` does not watch `leaving`.
    let done = CancellationToken::new();
    let controlling = async {
        controller::run(fenced, settings, metrics, fence, leaving).await;
        done.cancel();
        std::future::pending::<LeadershipEnd>().await
    };
    let end = tokio::select! {
        end = candidate.hold(&done) => end,
        end = controlling => end,
    };
    match end {
        LeadershipEnd::Left => {
            candidate.resign().await;
            Ok(())
        }
        LeadershipEnd::Lost => Err(OperatorError::Lost),
    }
}
