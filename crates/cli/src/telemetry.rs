//! Logs and traces: what is said, how, and where to.

mod json;
mod traces;

use std::io::IsTerminal as _;

use clap::ValueEnum;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::failure::Failure;

/// Flags of every subcommand.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs and traces")]
pub struct Flags {
    /// How log lines look [default: text on a terminal, json otherwise]
    #[arg(long, global = true, env = "BOOKINGQ_LOG_FORMAT", value_enum)]
    log_format: Option<Format>,
    /// What is logged: error, warn, info, debug or trace; RUST_LOG wins and can say it for each
    /// module
    #[arg(long, global = true, env = "BOOKINGQ_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    /// Where traces go (OTLP over gRPC), such as http://127.0.0.1:4317; none by default
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object for each line.
    Json,
    /// For people.
    Text,
}

/// How much a kind of program says unless it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chatter {
    /// Runs for long: what happens is worth a line.
    Service,
    /// Answers a person: only what is odd.
    Tool,
    /// Draws on the terminal: only what went wrong.
    Drawing,
}

impl Chatter {
    fn level(self) -> LevelFilter {
        match self {
            Self::Service => LevelFilter::INFO,
            Self::Tool => LevelFilter::WARN,
            Self::Drawing => LevelFilter::ERROR,
        }
    }
}

/// Running log and trace output.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts both. Call inside the runtime: the trace exporter lives on it.
    pub fn start(flags: &Flags, chatter: Chatter) -> Result<Self, Failure> {
        let traces = flags.otlp_endpoint.as_deref().map(traces::provider).transpose()?;
        let format = flags.log_format.unwrap_or_else(|| {
            if std::io::stderr().is_terminal() { Format::Text } else { Format::Json }
        });
        let log = match format {
            Format::Json => json::JsonLines::new(std::io::stderr).boxed(),
            Format::Text => {
                let colours = std::io::stderr().is_terminal();
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false)
                    .with_ansi(colours)
                    .boxed()
            }
        };
        tracing_subscriber::registry()
            .with(traces.as_ref().map(traces::layer))
            .with(log.with_filter(filter(flags.log_level.unwrap_or_else(|| chatter.level()))?))
            .try_init()?;
        Ok(Self { traces })
    }

    /// Sends what is not sent yet.
    pub async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // The exporter blocks its thread until the last batch is out.
        match tokio::task::spawn_blocking(move || traces.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces were not sent"),
            Err(error) => tracing::warn!(%error, "the last traces were not sent"),
        }
    }
}

/// `RUST_LOG` where there is one; `level` otherwise, with the network libraries kept quiet.
fn filter(level: LevelFilter) -> Result<EnvFilter, Failure> {
    match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            Failure::usage(format!(
                "RUST_LOG is {text:?}: {error}; allowed: such as info or bookingq_worker=debug"
            ))
        }),
        _ => {
            let quiet = level.min(LevelFilter::WARN);
            let text = format!(
                "{level},h2={quiet},hyper={quiet},tonic={quiet},tower={quiet},rustls={quiet},opentelemetry={quiet},opentelemetry_sdk={quiet},opentelemetry_otlp={quiet}"
            );
            Ok(EnvFilter::try_new(text)?)
        }
    }
}
