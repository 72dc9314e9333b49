//! How a bucket is called: TLS, deadlines, repetition.

use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::{Client, Url};

use super::settings::{S3Settings, S3SettingsError};
use crate::tls_client;

/// Calls of one bucket.
#[derive(Debug)]
pub(super) struct S3Client(Client);

impl S3Client {
    /// Calls nothing yet. A connection, an answer, and each piece of its body has to come within
    /// `silence`; a part that is sent counts as waiting for its answer.
    pub(super) async fn new(
        settings: &S3Settings,
        endpoint: &Url,
    ) -> Result<Self, S3SettingsError> {
        let tls = tls_client::client_config(settings.ca.as_ref(), None).await;
        let client = Client::builder()
            .tls_backend_preconfigured(tls.map_err(S3SettingsError::Authorities)?)
            // No answer leads from TLS to a connection without it.
            .https_only(endpoint.scheme() == "https")
            .http1_only()
            .connect_timeout(settings.silence)
            .read_timeout(settings.silence)
            .build();
        Ok(Self(client.map_err(|error| S3SettingsError::Client(error.to_string()))?))
    }
}

impl HttpConnector for S3Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// About half a minute of tries while calls fail at once, and a second try for one that was silent.
pub(super) fn retry(silence: Duration) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(250),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 20, retry_timeout: silence.saturating_mul(2) }
}
