//! What the checkout asks the gateway: the keys of passes, and to confirm payments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bookingq_core::time::millis;
use bookingq_core::{QueueName, Timestamp};
use bookingq_identity::{BackendClaims, KeyPurpose, PassClaims, PassVerifier, TokenError};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::config::{CheckoutConfig, HttpAddress};

const DEADLINE: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 256 * 1024;
/// Keys are read again after this time, and earlier for an unknown one.
const FRESH: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(5);
/// A token of the backend lives as long as one call and two clocks need.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The outcome of a payment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PaymentOutcome {
    /// The booking is the client's.
    Paid,
    /// It is not: the payment must be returned.
    Refused {
        /// In a few words.
        title: String,
        /// In a sentence.
        detail: String,
    },
    /// No answer: the same payment may be reported again.
    Unknown(String),
}

#[derive(Deserialize)]
struct GatewayProblem {
    title: String,
    detail: String,
}

#[derive(Deserialize)]
struct Paid {
    place: PaidPlace,
}

#[derive(Deserialize)]
struct PaidPlace {
    state: String,
    reason: String,
}

/// The gateway, from the seller's side.
#[derive(Debug)]
pub(super) struct CheckoutGateway {
    config: CheckoutConfig,
    jwks: Mutex<Option<(Instant, String)>>,
}

impl CheckoutGateway {
    pub fn new(config: CheckoutConfig) -> Self {
        Self { config, jwks: Mutex::default() }
    }

    /// The waiting-room page of a queue.
    pub fn queue_page(&self, queue: &str) -> String {
        format!("{}/q/{queue}", self.config.gateway)
    }

    /// Verifies a pass for `queue`.
    pub async fn verify(
        &self,
        queue: &QueueName,
        pass: &str,
        now: Timestamp,
    ) -> Result<PassClaims, String> {
        let audience = self.config.audience.as_deref().unwrap_or(queue.as_str());
        let check = |jwks: &str| {
            let verifier = PassVerifier::new(jwks, &self.config.issuer, audience);
            verifier.map(|verifier| verifier.verify(pass, now)).map_err(|error| error.to_string())
        };
        let mut checked = check(&self.jwks(FRESH).await?)?;
        if matches!(checked, Err(TokenError::UnknownKey(_))) {
            checked = check(&self.jwks(AGAIN).await?)?;
        }
        let claims = checked.map_err(|error| error.to_string())?;
        if claims.queue == *queue {
            Ok(claims)
        } else {
            Err(format!("it is for the queue {}", claims.queue))
        }
    }

    /// The keys of passes, at most `age` old.
    async fn jwks(&self, age: Duration) -> Result<String, String> {
        let kept = self.jwks.lock().clone();
        if let Some((at, jwks)) = kept.filter(|(at, _)| at.elapsed() < age) {
            let _ = at;
            return Ok(jwks);
        }
        let request = Request::get("/.well-known/jwks.json");
        let (status, body) = call(&self.config.gateway, request, String::new()).await?;
        let jwks = String::from_utf8(body).unwrap_or_default();
        if status != StatusCode::OK {
            return Err(format!("the gateway's keys cannot be read: its answer is {status}"));
        }
        *self.jwks.lock() = Some((Instant::now(), jwks.clone()));
        Ok(jwks)
    }

    /// Reports the payment of a pass. One pass is one payment, however often it is reported.
    pub async fn pay(&self, claims: &PassClaims, pass: &str) -> PaymentOutcome {
        let body = json!({"pass": pass, "paymentId": format!("demo-{}", claims.booking)});
        let token = match self.token(&claims.queue) {
            Ok(token) => token,
            Err(problem) => return PaymentOutcome::Unknown(problem),
        };
        let request = Request::post(format!("/v1/queues/{}/payments", claims.queue))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        match call(&self.config.backend, request, body.to_string()).await {
            Ok((status, body)) => outcome(status, &body),
            Err(problem) => PaymentOutcome::Unknown(problem),
        }
    }

    fn token(&self, queue: &QueueName) -> Result<String, String> {
        let now = now();
        let key = self.config.keys.signing(KeyPurpose::Backend, now);
        let claims = BackendClaims {
            backend: "demo-checkout".to_owned(),
            queue: Some(queue.clone()),
            expires_at: now + TOKEN_LIFETIME,
        };
        key.and_then(|key| claims.sign(key)).map_err(|error| error.to_string())
    }
}

fn outcome(status: StatusCode, body: &[u8]) -> PaymentOutcome {
    if status == StatusCode::OK {
        return match serde_json::from_slice::<Paid>(body) {
            Ok(Paid { place }) if ["confirming", "confirmed"].contains(&&*place.state) => {
                PaymentOutcome::Paid
            }
            Ok(Paid { place }) => PaymentOutcome::Refused {
                title: format!("The booking is {}", place.state),
                detail: place.reason,
            },
            Err(error) => PaymentOutcome::Unknown(format!("the answer is not readable: {error}")),
        };
    }
    let refused = match status {
        StatusCode::CONFLICT | StatusCode::GONE | StatusCode::NOT_FOUND => {
            serde_json::from_slice(body).ok()
        }
        _ => None,
    };
    match refused {
        Some(GatewayProblem { title, detail }) => PaymentOutcome::Refused { title, detail },
        None => PaymentOutcome::Unknown(format!(
            "the gateway answered {status}: {}",
            String::from_utf8_lossy(body).chars().take(200).collect::<String>()
        )),
    }
}

/// One request on its own connection: there are few.
async fn call(
    address: &HttpAddress,
    request: hyper::http::request::Builder,
    body: String,
) -> Result<(StatusCode, Vec<u8>), String> {
    let exchange = async {
        let host = address.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, address.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The request reports the connection's errors.
        let connection = tokio::spawn(connection);
        let host = format!("{}:{}", address.host, address.port);
        let request = request.header(HOST, host).body(Full::<Bytes>::from(body))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await?;
        connection.abort();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.to_bytes().to_vec()))
    };
    match timeout(DEADLINE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("the gateway at {address} does not answer: {error}")),
        Err(_) => Err(format!("the gateway at {address} does not answer within {DEADLINE:?}")),
    }
}

pub(super) fn now() -> Timestamp {
    // The clock of tokens: the wall clock.
    Timestamp(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_payment_and_an_error_is_neither() {
        let paid = br#"{"place":{"state":"confirming","reason":""}}"#;
        assert_eq!(outcome(StatusCode::OK, paid), PaymentOutcome::Paid);
        let failed = br#"{"place":{"state":"failed","reason":"card"}}"#;
        assert!(matches!(outcome(StatusCode::OK, failed), PaymentOutcome::Refused { .. }));
        let late = br#"{"title":"The time to pay is over","detail":"by 3 s"}"#;
        assert!(matches!(outcome(StatusCode::GONE, late), PaymentOutcome::Refused { .. }));
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::UNAUTHORIZED] {
            assert!(matches!(outcome(status, late), PaymentOutcome::Unknown(_)), "{status}");
        }
        assert!(matches!(outcome(StatusCode::GONE, b"<html>"), PaymentOutcome::Unknown(_)));
    }
}
