//! Traces across processes: the W3C `traceparent` of a request, through the store, to the services.

use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header, and its key in a carrier.
const TRACEPARENT: &str = "traceparent";
/// The only length that version 00 has.
const TRACEPARENT_BYTES: usize = 55;

/// The `traceparent` of a request, if it looks like one.
pub fn incoming(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get(TRACEPARENT)?.to_str().ok()?;
    (value.len() == TRACEPARENT_BYTES && value.is_ascii()).then(|| value.to_owned())
}

/// Makes `span` a child of the request that created the booking. Does nothing without a trace, or
/// without a propagator.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    struct IncomingHeader<'a>(&'a str);
    impl Extractor for IncomingHeader<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    let Some(traceparent) = traceparent else { return };
    let header = IncomingHeader(traceparent);
    let context = get_text_map_propagator(|propagator| propagator.extract(&header));
    if context.span().span_context().is_valid() {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to continue.
        let _ = span.set_parent(context);
    }
}

/// Writes the current span's context into the headers of a call. Does nothing without a propagator.
pub fn inject(metadata: &mut MetadataMap) {
    struct OutgoingHeaders<'a>(&'a mut MetadataMap);
    impl Injector for OutgoingHeaders<'_> {
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
                self.0.insert(key, value);
            }
        }
    }
    let context = Span::current().context();
    get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut OutgoingHeaders(metadata));
    });
}
