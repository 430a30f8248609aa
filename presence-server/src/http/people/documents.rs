//! `/v1/users/{id}/documents/{key}`: what a user's client keeps for itself, with revisions (C4).

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue};
use presence_core::id::UserId;
use presence_core::people::{DocumentKey, Revision};
use presence_core::port::store::StoreError;
use presence_core::wire;

use super::Asked;
use super::preconditions::{Precondition, is_known, tag};
use crate::http::about::{About, Body, Group, Reply, Schemas};
use crate::http::answer::{Answer, HttpError, empty, json};
use crate::people::People;

/// How often a write is tried whose condition holds again and again of what others have written meanwhile.
const TRIES: usize = 8;

pub(in crate::http) const READ: About = About {
    id: "getDocument",
    group: Group::People,
    summary: "One of a user's own documents",
    text: "Any JSON value, with its revision as `ETag`. Users have their own; the backend has everybody's.",
    query: &[],
    body: None,
    answers: &[
        Reply { status: 200, text: "The document.", body: Body::Json(anything) },
        Reply { status: 304, text: "What `If-None-Match` names is still so.", body: Body::Nothing },
    ],
    refusals: &[404, 503],
};

pub(in crate::http) const WRITE: About = About {
    id: "putDocument",
    group: Group::People,
    summary: "Writes one of a user's own documents",
    text: "`If-Match` with the revision that the writer knows: 412 if it is at another; `If-None-Match: *`: 412 if there \
           is one. Without either, whatever is there is replaced.",
    query: &[],
    body: Some(anything),
    answers: &[Reply { status: 204, text: "It is kept; `ETag` is its revision now.", body: Body::Nothing }],
    refusals: &[408, 412, 413, 503],
};

pub(in crate::http) const DELETE: About = About {
    id: "deleteDocument",
    group: Group::People,
    summary: "Deletes one of a user's own documents",
    text: "`If-Match` as for writing.",
    query: &[],
    body: None,
    answers: &[Reply { status: 204, text: "It is gone.", body: Body::Nothing }],
    refusals: &[404, 412, 503],
};

/// The schema of any JSON value.
fn anything(_: &mut Schemas) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    utoipa::openapi::RefOr::T(
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
            .build()
            .into(),
    )
}

fn absent() -> HttpError {
    HttpError::field(StatusCode::NOT_FOUND, "not_found", "key", "the user has no such document")
}

fn stale() -> HttpError {
    let message = "the document is not at the revision that you know; read it again";
    HttpError::new(StatusCode::PRECONDITION_FAILED, "conflict", message)
}

fn mark(mut answer: Answer, revision: Revision) -> Answer {
    let tag = HeaderValue::try_from(tag(revision)).expect("a number in quotes is a header value");
    answer.headers_mut().insert(ETAG, tag);
    answer
}

/// Answers with a document, unless the asker has it.
pub(super) async fn read(user: UserId, key: DocumentKey, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    let document = asked.people.store().document(&user, &key).await?.ok_or_else(absent)?;
    if is_known(asked.headers, document.revision) {
        return Ok(mark(empty(StatusCode::NOT_MODIFIED), document.revision));
    }
    Ok(mark(json(StatusCode::OK, document.body), document.revision))
}

/// What is to be done to a document.
enum Edit {
    Write(Bytes),
    Delete,
}

/// What became of it.
enum Edited {
    Written(Revision),
    Deleted,
    WasAbsent,
}

impl Edit {
    async fn apply(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
        people: &People,
    ) -> Result<Edited, StoreError> {
        let store = people.store();
        match self {
            Self::Write(body) => {
                let now = people.now().wall;
                let written = store.write_document(user, key, body.clone(), expected, now).await;
                written.map(Edited::Written)
            }
            Self::Delete => {
                let was_there = store.delete_document(user, key, expected).await?;
                Ok(if was_there { Edited::Deleted } else { Edited::WasAbsent })
            }
        }
    }

    /// Does it if the request's condition holds, to exactly what that was found to hold of.
    async fn conditionally(
        self,
        user: &UserId,
        key: &DocumentKey,
        asked: &Asked<'_>,
    ) -> Result<Edited, HttpError> {
        let condition = Precondition::of(asked.headers);
        for _ in 0..TRIES {
            let expected = match &condition {
                Precondition::Nothing => None,
                Precondition::Absent => Some(None),
                Precondition::Present | Precondition::OneOf(_) => {
                    let there = asked.people.store().document(user, key).await?;
                    let there = there.map(|document| document.revision);
                    if !condition.holds(there) {
                        return Err(stale());
                    }
                    Some(there)
                }
            };
            match self.apply(user, key, expected, asked.people).await {
                Ok(done) => return Ok(done),
                // Somebody was faster; the condition may hold of what they wrote.
                Err(StoreError::Conflict(_)) if condition != Precondition::Absent => {}
                Err(StoreError::Conflict(_)) => return Err(stale()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(stale())
    }
}

/// Writes a document.
pub(super) async fn write(user: UserId, key: DocumentKey, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    let bytes_max = asked.document_bytes_max;
    if asked.body.len() > bytes_max {
        let message = format!("a document may have at most {bytes_max} bytes");
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
    }
    let body = wire::document(&asked.body, asked.limits).map_err(|rule| {
        HttpError::new(StatusCode::BAD_REQUEST, "bad_json", format!("the body is no document: {rule}"))
    })?;
    match Edit::Write(body).conditionally(&user, &key, asked).await? {
        Edited::Written(revision) => Ok(mark(empty(StatusCode::NO_CONTENT), revision)),
        Edited::Deleted | Edited::WasAbsent => Err(absent()),
    }
}

/// Deletes a document.
pub(super) async fn delete(user: UserId, key: DocumentKey, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    match Edit::Delete.conditionally(&user, &key, asked).await? {
        Edited::Deleted | Edited::Written(_) => Ok(empty(StatusCode::NO_CONTENT)),
        Edited::WasAbsent => Err(absent()),
    }
}
