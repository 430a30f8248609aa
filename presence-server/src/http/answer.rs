//! Answers: bodies and errors in the shape that all routes share.

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
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    pub(crate) fn field(
        status: StatusCode,
        code: &'static str,
        field: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), field: Some(field) }
    }

    pub(crate) fn answer(&self) -> Answer {
        let error = ErrorDetail { code: self.code, message: &self.message, field: self.field };
        let mut answer = encoded(self.status, &ErrorBody { error });
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
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
