//! What the handlers of one gateway share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bookingq_core::{QueueName, Timestamp};
use bookingq_proto::v1;

use crate::auth::{self, CookieStyle, RequestPlace};
use crate::config::QueueSettings;
use crate::fanout::Fanout;
use crate::feed::PlaceFeed;
use crate::joins::Joins;
use crate::keys::KeyStore;
use crate::limits::AddressLimits;
use crate::origin::AllowedOrigins;
use crate::page::WaitingPage;
use crate::place_json::{PlaceJson, PlaceReading, wall_clock};
use crate::problem::{Problem, ProblemReason};
use crate::queue_reader::QueueReader;
use crate::workers::QueueWorkers;

/// One queue of a gateway.
pub struct QueueGateway {
    /// Its name.
    pub name: QueueName,
    /// How it is shown.
    pub settings: QueueSettings,
    /// Its workers.
    pub workers: QueueWorkers,
    /// The line, the connections, and the snapshots.
    pub feed: Arc<PlaceFeed>,
    /// Clients that join.
    pub joins: Joins,
    /// The queue as a whole.
    pub reader: QueueReader,
    /// The waiting-room page.
    pub page: WaitingPage,
}

/// When a client may ask a queue again that hibernates.
const ASLEEP: Duration = Duration::from_secs(60);

impl QueueGateway {
    /// Refuses at once what only a worker could answer, if the queue has none.
    ///
    /// # Errors
    /// [`ProblemReason::UpstreamUnavailable`] while the queue hibernates: it may pass.
    pub fn awake(&self) -> Result<(), Problem> {
        if !self.settings.hibernates {
            return Ok(());
        }
        let problem = "the queue hibernates (spec.hibernate): its places are kept, and can be \
                       seen and used again once it wakes";
        Err(Problem::new(ProblemReason::UpstreamUnavailable, problem).retry_after(ASLEEP))
    }

    /// A booking that was just read, as clients see it.
    pub fn show(&self, booking: &v1::Booking) -> PlaceJson {
        let line = self.feed.view.current();
        PlaceJson::new(booking, PlaceReading { epoch: &line.epoch, now: self.feed.now() })
    }
}

/// What the handlers of one gateway share.
pub struct GatewayState {
    /// The queues.
    pub queues: HashMap<QueueName, Arc<QueueGateway>>,
    /// The keys.
    pub keys: KeyStore,
    /// WebSockets and event streams of all queues.
    pub fanout: Arc<Fanout>,
    /// How many of them may be open.
    pub max_streams: usize,
    /// `iss` of passes.
    pub issuer: String,
    /// Time for which a place token is valid.
    pub place_lifetime: Duration,
    /// The cookies.
    pub cookies: CookieStyle,
    /// Origins of all queues: for what belongs to no queue.
    pub origins: AllowedOrigins,
    /// How often an address may join or connect without a place.
    pub limits: AddressLimits,
}

impl GatewayState {
    /// A queue by its name.
    ///
    /// # Errors
    /// [`ProblemReason::QueueNotFound`].
    pub fn queue(&self, name: &str) -> Result<&Arc<QueueGateway>, Problem> {
        let name = QueueName::new(name)?;
        self.queues.get(&name).ok_or_else(|| {
            Problem::new(
                ProblemReason::QueueNotFound,
                format!("this gateway does not serve queue {name}"),
            )
        })
    }

    /// The place of a request.
    ///
    /// # Errors
    /// [`ProblemReason::PlaceRequired`] or [`ProblemReason::PlaceInvalid`].
    pub fn place(&self, queue: &QueueName, headers: &HeaderMap) -> Result<RequestPlace, Problem> {
        auth::place(headers, self.cookies, queue, &self.keys.ring(), now())
    }
}

/// The clock of tokens: gateways and the seller's backends share no other.
pub fn now() -> Timestamp {
    wall_clock()
}

/// The queue that the path names.
pub struct QueuePath(pub Arc<QueueGateway>);

impl<S: Send + Sync> FromRequestParts<S> for QueuePath
where
    Arc<GatewayState>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unreadable =
            |_| Problem::new(ProblemReason::QueueNotFound, "the queue's name is not UTF-8");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(unreadable)?;
        let name = params.iter().find(|(key, _)| *key == "queue").map(|(_, name)| name);
        Arc::from_ref(state).queue(name.unwrap_or_default()).map(Arc::clone).map(Self)
    }
}

/// The address of the connection.
pub type Peer = axum::extract::ConnectInfo<SocketAddr>;
