//! `gateway`: memory and CPU of open WebSockets, ticks and news for a full line, all connections
//! cut at once, and a drain; beside a bare axum WebSocket server.
//!
//! ```text
//!   gateway ──┬─ line      the worker that gateways follow, in this process
//!             ├─ serve     a gateway, or a yardstick, as a process of its own
//!             ├─ clients   many clients, as a process of their own ── link (a connection)
//!             ├─ others    event streams, TLS, and clients that read nothing
//!             └─ yardsticks   a bare axum server, and Centrifugo
//! ```
//!
//! One process may open about 20,000 files on many machines, so that 100,000 connections need
//! several gateways and as many processes of clients.

pub(crate) mod clients;
mod line;
mod link;
mod others;
mod parts;
pub(crate) mod serve;
mod yardsticks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_crowd::latency::LatencySummary;
use bookingq_harness::port::free_address;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::time::sleep;

use self::clients::{ClientsOrder, ClientsPlan, ClientsReport};
use self::line::MovingLine;
use self::parts::{BURST, DRAIN, FANOUT, IDLE, OURS, SECTIONS, SETTLE, STORM};
use self::serve::ServePlan;
use crate::child::ReportingChild;
use crate::figures::Figures;
use crate::machine::Placement;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clients of each gateway
    #[arg(long, default_value_t = 16_000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=60_000))]
    sockets: u64,
    /// Gateways, and processes of clients
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=16))]
    gateways: u64,
    /// Time of each part
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=600))]
    seconds: u64,
    /// Clients that leave the front of the line each second
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pace: u64,
    /// Time in which a drain closes all sockets
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    drain: u64,
    /// Measure other connections too: event streams, TLS, and clients that read nothing
    #[arg(long)]
    others: bool,
    /// Measure this program of Centrifugo too, in one process
    #[arg(long, value_name = "PROGRAM")]
    centrifugo: Option<PathBuf>,
    #[command(flatten)]
    output: FigureOutput,
}

/// Longest time until all clients are back.
const BACK: Duration = Duration::from_secs(120);

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&args.output, &SECTIONS)?;
    session.placement = Placement::Free;
    let all = args.sockets * args.gateways;
    let leave = args.pace * (args.seconds + SETTLE.as_secs());
    ensure!(leave < all, "--pace is too high: {leave} clients would leave a line of {all}");
    println!("{all} clients on {} gateways; all processes share the cores\n", args.gateways);
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let part = Duration::from_secs(args.seconds);
        yardsticks::bare(args.sockets, &mut session.figures).await?;
        if let Some(program) = &args.centrifugo {
            yardsticks::centrifugo(program, args.sockets, part, &mut session.figures).await?;
        }
        if args.others {
            let folder = tempfile::tempdir()?;
            link::write_keys(folder.path())?;
            others::kinds(folder.path(), &mut session.figures).await?;
            others::unread(folder.path(), part, &mut session.figures).await?;
        }
        let mut bench = GatewayBench::start(args).await?;
        bench.idle(&mut session.figures).await?;
        bench.fan_out(&mut session.figures).await?;
        bench.burst(&mut session.figures).await?;
        bench.storm(&mut session.figures).await?;
        bench.drain(&mut session.figures).await
    })?;
    session.finish(&Value::Null)
}

fn plan<'a>(args: &Args, line: &MovingLine, folder: &'a TempDir) -> ServePlan<'a> {
    ServePlan { worker: line.address(), folder: folder.path(), drain: args.drain, tls: false }
}

struct GatewayBench<'a> {
    args: &'a Args,
    line: MovingLine,
    folder: TempDir,
    gateways: Vec<(SocketAddr, ReportingChild)>,
    clients: Vec<ReportingChild>,
    /// Memory before any client came, and with all of them.
    rss: (f64, f64),
    opened_per_second: f64,
}

impl<'a> GatewayBench<'a> {
    async fn start(args: &'a Args) -> Result<Self> {
        let line = MovingLine::start(args.sockets * args.gateways)?;
        let folder = tempfile::tempdir()?;
        link::write_keys(folder.path())?;
        let mut gateways = Vec::new();
        for _ in 0..args.gateways {
            let address = free_address()?;
            let plan = plan(args, &line, &folder);
            gateways.push((address, serve::start(address, Some(plan)).await?));
        }
        let mut bench = Self {
            args,
            line,
            folder,
            gateways,
            clients: Vec::new(),
            rss: (0.0, 0.0),
            opened_per_second: 0.0,
        };
        sleep(Duration::from_secs(2)).await;
        bench.rss.0 = bench.usage()?.0;
        let opening = Instant::now();
        let folder = bench.folder.path();
        let opened = bench.gateways.iter().zip(0..).map(async |((address, _), index)| {
            let first = index * args.sockets + 1;
            clients::start(&ClientsPlan::new(*address, first, args.sockets, Some(folder))).await
        });
        for opened in futures::future::join_all(opened).await {
            let (clients, report) = opened?;
            ensure!(report.wrong == 0, "{} hellos had a wrong position", report.wrong);
            bench.clients.push(clients);
        }
        bench.opened_per_second = bench.count() / opening.elapsed().as_secs_f64();
        sleep(SETTLE).await;
        bench.rss.1 = bench.usage()?.0;
        Ok(bench)
    }

    fn count(&self) -> f64 {
        (self.args.sockets * self.args.gateways) as f64
    }

    /// Memory in MiB and CPU seconds of all gateways.
    fn usage(&self) -> Result<(f64, f64)> {
        let mut sum = (0.0, 0.0);
        for (_, gateway) in &self.gateways {
            let usage = gateway.usage()?;
            sum = (sum.0 + usage.rss_mib, sum.1 + usage.cpu);
        }
        Ok(sum)
    }

    async fn reset(&mut self, still: bool) -> Result<()> {
        let left = self.line.left();
        for clients in &mut self.clients {
            clients.order(&ClientsOrder::Reset { left, still }).await?;
        }
        // Orders are done one after the other: what happens from now on counts.
        self.reports().await?;
        Ok(())
    }

    async fn reports(&mut self) -> Result<Vec<ClientsReport>> {
        let mut reports = Vec::new();
        for clients in &mut self.clients {
            clients.order(&ClientsOrder::Report).await?;
            reports.push(clients.report().await?);
        }
        Ok(reports)
    }

    async fn idle(&self, figures: &mut Figures) -> Result<()> {
        eprintln!("idle");
        let before = self.usage()?.1;
        let time = self.part();
        sleep(time).await;
        let cpu = (self.usage()?.1 - before) / time.as_secs_f64();
        let columns = [
            ("KiB/socket", (self.rss.1 - self.rss.0) * 1024.0 / self.count()),
            ("CPU µs/s of a socket", cpu * 1e6 / self.count()),
            ("opened/s", self.opened_per_second),
        ];
        figures.record(IDLE, OURS, columns);
        Ok(())
    }

    fn part(&self) -> Duration {
        Duration::from_secs(self.args.seconds)
    }

    async fn fan_out(&mut self, figures: &mut Figures) -> Result<()> {
        for pace in [0, self.args.pace] {
            eprintln!("ticks, and {pace} news/s");
            self.line.set_pace(pace);
            sleep(SETTLE).await;
            self.reset(false).await?;
            let before = self.usage()?.1;
            let time = self.part();
            sleep(time).await;
            let cpu = (self.usage()?.1 - before) / time.as_secs_f64();
            let reports = self.reports().await?;
            let ticks: u64 = reports.iter().map(|report| report.ticks).sum();
            let news: u64 = reports.iter().map(|report| report.news.count).sum();
            let worst = worst(reports.iter().map(|report| report.news));
            let columns = [
                ("ticks/s", ticks as f64 / time.as_secs_f64()),
                ("news/s", news as f64 / time.as_secs_f64()),
                ("CPU, of a core", cpu),
                ("news p50 ms", worst.p50),
                ("news p99 ms", worst.p99),
                ("news max ms", worst.max),
            ];
            figures.record(FANOUT, &format!("{pace} leave the line each second"), columns);
        }
        self.line.set_pace(0);
        Ok(())
    }

    async fn burst(&mut self, figures: &mut Figures) -> Result<()> {
        eprintln!("one change for all");
        sleep(SETTLE).await;
        self.reset(true).await?;
        self.line.change_item(true);
        sleep(SETTLE).await;
        let reports = self.reports().await?;
        let received: u64 = reports.iter().map(|report| report.items.count).sum();
        let worst = worst(reports.iter().map(|report| report.items));
        let columns = [
            ("received", received as f64),
            ("p50 ms", worst.p50),
            ("p99 ms", worst.p99),
            ("last ms", worst.max),
        ];
        figures.record(BURST, OURS, columns);
        Ok(())
    }

    async fn storm(&mut self, figures: &mut Figures) -> Result<()> {
        eprintln!("all gateways are killed");
        self.reset(true).await?;
        let asked = self.line.asked();
        for (_, gateway) in &mut self.gateways {
            gateway.kill().await?;
        }
        for (address, gateway) in &mut self.gateways {
            let plan = plan(self.args, &self.line, &self.folder);
            *gateway = serve::start(*address, Some(plan)).await?;
        }
        let start = Instant::now();
        let (mut back, mut most) = (0.0, None);
        let reports = loop {
            sleep(Duration::from_secs(1)).await;
            let reports = self.reports().await?;
            let open: u64 = reports.iter().map(|report| report.open).sum();
            let share = open as f64 / self.count();
            if share >= 0.99 && most.is_none() {
                most = Some(start.elapsed().as_secs_f64());
            }
            back = f64::max(back, share);
            if share >= 1.0 || start.elapsed() > BACK {
                break reports;
            }
        };
        let time = start.elapsed().as_secs_f64();
        let wrong: u64 = reports.iter().map(|report| report.wrong).sum();
        let in_line: u64 = reports.iter().map(|report| report.in_line).sum();
        sleep(SETTLE).await;
        let columns = [
            ("99 % back after s", most.unwrap_or(f64::NAN)),
            ("all after s", if back >= 1.0 { time } else { f64::NAN }),
            ("hellos in the line", in_line as f64),
            ("wrong positions", wrong as f64),
            ("bookings read/s", (self.line.asked().0 - asked.0) as f64 / time),
            ("calls/s", (self.line.asked().1 - asked.1) as f64 / time),
            ("memory, times before", self.usage()?.0 / self.rss.1),
        ];
        figures.record(STORM, OURS, columns);
        Ok(())
    }

    async fn drain(mut self, figures: &mut Figures) -> Result<()> {
        eprintln!("drain");
        self.reset(true).await?;
        for (_, gateway) in &mut self.gateways {
            gateway.order(&self.args.drain).await?;
        }
        let mut took = 0.0;
        for (_, gateway) in &mut self.gateways {
            took = f64::max(took, gateway.report::<f64>().await?);
        }
        // The clients may have the last closes still to read.
        sleep(Duration::from_secs(1)).await;
        let mut seconds = Vec::new();
        for report in self.reports().await? {
            seconds.resize(seconds.len().max(report.ends.len()), 0);
            for (sum, ends) in seconds.iter_mut().zip(&report.ends) {
                *sum += ends;
            }
        }
        let most = seconds.iter().max().copied().unwrap_or_default();
        let columns = [
            ("--drain s", self.args.drain as f64),
            ("took s", took),
            ("closed", seconds.iter().sum::<u64>() as f64),
            ("% in the worst second", most as f64 * 100.0 / self.count()),
        ];
        figures.record(DRAIN, OURS, columns);
        for clients in self.clients {
            clients.end().await?;
        }
        for (_, gateway) in self.gateways {
            gateway.end().await?;
        }
        Ok(())
    }
}

/// The largest percentiles of several processes.
fn worst(all: impl Iterator<Item = LatencySummary>) -> LatencySummary {
    all.fold(LatencySummary::default(), |worst, one| LatencySummary {
        count: worst.count + one.count,
        p50: worst.p50.max(one.p50),
        p99: worst.p99.max(one.p99),
        max: worst.max.max(one.max),
    })
}
