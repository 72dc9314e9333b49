//! Enqueue, for one client and for many.

use bookingq_core::Refusal;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1::{self, enqueue_result};
use bookingq_store::Enqueued;

use super::WorkerService;
use super::parse::Parser;

impl WorkerService {
    pub(super) async fn enqueue(
        &self,
        request: v1::EnqueueRequest,
        trace: Option<String>,
    ) -> Result<v1::EnqueueResponse, ApiError> {
        let enqueue = self.parser.enqueue(&request, trace)?;
        let result = self.store.enqueue(enqueue).await.map_err(|error| self.store_error(error))?;
        self.wake.notify_one();
        self.enqueued(result)
    }

    pub(super) async fn enqueue_batch(
        &self,
        request: v1::EnqueueBatchRequest,
        trace: Option<String>,
    ) -> Result<v1::EnqueueBatchResponse, ApiError> {
        Parser::check_batch(request.requests.len())?;
        let mut results: Vec<Option<Result<v1::EnqueueResponse, ApiError>>> = Vec::new();
        let mut valid = Vec::new();
        for request in request.requests {
            match self.parser.enqueue(&request, trace.clone()) {
                Ok(enqueue) => {
                    valid.push(enqueue);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        // The caller has already made a batch: it bypasses group commit.
        let answers =
            self.store.store().enqueue(valid).await.map_err(|error| self.store_error(error))?;
        self.wake.notify_one();
        let mut answers = answers.into_iter();
        let results = results
            .into_iter()
            .filter_map(|refused| {
                refused.or_else(|| answers.next().map(|answer| self.enqueued(answer)))
            })
            .map(result)
            .collect();
        Ok(v1::EnqueueBatchResponse { results })
    }

    fn enqueued(&self, result: Result<Enqueued, Refusal>) -> Result<v1::EnqueueResponse, ApiError> {
        let Enqueued { booking, existing } = result?;
        Ok(v1::EnqueueResponse { booking: Some(self.show(&booking)), existing })
    }
}

fn result(result: Result<v1::EnqueueResponse, ApiError>) -> v1::EnqueueResult {
    let result = match result {
        Ok(response) => enqueue_result::Result::Response(response),
        Err(error) => enqueue_result::Result::Error(v1::EnqueueError {
            reason: error.reason().into(),
            message: error.to_string(),
            field: error.field().to_owned(),
        }),
    };
    v1::EnqueueResult { result: Some(result) }
}
