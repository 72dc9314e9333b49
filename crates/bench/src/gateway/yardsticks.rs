//! The yardsticks of a gateway: a bare axum server that echoes, and Centrifugo, whose program a
//! person has installed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_harness::ProcessUsage;
use bookingq_harness::command::{OrphanSignal, tied};
use bookingq_harness::port::free_address;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::clients::{self, ClientsOrder, ClientsPlan};
use super::link::LinkKind;
use super::parts::{BURST, IDLE, SETTLE};
use super::serve;
use crate::figures::Figures;

const BARE: &str = "bare axum echo";
const CENTRIFUGO: &str = "Centrifugo";
/// Time until Centrifugo answers.
const STARTING: Duration = Duration::from_secs(20);

/// As many sockets of one process, idle.
pub(super) async fn bare(sockets: u64, figures: &mut Figures) -> Result<()> {
    let address = free_address()?;
    let server = serve::start(address, None).await?;
    sleep(Duration::from_secs(1)).await;
    let before = server.usage()?;
    let (clients, _) = clients::start(&ClientsPlan::new(address, 1, sockets, None)).await?;
    sleep(SETTLE).await;
    let open = server.usage()?;
    let per_socket = (open.rss_mib - before.rss_mib) * 1024.0 / sockets as f64;
    figures.record(IDLE, BARE, [("KiB/socket", per_socket)]);
    clients.end().await?;
    server.end().await
}

/// As many subscribers of one channel, idle, and one publication for all of them.
pub(super) async fn centrifugo(
    program: &Path,
    sockets: u64,
    time: Duration,
    figures: &mut Figures,
) -> Result<()> {
    eprintln!("{CENTRIFUGO}");
    let address = free_address()?;
    let server = start(program, address).await?;
    let usage = || -> Result<ProcessUsage> {
        Ok(ProcessUsage::of(server.id().with_context(|| format!("{CENTRIFUGO} has ended"))?)?)
    };
    let before = usage()?;
    let plan =
        ClientsPlan { kind: LinkKind::Centrifugo, ..ClientsPlan::new(address, 1, sockets, None) };
    let (mut clients, _) = clients::start(&plan).await?;
    sleep(SETTLE).await;
    let per_socket = (usage()?.rss_mib - before.rss_mib) * 1024.0 / sockets as f64;
    let cpu = usage()?.cpu;
    sleep(time).await;
    let cpu = (usage()?.cpu - cpu) / time.as_secs_f64() * 1e6 / sockets as f64;
    let columns = [("KiB/socket", per_socket), ("CPU µs/s of a socket", cpu)];
    figures.record(IDLE, CENTRIFUGO, columns);

    clients.order(&ClientsOrder::Reset { left: 0, still: false }).await?;
    clients.order(&ClientsOrder::Report).await?;
    clients.report::<clients::ClientsReport>().await?;
    publish(address).await?;
    sleep(SETTLE).await;
    clients.order(&ClientsOrder::Report).await?;
    let items = clients.report::<clients::ClientsReport>().await?.items;
    let columns = [
        ("received", items.count as f64),
        ("p50 ms", items.p50),
        ("p99 ms", items.p99),
        ("last ms", items.max),
    ];
    figures.record(BURST, CENTRIFUGO, columns);
    clients.end().await
}

/// Starts it with anonymous clients, and an API without a key, on loopback.
async fn start(program: &Path, address: SocketAddr) -> Result<Child> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("centrifugo.json");
    let config = json!({
        "http_server": { "address": address.ip(), "port": address.port() },
        "client": { "allow_anonymous_connect_without_token": true, "allowed_origins": ["*"] },
        "http_api": { "insecure": true },
        "channel": { "without_namespace": {
            "allow_subscribe_for_client": true,
            "allow_subscribe_for_anonymous": true,
        } },
        "log": { "level": "error" },
        "usage_stats": { "disabled": true },
    });
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::from(tied(program, OrphanSignal::Kill)?);
    command.arg("--config").arg(&file).stdin(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().with_context(|| format!("{} cannot run", program.display()))?;
    let answers = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(STARTING, answers).await.with_context(|| format!("{CENTRIFUGO} does not start"))?;
    Ok(child)
}

/// One publication for all subscribers, as large as a tick.
async fn publish(address: SocketAddr) -> Result<()> {
    let data = json!({ "t": "i", "text": "x".repeat(64) });
    let body = json!({ "channel": "line", "data": data }).to_string();
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.contains(" 200 "), "{CENTRIFUGO} refused a publication: {answer}");
    Ok(())
}
