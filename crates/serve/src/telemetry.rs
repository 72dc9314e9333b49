//! Logs and traces: their flags, formats and destinations.

pub mod json;
mod traces;

use std::io::IsTerminal as _;

use clap::ValueEnum;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, fmt};

/// Flags of every subcommand.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs and traces")]
pub struct TelemetryFlags {
    /// Format of log lines [default: text on a terminal, json otherwise]
    #[arg(long, global = true, env = "BOOKINGQ_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Lowest level to log: error, warn, info, debug or trace; RUST_LOG overrides it and can set
    /// levels by module
    #[arg(long, global = true, env = "BOOKINGQ_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    /// Export traces to this OTLP/gRPC endpoint, such as http://127.0.0.1:4317; off by default
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object for each line.
    Json,
    /// For people.
    Text,
}

/// Why logs or traces cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG is {value:?}: {cause}; allowed: such as info or bookingq_worker=debug")]
    Filter {
        /// Its value.
        value: String,
        /// The cause.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// The trace endpoint cannot be used.
    #[error("--otlp-endpoint is {0:?}; allowed: http://HOST:PORT or https://HOST:PORT")]
    Endpoint(String),
    /// The process logs already.
    #[error(transparent)]
    AlreadyStarted(#[from] TryInitError),
}

/// Libraries whose lower levels are noise.
const NETWORK: [&str; 8] = [
    "h2",
    "hyper",
    "tonic",
    "tower",
    "rustls",
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry_otlp",
];
/// Where the Kubernetes client logs calls that fail.
const FAILED_CALLS: &str = "kube_client::client::builder";

/// Running log and trace output.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts both; without a flag or `RUST_LOG`, logs from `default_level` up. Call inside the
    /// runtime: the trace exporter runs on it.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn start(
        flags: &TelemetryFlags,
        default_level: LevelFilter,
    ) -> Result<Self, TelemetryError> {
        let traces = flags.otlp_endpoint.as_deref().map(|endpoint| {
            let refused = || TelemetryError::Endpoint(endpoint.to_owned());
            traces::provider(endpoint).ok_or_else(refused)
        });
        let traces = traces.transpose()?;
        let format = flags.log_format.unwrap_or_else(|| {
            if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json }
        });
        let log = match format {
            LogFormat::Json => json::JsonLines::new(std::io::stderr).boxed(),
            LogFormat::Text => {
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
            .with(log.with_filter(filter(flags.log_level.unwrap_or(default_level))?))
            .try_init()?;
        Ok(Self { traces })
    }

    /// Exports the remaining spans.
    pub async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // The exporter blocks its thread until the last batch is out.
        match tokio::task::spawn_blocking(move || traces.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot export the last traces"),
            Err(error) => tracing::warn!(%error, "cannot export the last traces"),
        }
    }
}

/// `RUST_LOG` if set; otherwise `level`, with the network libraries at warn, and without the lines
/// of the Kubernetes client about each call that fails: the caller logs that, at a bounded rate.
fn filter(level: LevelFilter) -> Result<EnvFilter, TelemetryError> {
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let value = text.unwrap_or_else(|| {
        let quiet = level.min(LevelFilter::WARN);
        let libraries = NETWORK.iter().map(|library| format!(",{library}={quiet}"));
        format!("{level}{},{FAILED_CALLS}=off", libraries.collect::<String>())
    });
    EnvFilter::try_new(&value).map_err(|cause| TelemetryError::Filter { value, cause })
}
