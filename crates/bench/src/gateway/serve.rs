//! `gateway-serve`: a gateway, or the yardstick, in a process of its own, so that its memory is
//! only its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use bookingq_api::args::AccessLog;
use bookingq_core::QueueName;
use bookingq_gateway::Gateway;
use bookingq_gateway::config::{GatewayConfig, KeySource, QueueConfig};
use bookingq_serve::tls::{Identity, ServerTls};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::line::QUEUE;
use super::link::CERTIFICATE;
use crate::child::{ReportingChild, parent_ends_us};

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the public port
    #[arg(long)]
    listen: SocketAddr,
    /// The worker to follow; without it, the yardstick
    #[arg(long, requires = "folder")]
    worker: Option<SocketAddr>,
    /// Folder of keys and certificate
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Serve TLS
    #[arg(long)]
    tls: bool,
    /// Seconds in which a drain closes all sockets
    #[arg(long, default_value_t = 60)]
    drain: u64,
}

/// Serves. The first order drains a gateway; its report is the time that took.
pub fn run(args: &Args) -> Result<()> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        match (args.worker, &args.folder) {
            (Some(worker), Some(folder)) => serve(args, worker, folder).await,
            _ => serve_bare(args.listen).await,
        }
    })
}

async fn serve(args: &Args, worker: SocketAddr, folder: &Path) -> Result<()> {
    let workers = format!("http://{worker}").parse()?;
    let queue = QueueConfig::new(QueueName::new(QUEUE)?, workers);
    let [certificate, key] = [CERTIFICATE.0, CERTIFICATE.1].map(|name| folder.join(name));
    let identity = Identity { certificate, key };
    let config = GatewayConfig {
        keys: KeySource::Folder(folder.join("keys")),
        tls: args.tls.then_some(ServerTls { identity, client_ca: None }),
        access_log: AccessLog::Off,
        linger: Duration::ZERO,
        max_connections: 60_000,
        drain: Duration::from_secs(args.drain),
        ..GatewayConfig::new("bench", args.listen, vec![queue])
    };
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let gateway = Gateway::start(config).await?;
    println!("\"{}\"", gateway.public_addr());
    if orders.next_line().await?.is_none() {
        return Ok(());
    }
    let begin = Instant::now();
    gateway.drain().await;
    println!("{}", begin.elapsed().as_secs_f64());
    parent_ends_us().await;
    Ok(())
}

/// A WebSocket server with axum's defaults, which answers each message with itself.
async fn serve_bare(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let router = Router::new().route("/v1/queues/{queue}/socket", get(bare));
    println!("\"{}\"", listener.local_addr()?);
    tokio::select! {
        ended = axum::serve(listener, router) => Ok(ended?),
        () = parent_ends_us() => Ok(()),
    }
}

async fn bare(socket: WebSocketUpgrade) -> Response {
    socket.protocols(["bq1"]).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A gateway as a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServePlan<'a> {
    pub(super) worker: SocketAddr,
    pub(super) folder: &'a Path,
    /// Time of a drain in seconds.
    pub(super) drain: u64,
    pub(super) tls: bool,
}

/// Starts the process and waits until it serves: a gateway, or the yardstick.
pub(super) async fn start(
    address: SocketAddr,
    gateway: Option<ServePlan<'_>>,
) -> Result<ReportingChild> {
    let program = std::env::current_exe()?.into_os_string();
    let mut words = vec![program, "gateway-serve".into(), "--listen".into()];
    words.push(address.to_string().into());
    if let Some(ServePlan { worker, folder, drain, tls }) = gateway {
        words.extend(["--worker".into(), worker.to_string().into()]);
        words.extend(["--folder".into(), folder.into()]);
        words.extend(["--drain".into(), drain.to_string().into()]);
        if tls {
            words.push("--tls".into());
        }
    }
    let mut child = ReportingChild::start("a gateway", &words)?;
    child.report::<SocketAddr>().await?;
    Ok(child)
}
