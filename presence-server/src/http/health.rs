//! `GET /healthz`, `/readyz` and `/metrics`: how the server is.

use std::borrow::Cow;

use hyper::StatusCode;
use presence_core::port::store::{Store, StoreHealth};
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Reply, plain, schema_of};
use super::answer::{Answer, HttpError, encoded, text};
use crate::metrics::Metrics;

/// How the server is, in a word.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `alive` or `ready`.
    status: &'static str,
}

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) const ALIVE: About = plain(
    "getHealth",
    Group::Operations,
    "Whether the process is alive",
    &[Reply { status: 200, text: "It is.", body: Body::Json(schema_of::<Health>) }],
);

pub(super) const READY: About = About {
    refusals: &[503],
    ..plain(
        "getReadiness",
        Group::Operations,
        "Whether the server takes connections",
        &[Reply { status: 200, text: "It does.", body: Body::Json(schema_of::<Health>) }],
    )
};

pub(super) const METRICS: About = plain(
    "getMetrics",
    Group::Operations,
    "What is counted, for Prometheus",
    &[Reply { status: 200, text: "In the text format of Prometheus.", body: Body::Text(METRICS_TYPE) }],
);

pub(super) fn alive() -> Answer {
    encoded(StatusCode::OK, &Health { status: "alive" })
}

pub(super) fn ready(draining: bool, store: &dyn Store) -> Result<Answer, HttpError> {
    let unavailable =
        |why: Cow<'static, str>| HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
    if draining {
        return Err(unavailable("draining".into()));
    }
    if let StoreHealth::Failing(why) = store.health() {
        return Err(unavailable(format!("degraded: the store is failing, {why}").into()));
    }
    Ok(encoded(StatusCode::OK, &Health { status: "ready" }))
}

pub(super) fn metrics(metrics: &Metrics) -> Answer {
    text(StatusCode::OK, METRICS_TYPE, metrics.render())
}
