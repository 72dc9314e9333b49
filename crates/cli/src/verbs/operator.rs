//! `bookingq operator`: keeps what the `BookingQueue` resources of a cluster ask for.

use std::net::SocketAddr;

use bookingq_operator::controller::ControllerSettings;
use bookingq_operator::environment::{OperatorEnvironment, own_release};
use bookingq_operator::leader::Election;
use bookingq_operator::operator;
use bookingq_operator::watch::WatchScope;
use bookingq_serve::{Signals, own_name};

use crate::failure::Failure;

/// Where a Pod finds the name of its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Image of this release.
const IMAGE: &str = concat!("ghcr.io/bookingqueue/bookingq:", env!("CARGO_PKG_VERSION"));

/// Run and scale the queues of a cluster, as its `BookingQueue` resources say
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq operator --image bookingq:dev
  bookingq operator --watch-namespace concerts --admin-listen 127.0.0.1:9090

Finds the cluster by KUBECONFIG, or as a Pod in it. Any number may run: one leads, and the others
wait to take over.")]
pub struct Args {
    /// Image of workers, sweepers and gateways, for queues that name none
    #[arg(long, env = "BOOKINGQ_IMAGE", value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// Look for queues in this namespace only [default: in all]
    #[arg(long, env = "BOOKINGQ_WATCH_NAMESPACE", value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
    /// The operator's own namespace, for its Lease [default: that of its Pod, or default]
    #[arg(long, env = "BOOKINGQ_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Name of the Lease that the leader holds
    #[arg(
        long,
        env = "BOOKINGQ_LEASE_NAME",
        value_name = "NAME",
        default_value = "bookingq-operator"
    )]
    lease_name: String,
    /// Names this operator in its Lease and in events [default: host name and process id]
    #[arg(long, env = "BOOKINGQ_ID", value_name = "NAME")]
    id: Option<String>,
    /// Where /healthz, /readyz and /metrics are served; nowhere by default
    #[arg(long, env = "BOOKINGQ_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
}

/// Operates until a signal asks it to stop.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let namespace = match args.namespace {
        Some(namespace) => namespace,
        None => own_namespace().await,
    };
    let id = args.id.unwrap_or_else(own_name);
    let election = Election::new(&args.lease_name, &namespace, &id);
    let settings = ControllerSettings {
        scope: args.watch_namespace.map_or(WatchScope::Cluster, WatchScope::Namespace),
        environment: OperatorEnvironment { image: args.image, namespace, release: own_release() },
        instance: id,
    };
    operator::run(settings, election, args.admin_listen, leaving).await?;
    Ok(())
}

async fn own_namespace() -> String {
    let found = tokio::fs::read_to_string(NAMESPACE_FILE).await.unwrap_or_default();
    let found = found.trim();
    if found.is_empty() { "default".to_owned() } else { found.to_owned() }
}
