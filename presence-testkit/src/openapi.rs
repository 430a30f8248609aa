//! An OpenAPI document as a contract: whether real answers are what it says. It understands what our documents are made
//! of and refuses the rest, and takes what a schema does not mention for a fault: a document must be complete.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::http::Answer;

/// Keywords of schemas that say nothing about what is valid here.
const NOTES: [&str; 5] = ["description", "default", "format", "title", "propertyNames"];

/// A document.
#[derive(Clone, Debug)]
pub struct Document(Value);

impl Document {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none of version 3.1.
    pub fn parse(text: &str) -> Result<Self> {
        let document: Value = serde_json::from_str(text)?;
        let version = document["openapi"].as_str().context("no `openapi`")?;
        ensure!(version.starts_with("3.1."), "the document has version {version}");
        ensure!(document["paths"].is_object(), "the document has no paths");
        Ok(Self(document))
    }

    /// Every path, with its methods in upper case.
    pub fn paths(&self) -> Vec<(&str, Vec<String>)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let methods = |item: &Value| -> Vec<String> {
            item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()).collect()
        };
        paths.map(|(path, item)| (path.as_str(), methods(item))).collect()
    }

    /// The security schemes that an operation names, each enough by itself; `None` stands for none at all.
    pub fn security(&self, method: &str, path: &str) -> Vec<Option<&str>> {
        let required = self.0["paths"][path][method.to_lowercase()]["security"].as_array();
        let all = required.into_iter().flatten();
        all.map(|one| one.as_object().and_then(|one| one.keys().next().map(String::as_str))).collect()
    }

    /// Holds an answer against what an operation says about its status.
    ///
    /// # Errors
    /// Says what is not so.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) -> Result<()> {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        ensure!(
            response.is_object(),
            "{method} {path} says nothing about {}: {}",
            answer.status,
            answer.body
        );
        let Some(content) = response["content"].as_object() else {
            ensure!(answer.body.is_empty(), "{method} {path}: there should be no body: {}", answer.body);
            return Ok(());
        };
        let given = answer.header("content-type").context("no content type")?;
        let Some(media) = content.get(given) else {
            bail!("{method} {path} says nothing about {given}");
        };
        if given != "application/json" {
            return Ok(());
        }
        let body: Value = answer.json()?;
        self.hold(&media["schema"], &body, "body")
            .with_context(|| format!("{method} {path} {}: {}", answer.status, answer.body))
    }

    fn hold(&self, schema: &Value, value: &Value, at: &str) -> Result<()> {
        let rules = schema.as_object().with_context(|| format!("{at}: {schema} is no schema"))?;
        for (keyword, rule) in rules {
            match keyword.as_str() {
                "$ref" => {
                    let reference = rule.as_str().unwrap_or_default();
                    let named = self.0.pointer(reference.trim_start_matches('#'));
                    self.hold(named.with_context(|| format!("{reference} leads nowhere"))?, value, at)?;
                }
                "oneOf" => {
                    let ways = rule.as_array().context("`oneOf` is no list")?;
                    let fits = ways.iter().filter(|way| self.hold(way, value, at).is_ok()).count();
                    ensure!(fits == 1, "{at}: {value} fits {fits} of {rule}");
                }
                "type" => hold_type(rule, value, at)?,
                "enum" => {
                    let among = rule.as_array().is_some_and(|words| words.contains(value));
                    ensure!(among, "{at}: {value} is none of {rule}");
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.hold(rule, item, &format!("{at}[{number}]"))?;
                    }
                }
                "minimum" => {
                    ensure!(value.as_f64() >= rule.as_f64() || !value.is_number(), "{at}: {value} < {rule}");
                }
                "minLength" | "maxLength" => {
                    let length = value.as_str().map(|text| text.chars().count() as u64);
                    let fits = if keyword == "minLength" {
                        length >= rule.as_u64()
                    } else {
                        length <= rule.as_u64()
                    };
                    ensure!(fits || length.is_none(), "{at}: {value} breaks {keyword} {rule}");
                }
                "properties" | "required" | "additionalProperties" => {}
                known if NOTES.contains(&known) => {}
                unknown => bail!("{at}: the keyword `{unknown}` is not understood here"),
            }
        }
        match value.as_object() {
            // A schema of any object at all describes no member.
            Some(members)
                if rules.contains_key("properties") || rules.contains_key("additionalProperties") =>
            {
                self.hold_members(rules, members, at)
            }
            _ => Ok(()),
        }
    }

    fn hold_members(&self, rules: &Map<String, Value>, members: &Map<String, Value>, at: &str) -> Result<()> {
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
            let there = name.as_str().is_some_and(|name| members.contains_key(name));
            ensure!(there, "{at}: {name} is missing");
        }
        let described = rules.get("properties").and_then(Value::as_object);
        for (name, member) in members {
            let schema = described.and_then(|described| described.get(name));
            let schema = schema.or_else(|| rules.get("additionalProperties"));
            let Some(schema) = schema else { bail!("{at}: nothing is said about `{name}`") };
            self.hold(schema, member, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

fn hold_type(rule: &Value, value: &Value, at: &str) -> Result<()> {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    let fits = rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is));
    ensure!(fits, "{at}: {value} is not of type {rule}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(schema: &Value) -> Document {
        let content = json!({"application/json": {"schema": schema}});
        let responses = json!({"200": {"content": content}, "204": {"description": "nothing"}});
        let text = json!({
            "openapi": "3.1.0",
            "paths": {"/a": {"get": {"responses": responses}}},
            "components": {"schemas": {"Word": {"type": "string", "enum": ["yes", "no"]}}},
        });
        Document::parse(&text.to_string()).unwrap()
    }

    fn holds(schema: &Value, body: &Value) -> bool {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let answer = Answer { status: 200, headers, body: body.to_string() };
        document(schema).check("GET", "/a", &answer).is_ok()
    }

    #[test]
    fn an_answer_is_held_against_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["n"],
            "properties": {
                "n": {"type": ["integer", "null"], "minimum": 0},
                "w": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Word"}]},
                "l": {"type": "array", "items": {"type": "string", "maxLength": 2}},
                "m": {"type": "object", "additionalProperties": {"type": "boolean"}},
            },
        });
        let good = [
            json!({"n": 0}),
            json!({"n": null, "w": null, "l": [], "m": {}}),
            json!({"n": 7, "w": "yes", "l": ["ab"], "m": {"x": true}}),
        ];
        for body in good {
            assert!(holds(&schema, &body), "{body}");
        }
        let bad = [
            json!({}),
            json!([]),
            json!({"n": -1}),
            json!({"n": "0"}),
            json!({"n": 0, "more": 1}),
            json!({"n": 0, "w": "maybe"}),
            json!({"n": 0, "l": ["abc"]}),
            json!({"n": 0, "m": {"x": 1}}),
        ];
        for body in bad {
            assert!(!holds(&schema, &body), "{body}");
        }
    }

    #[test]
    fn what_is_not_understood_or_not_documented_is_a_fault() {
        assert!(!holds(&json!({"multipleOf": 2}), &json!(4)));
        assert!(!holds(&json!({"$ref": "#/components/schemas/Nothing"}), &json!(4)));
        let answer = |status, body: &str| Answer { status, headers: Vec::new(), body: body.to_owned() };
        let document = document(&json!({}));
        assert!(document.check("GET", "/a", &answer(204, "")).is_ok());
        assert!(document.check("GET", "/a", &answer(204, "{}")).is_err());
        assert!(document.check("GET", "/a", &answer(404, "")).is_err());
        assert!(document.check("PUT", "/a", &answer(204, "")).is_err());
    }
}
