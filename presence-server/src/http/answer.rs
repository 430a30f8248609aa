//! Answers: bodies and errors in the shape that all routes share.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::shard::Busy;

/// What a route answers with.
pub(crate) type Answer = Response<Full<Bytes>>;

/// An error as every route answers it: `{"error":{"code","message","field"?}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) field: Option<&'static str>,
    /// When the same request may succeed.
    pub(crate) retry_after: Option<Duration>,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after: None }
    }

    pub(crate) fn field(
        status: StatusCode,
        code: &'static str,
        field: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), field: Some(field), retry_after: None }
    }

    /// The same error, with the time after which to try again.
    #[must_use]
    pub(crate) fn retry_after(self, span: Duration) -> Self {
        Self { retry_after: Some(span), ..self }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = json(self.status, self.body());
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    /// The answer as bytes, for a connection that has not come as far as HTTP and will not.
    pub(crate) fn bare(&self) -> Vec<u8> {
        let body = self.body();
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
            self.status,
            body.len()
        );
        if let Some(seconds) = self.retry_after_seconds() {
            bytes.push_str(&format!("Retry-After: {seconds}\r\n"));
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Whole seconds, and never too early.
    fn retry_after_seconds(&self) -> Option<u64> {
        let told = self.retry_after.map(|span| span.as_millis().div_ceil(1000) as u64);
        told.or((self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1))
    }

    fn body(&self) -> Vec<u8> {
        let retry_after_ms = self.retry_after.map(|span| span.as_millis() as u64);
        let error =
            ErrorDetail { code: self.code, message: &self.message, field: self.field, retry_after_ms };
        serde_json::to_vec(&ErrorBody { error }).expect("these structs have no failing parts")
    }
}

impl From<Busy> for HttpError {
    fn from(busy: Busy) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", busy.to_string())
    }
}

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

/// What went wrong, for programs and for people.
#[derive(Serialize, ToSchema)]
struct ErrorDetail<'a> {
    /// What a program acts on.
    code: &'a str,
    /// What a person reads.
    message: &'a str,
    /// What in the request is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
    /// When the same request may succeed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
}

/// Something as a JSON body.
pub(crate) fn encoded(status: StatusCode, body: &impl Serialize) -> Answer {
    json(status, serde_json::to_vec(body).expect("answers have string keys and no failing parts"))
}

/// No body at all.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// A JSON body, which nobody should keep.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    text(status, "application/json", body)
}

/// A body of any type.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
