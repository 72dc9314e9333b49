//! Clients that come through a gateway, as browsers do: HTTP to join and leave, a WebSocket to
//! follow the place, and the backend port for payments, as a seller reports them.

mod http;
mod place;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_core::{ClientId, QueueName, Timestamp};
use bookingq_identity::{BackendClaims, EnqueueClaims, KeyPurpose, KeyRing, SignError};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Status;

pub use self::http::{GatewayClient, GatewayPool};
pub use self::socket::PlaceSocket;

/// How long a check may take.
const CHECK: Duration = Duration::from_secs(10);
/// How long the tokens are valid that a crowd signs.
const TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// What a crowd needs to come through gateways. The addresses of their public ports are the
/// endpoints that [`Crowd::run`](crate::Crowd::run) receives.
#[derive(Debug, Clone)]
pub struct GatewayAccess {
    /// The addresses of the backend ports; they may change at any time.
    pub backends: watch::Receiver<Vec<SocketAddr>>,
    /// Signs what a seller signs: an enqueue token for each client, and a backend token for each
    /// payment.
    pub keys: Arc<KeyRing>,
}

impl GatewayAccess {
    /// Whether a gateway at one of these addresses serves the queue.
    ///
    /// # Errors
    /// The refusal, or what came instead of an answer within 10 s.
    pub async fn check(
        &self,
        queue: &QueueName,
        gateways: watch::Receiver<Vec<SocketAddr>>,
    ) -> Result<(), Status> {
        let pool = GatewayPool::new(gateways, self.clone(), 1);
        let answer = timeout(CHECK, GatewayClient::new(pool, 0).queue(queue)).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("the gateway did not answer")))
    }

    /// Lets `client` join `queue` under its own id.
    fn enqueue_token(&self, queue: &QueueName, client: &ClientId) -> Result<String, SignError> {
        let now = now();
        let claims = EnqueueClaims {
            client: client.clone(),
            queue: queue.clone(),
            id: format!("{client}-{}", now.0),
            expires_at: now + TOKEN_LIFETIME,
        };
        claims.sign(self.keys.signing(KeyPurpose::Enqueue, now)?)
    }

    /// Lets the crowd report payments.
    fn backend_token(&self, queue: &QueueName) -> Result<String, SignError> {
        let now = now();
        let claims = BackendClaims {
            backend: "crowd".to_owned(),
            queue: Some(queue.clone()),
            expires_at: now + TOKEN_LIFETIME,
        };
        claims.sign(self.keys.signing(KeyPurpose::Backend, now)?)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(since.as_millis() as u64)
}
