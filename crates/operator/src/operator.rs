//! The process: serves its admin port, waits to lead, then runs the controller until it is asked to
//! leave or loses the lease.

use std::net::SocketAddr;

use bookingq_serve::{AdminPort, Readiness, ServeError};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio_util::sync::CancellationToken;

use crate::controller::{self, ControllerSettings};
use crate::fence::Fence;
use crate::leader::{Candidate, Election, LeadershipEnd};
use crate::metrics::Metrics;

/// Why an operator cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No way to the API server.
    #[error("no cluster: {0}")]
    Config(String),
    /// A client cannot be made from the configuration.
    #[error("the cluster's configuration cannot be used: {0}")]
    Client(#[from] kube::Error),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] ServeError),
    /// Another operator may lead by now.
    #[error("not the leader any more; leaving, so that another one is the only one")]
    Lost,
    /// Two metrics of one name: a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs an operator until `leaving`, with the configuration of the environment: `KUBECONFIG`, or
/// that of its Pod.
///
/// # Errors
/// [`OperatorError`]; among them [`OperatorError::Lost`], after which the process must end.
pub async fn run(
    settings: ControllerSettings,
    election: Election,
    admin: Option<SocketAddr>,
    leaving: CancellationToken,
) -> Result<(), OperatorError> {
    let config = Config::infer().await.map_err(|error| OperatorError::Config(error.to_string()))?;
    let metrics = Metrics::new()?;
    let registry = metrics.registry();
    // An operator that waits to lead is ready: to take over.
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

/// Waits to lead, and leads.
///
/// # Errors
/// [`OperatorError::Lost`], [`OperatorError::Client`].
pub async fn lead(
    config: Config,
    settings: ControllerSettings,
    election: Election,
    metrics: Metrics,
    leaving: CancellationToken,
) -> Result<(), OperatorError> {
    let fence = Fence::default();
    let free = Client::try_from(config.clone())?;
    let fenced = ClientBuilder::try_from(config)?.with_layer(&fence).build();
    let mut candidate = Candidate::new(free.clone(), election.clone(), fence.clone());
    if !candidate.lead(&leaving).await {
        return Ok(());
    }
    metrics.leading.set(1);
    // The lease is held until the last reconcile is done, so holding does not listen to `leaving`
    // itself.
    let done = CancellationToken::new();
    let controlling = async {
        controller::run(fenced, settings, metrics, leaving).await;
        done.cancel();
        // What decides is how holding ends.
        std::future::pending::<LeadershipEnd>().await
    };
    let end = tokio::select! {
        end = candidate.hold(&done) => end,
        end = controlling => end,
    };
    match end {
        LeadershipEnd::Left => {
            Candidate::resign(free, &election, &fence).await;
            Ok(())
        }
        LeadershipEnd::Lost => Err(OperatorError::Lost),
    }
}
