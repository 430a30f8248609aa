//! `GET /openapi.json`: the routes and what they answer, as an OpenAPI 3.1 document made from the table of routes.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ArrayBuilder, Components, Content, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, RefOr, Required,
    Response, ResponseBuilder, SecurityRequirement,
};

use super::about::{
    About, Body, CONNECTION_FORM, Group, KEY_FORM, Query, ROOM_FORM, Reply, Schemas, Takes, USER_FORM, plain,
    schema_of,
};
use super::answer::{Answer, ErrorBody, json};
use super::routes::{ROUTES, Route, Who, parameter_of};

pub(super) const ABOUT: About = plain(
    "getOpenApi",
    Group::Operations,
    "This document",
    &[Reply { status: 200, text: "An OpenAPI 3.1 document.", body: Body::Document }],
);

const INTRODUCTION: &str = "Who is in a room, and what they do. Live connections speak the protocol over WebSocket or \
                            Server-Sent Events; this document describes what plain HTTP answers. Times are Unix \
                            milliseconds of the server.";

const TOKEN: &str = "token";
const TOKEN_IN_QUERY: &str = "token_in_query";
const API_KEY: &str = "api_key";
const API_KEY_AS_BEARER: &str = "api_key_as_bearer";

/// The document's bytes.
pub(super) fn get() -> Answer {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        serde_json::to_vec(&document()).expect("a document has string keys and no failing parts").into()
    });
    json(StatusCode::OK, document.clone())
}

fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    let mut paths = Paths::new();
    for route in &ROUTES {
        paths.add_path_operation(route.path, vec![method(&route.method)], operation(route, &mut schemas));
    }
    let mut components = Components::new();
    components.schemas = schemas.into_iter().collect();
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    let tag = |group: Group| TagBuilder::new().name(group.as_str()).description(Some(group.text())).build();
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    let info = InfoBuilder::new()
        .title("Presence server")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(INTRODUCTION))
        .license(Some(license));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .tags(Some(Group::ALL.map(tag)))
        .build()
}

fn schemes() -> [(&'static str, SecurityScheme); 4] {
    let bearer =
        |text: &str| HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text.to_owned()));
    [
        (TOKEN, SecurityScheme::Http(bearer("A user's token.").bearer_format("JWT").build())),
        (
            TOKEN_IN_QUERY,
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
                "token",
                "A user's token, for browsers: they cannot set headers on a live connection.",
            ))),
        ),
        (
            API_KEY,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "X-API-Key",
                "The server's API key, for the backend.",
            ))),
        ),
        (API_KEY_AS_BEARER, SecurityScheme::Http(bearer("The server's API key.").build())),
    ]
}

/// What a route wants to be shown; one of them is enough. An empty one: nothing.
fn credentials(who: Who) -> Vec<SecurityRequirement> {
    let named: &[&str] = match who {
        Who::Anyone => &[],
        Who::Connecting => &[TOKEN, TOKEN_IN_QUERY],
        Who::User => &[TOKEN, TOKEN_IN_QUERY, API_KEY, API_KEY_AS_BEARER],
        Who::Backend | Who::Scraper | Who::Operator => &[API_KEY, API_KEY_AS_BEARER],
    };
    let nothing = match who {
        // The token may come in the first message.
        // The setting of a scraper is usually to ask for nothing.
        Who::Anyone | Who::Connecting | Who::Scraper => Some(SecurityRequirement::default()),
        Who::User | Who::Backend | Who::Operator => None,
    };
    let required = named.iter().map(|name| SecurityRequirement::new(*name, [""; 0]));
    required.chain(nothing).collect()
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::DELETE => HttpMethod::Delete,
        Method::PATCH => HttpMethod::Patch,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route, schemas: &mut Schemas) -> OperationBuilder {
    let about = route.about;
    let text = Some(about.text).filter(|text| !text.is_empty());
    let mut operation = OperationBuilder::new()
        .operation_id(Some(about.id))
        .tag(about.group.as_str())
        .summary(Some(about.summary))
        .description(text)
        .securities(Some(credentials(route.who)));
    for name in route.path.split('/').filter_map(parameter_of) {
        operation = operation.parameter(path_parameter(route.path, name));
    }
    for query in about.query {
        operation = operation.parameter(query_parameter(query));
    }
    if let Some(schema) = about.body {
        let content = Content::new(Some(schema(schemas)));
        let body =
            RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    for reply in about.answers {
        operation = operation.response(reply.status.to_string(), response(reply, schemas));
    }
    for status in refusals(route) {
        let content = Content::new(Some(schema_of::<ErrorBody<'_>>(schemas)));
        let refusal =
            ResponseBuilder::new().description(meaning(status)).content("application/json", content);
        operation = operation.response(status.to_string(), refusal.build());
    }
    operation
}

/// What the route itself refuses, and what is refused before it.
fn refusals(route: &Route) -> Vec<u16> {
    let mut statuses = route.about.refusals.to_vec();
    // An address that asks too often is refused whatever it asks.
    statuses.push(429);
    if route.path.contains('{') || route.about.body.is_some() || !route.about.query.is_empty() {
        statuses.push(400);
    }
    if route.who != Who::Anyone {
        statuses.extend([401, 403]);
    }
    if matches!(route.who, Who::Scraper | Who::Operator) {
        statuses.push(404);
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Something in the request is malformed; `field` names it.",
        401 => "The credentials are missing or not valid.",
        403 => "The credentials do not allow this.",
        404 => "There is no such thing.",
        408 => "The body did not come in time.",
        409 => "Contradicts what was said before.",
        412 => "What it is about has changed meanwhile.",
        413 => "The body is too large.",
        426 => "This address speaks WebSocket only.",
        429 => "More than is allowed; come again later.",
        503 => "The server has too much to do or is going away; `Retry-After` says when to come again.",
        _ => "It was refused; `code` says why.",
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn formed(form: &str) -> ObjectBuilder {
    text().pattern(Some(form))
}

fn path_parameter(path: &str, name: &'static str) -> ParameterBuilder {
    let (about, form) = match name {
        "room" => ("The room's id. A `/` in it may stand as it is or as `%2F`.", ROOM_FORM),
        "key" => ("What the user calls the document, percent-encoded.", KEY_FORM),
        "connection_id" => ("The connection's id.", CONNECTION_FORM),
        "shared_id" => ("The shared stream's id.", CONNECTION_FORM),
        _ if path.contains("/connections/") => ("The connection's id.", CONNECTION_FORM),
        _ => ("The user's id, percent-encoded.", USER_FORM),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(formed(form)))
}

fn query_parameter(query: &Query) -> ParameterBuilder {
    let parameter = ParameterBuilder::new()
        .name(query.name)
        .parameter_in(ParameterIn::Query)
        .description(Some(query.text))
        .required(Required::False);
    match query.takes {
        Takes::Text => parameter.schema(Some(text())),
        Takes::Form(form) => parameter.schema(Some(formed(form))),
        Takes::RequiredList(form, max) => {
            parameter.required(Required::True).style(Some(ParameterStyle::Form)).explode(Some(false)).schema(
                Some(ArrayBuilder::new().items(formed(form).build()).min_items(Some(1)).max_items(Some(max))),
            )
        }
        Takes::Count { min, max, default } => parameter.schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(min as i64))
                .maximum(Some(max as i64))
                .default(Some(default.into())),
        )),
    }
}

fn response(reply: &Reply, schemas: &mut Schemas) -> Response {
    let response = ResponseBuilder::new().description(reply.text);
    let object = || RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::Object).build()));
    match reply.body {
        Body::Nothing => response,
        Body::Text(content_type) => response.content(content_type, Content::new(Some(text()))),
        Body::Stream(content_type) => response.content(content_type, Content::default()),
        Body::Document => response.content("application/json", Content::new(Some(object()))),
        Body::Json(schema) => response.content("application/json", Content::new(Some(schema(schemas)))),
    }
    .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.contains("#/components/schemas/ErrorBody"));
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_says_what_openapi_wants_of_it() {
        let document = serde_json::to_value(document()).unwrap();
        let schemes = document["components"]["securitySchemes"].as_object().unwrap();
        let mut ids = BTreeSet::new();
        for route in &ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{}", route.path);
            assert!(!operation["responses"].as_object().unwrap().is_empty());
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let named: BTreeSet<_> = in_path
                .inspect(|parameter| assert_eq!(parameter["required"], true))
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(named, route.path.split('/').filter_map(parameter_of).collect());
            assert!(parameters.iter().all(|parameter| parameter["schema"].is_object()));
            let required = operation["security"].as_array().unwrap().iter();
            let mut named = required.flat_map(|all| all.as_object().unwrap().keys());
            assert!(named.all(|name| schemes.contains_key(name)));
        }
    }
}
