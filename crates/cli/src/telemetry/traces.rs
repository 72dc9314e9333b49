//! Traces over OTLP, in the W3C way.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use crate::failure::Failure;

/// Sends spans to `endpoint` in batches, and makes `traceparent` the way traces pass between
/// processes.
pub fn provider(endpoint: &str) -> Result<SdkTracerProvider, Failure> {
    let refused = || {
        Failure::usage(format!(
            "--otlp-endpoint is {endpoint:?}; allowed: http://HOST:PORT or https://HOST:PORT"
        ))
    };
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(refused());
    }
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|_| refused())?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let resource = Resource::builder().with_service_name("bookingq").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Turns spans into traces.
pub fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("bookingq"))
}
