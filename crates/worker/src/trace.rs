//! Traces across processes: W3C `traceparent` in, through the store, and out again.

use std::collections::HashMap;

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt as _;
use tonic::metadata::MetadataMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header, and the key it goes by in a carrier.
const TRACEPARENT: &str = "traceparent";
/// The only length version 00 has.
const TRACEPARENT_BYTES: usize = 55;

/// The `traceparent` a request came with, if it looks like one.
pub fn incoming(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get(TRACEPARENT)?.to_str().ok()?;
    (value.len() == TRACEPARENT_BYTES && value.is_ascii()).then(|| value.to_owned())
}

/// Makes `span` a child of the request that made the booking. Does nothing without a trace, or
/// without a propagator.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    struct Carrier(HashMap<String, String>);
    impl Extractor for Carrier {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).map(String::as_str)
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(String::as_str).collect()
        }
    }
    let Some(traceparent) = traceparent else { return };
    let carrier = Carrier(HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]));
    let context =
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&carrier));
    if context.span().span_context().is_valid() {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to continue.
        let _ = span.set_parent(context);
    }
}
