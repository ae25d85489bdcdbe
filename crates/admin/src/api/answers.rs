//! Answers that are not what was asked for, and work that may wait for the disk.

use crate::wire;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why a request was not answered.
#[derive(Debug)]
pub(super) struct Trouble {
    status: StatusCode,
    code: &'static str,
    error: String,
}

impl Trouble {
    fn new(status: StatusCode, code: &'static str, error: &str) -> Self {
        Self { status, code, error: error.to_owned() }
    }

    pub(super) fn bad(error: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", error)
    }

    pub(super) fn not_found(error: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", error)
    }

    pub(super) fn not_now(error: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "not_now", error)
    }

    pub(super) fn journal(error: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "journal", error)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the operator's token is missing or wrong")
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = wire::Trouble { code: self.code.to_owned(), error: self.error };
        (self.status, Json(body)).into_response()
    }
}

/// Runs what may block on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, journal::Error> + Send + 'static,
) -> Result<Json<T>, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(Json(done)),
        Ok(Err(error)) => Err(Trouble::journal(&error.to_string())),
        Err(_) => Err(Trouble::journal("the gateway is ending")),
    }
}
