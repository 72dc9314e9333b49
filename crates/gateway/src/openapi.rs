//! The OpenAPI document, made from the handlers and the types that they send.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response as DocumentedResponse};
use utoipa::{Modify, OpenApi};

use crate::problem::{MEDIA_TYPE, ProblemJson};
use crate::{backend, challenges, passes, places, queue, streams};

/// The API of both ports.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "bookingq gateway",
        description = "Fair booking queues over HTTP: join a line, see the place in it, and get a \
                       pass for the payment.\n\nErrors are problem documents (RFC 9457) with a \
                       closed set of reasons. A request may always be repeated unchanged.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        places::join,
        places::show,
        places::take_over,
        places::leave,
        passes::make,
        challenges::show,
        queue::show,
        queue::tick,
        queue::jwks,
        streams::open_socket,
        streams::open_events,
        backend::pay,
        show,
    ),
    tags(
        (name = "place", description = "The place of a client"),
        (name = "queue", description = "The queue as a whole"),
        (name = "updates", description = "Changes as they happen, protocol `bq1`"),
        (name = "pass", description = "Proof of a reservation, for the seller"),
        (name = "backend", description = "For the seller's backend, on a port of its own"),
    ),
    components(schemas(ProblemJson)),
    modifiers(&Schemes, &QueueInPath, &ProblemResponses)
)]
struct ApiDoc;

/// Every path of a queue refuses a name that no queue can have.
struct QueueInPath;

/// What [`bookingq_core::QueueName`] accepts.
const QUEUE_PATTERN: &str = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
const QUEUE_LENGTH: usize = 127;

impl Modify for QueueInPath {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for operation in api.paths.paths.values_mut().flat_map(operations) {
            let parameters = operation.parameters.iter_mut().flatten();
            let mut queues = parameters.filter_map(|parameter| match parameter {
                RefOr::T(parameter) if parameter.name == "queue" => Some(parameter),
                _ => None,
            });
            let Some(queue) = queues.next() else { continue };
            let name = ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(QUEUE_PATTERN))
                .max_length(Some(QUEUE_LENGTH));
            queue.schema = Some(name.into());
            let refused = DocumentedResponse::new("INVALID_ARGUMENT");
            let answers = &mut operation.responses.responses;
            answers.entry("422".to_owned()).or_insert(RefOr::T(refused));
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().flatten()
}

/// Every error is a problem document: the handlers name the reasons only.
struct ProblemResponses;

impl Modify for ProblemResponses {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let operations = api.paths.paths.values_mut().flat_map(operations);
        for (status, answer) in operations.flat_map(|operation| &mut operation.responses.responses)
        {
            let is_error = status.starts_with(['4', '5']);
            if let RefOr::T(answer) = answer
                && is_error
            {
                let schema = Ref::from_schema_name("Problem");
                let problem = Content::new(Some(schema));
                answer.content.insert(MEDIA_TYPE.to_owned(), RefOr::T(problem));
            }
        }
    }
}

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let bearer = |text: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
            SecurityScheme::Http(scheme.description(Some(text)).build())
        };
        components.add_security_scheme("place", bearer("The token of a place, for apps"));
        components.add_security_scheme("backend", bearer("A token of the seller's backend"));
        let cookie = "The cookie of a place; QUEUE is the name of the queue";
        let cookie = ApiKeyValue::with_description("__Host-bq-QUEUE", cookie);
        components
            .add_security_scheme("placeCookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// Made once: it is the largest answer of the gateway.
static DOCUMENT: LazyLock<String> = LazyLock::new(document);

/// The document as JSON, with a line break at its end.
pub fn document() -> String {
    let mut api = ApiDoc::openapi();
    // The release is in the binary; the document changes only when the API does.
    "1".clone_into(&mut api.info.version);
    // Texts, numbers and lists always serialize.
    let mut text = serde_json::to_string_pretty(&api).unwrap_or_default();
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenapi", tag = "queue",
    responses((status = 200, description = "This document"))
)]
pub async fn show() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, DOCUMENT.as_str()).into_response()
}
