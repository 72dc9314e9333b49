//! `bookingq gateway`: HTTP, WebSockets and the waiting-room page for one or many queues.

use bookingq_api::args::GatewayArgs;
use bookingq_gateway::{Gateway, GatewayConfig};
use bookingq_serve::Signals;

use crate::failure::Failure;

/// Serve browsers and apps: places over HTTP, updates over WebSockets, and the waiting-room page
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq gateway --queue concert=http://127.0.0.1:50051 --ephemeral-keys --insecure-cookies
  bookingq gateway --config gateway.yaml --keys /etc/bookingq/keys --listen 0.0.0.0:8443 \\
      --tls-cert tls.crt --tls-key tls.key --origin https://www.example.com \\
      --backend-listen 0.0.0.0:9443 --backend-tls-cert tls.crt --backend-tls-key tls.key \\
      --backend-tls-client-ca backend-ca.pem

Any number of gateways may serve one queue, with the same keys. A gateway stores nothing: killed, it
loses nothing. On SIGTERM it closes its WebSockets evenly over --drain, and exits.")]
pub struct Args {
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Serves until a signal asks it to stop.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let config = GatewayConfig::load(args.gateway).map_err(Failure::usage)?;
    let mut gateway = Gateway::start(config).await?;
    tokio::select! {
        () = leaving.cancelled() => {}
        error = gateway.failed() => return Err(error.into()),
    }
    gateway.drain().await;
    Ok(())
}
