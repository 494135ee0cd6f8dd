//! Exchanges judged by an OpenAPI 3.0 document: each operation's schemas are brought to JSON Schema when they are
//! first needed, with only the components that they use.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use http::Method;
use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// Which way a schema's values go, which decides what `readOnly` and `writeOnly` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    In,
    Out,
}

/// A message as the document sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
}

pub(crate) struct Document {
    spec: Value,
    operations: Vec<Operation>,
}

pub(crate) struct Operation {
    /// Method and path template, such as `GET /rest/api/3/issue/{issueIdOrKey}`.
    pub(crate) name: String,
    method: Method,
    segments: Vec<String>,
    description: Value,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    /// A document from its gzipped text, after `mend` has put right what is known to be wrong in it.
    pub(crate) fn unpack(gzipped: &[u8], mend: impl FnOnce(&mut Value)) -> Self {
        let mut spec: Value =
            serde_json::from_reader(std::io::BufReader::new(flate2::read::GzDecoder::new(gzipped)))
                .expect("the document is JSON");
        mend(&mut spec);
        let mut operations = Vec::new();
        for (path, item) in spec["paths"].as_object().expect("paths") {
            for (method, description) in item.as_object().expect("a path") {
                let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else { continue };
                operations.push(Operation {
                    name: format!("{method} {path}"),
                    method,
                    segments: path.split('/').map(str::to_owned).collect(),
                    description: description.clone(),
                    compiled: Mutex::new(HashMap::new()),
                });
            }
        }
        Self { spec, operations }
    }

    /// The operation of a request; a literal segment outranks a parameter.
    pub(crate) fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let segments: Vec<&str> = path.split('/').collect();
        self.operations
            .iter()
            .filter(|own| own.method == *method && own.segments.len() == segments.len())
            .filter(|own| {
                let mut pairs = own.segments.iter().zip(&segments);
                pairs.all(|(own, given)| own.starts_with('{') || own == given)
            })
            .min_by_key(|own| own.segments.iter().filter(|part| part.starts_with('{')).count())
    }

    /// What is wrong with a request: its parameters and its body.
    pub(crate) fn judge_request(
        &self,
        operation: &Operation,
        path: &str,
        query: &str,
        message: Message<'_>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let parameters = operation.description["parameters"].as_array().cloned().unwrap_or_default();
        let values = |place: &str, name: &str| -> Vec<String> {
            if place == "path" {
                let segments = operation.segments.iter().zip(path.split('/'));
                let own = segments.filter(|(own, _)| own.trim_matches(['{', '}']) == name);
                return own
                    .map(|(_, given)| percent_decode_str(given).decode_utf8_lossy().into_owned())
                    .collect();
            }
            let given = form_urlencoded::parse(query.as_bytes()).filter(|(own, _)| own == name);
            given.map(|(_, value)| value.into_owned()).collect()
        };
        for parameter in &parameters {
            let (Some(name), Some(place @ ("path" | "query"))) =
                (parameter["name"].as_str(), parameter["in"].as_str())
            else {
                continue;
            };
            let given = values(place, name);
            if given.is_empty() {
                if parameter["required"] == true {
                    wrong.push(format!("parameter {name} is missing"));
                }
                continue;
            }
            let schema = &parameter["schema"];
            let value = if schema["type"] == "array" {
                given.iter().map(|text| typed(&schema["items"], text)).collect()
            } else {
                typed(schema, &given[0])
            };
            let part = format!("{place} parameter {name}");
            wrong.extend(self.fits(operation, &part, Way::In, schema, &value));
        }
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            if !parameters.iter().any(|own| own["in"] == "query" && own["name"] == *name) {
                wrong.push(format!("there is no parameter {name}"));
            }
        }
        let body = &operation.description["requestBody"];
        if body.is_null() || message.body.is_empty() {
            if !message.body.is_empty() {
                wrong.push("a body where none is taken".to_owned());
            } else if body["required"] == true {
                wrong.push("the body is missing".to_owned());
            }
            return wrong;
        }
        let kind = media_type(message.content_type);
        match body["content"].get(&kind) {
            None => wrong.push(format!("a body of type {kind:?}")),
            Some(content) if kind == "application/json" => {
                wrong.extend(self.json_fits(operation, "request body", Way::In, content, message.body));
            }
            Some(_) => {}
        }
        wrong
    }

    /// What is wrong with an answer of this status.
    pub(crate) fn judge_answer(
        &self,
        operation: &Operation,
        status: u16,
        message: Message<'_>,
    ) -> Vec<String> {
        let responses = &operation.description["responses"];
        let Some(response) = responses.get(status.to_string()).or_else(|| responses.get("default")) else {
            return vec![format!("status {status} is not described")];
        };
        let content = &response["content"]["application/json"];
        let part = format!("answer {status}");
        if status == 204 {
            return if message.body.is_empty() { Vec::new() } else { vec![format!("{part} has a body")] };
        }
        if content["schema"].as_object().is_none_or(Map::is_empty) {
            return Vec::new();
        }
        if media_type(message.content_type) != "application/json" {
            return vec![format!("{part} is of type {:?}", message.content_type)];
        }
        self.json_fits(operation, &part, Way::Out, content, message.body)
    }

    /// Whether a body is what one of the document's components describes.
    pub(crate) fn is_a(&self, component: &str, message: Message<'_>) -> bool {
        let schema = json!({ "$ref": format!("#/components/schemas/{component}") });
        serde_json::from_slice(message.body)
            .is_ok_and(|value: Value| self.compile(&schema, Way::Out).is_valid(&value))
    }

    fn json_fits(
        &self,
        operation: &Operation,
        part: &str,
        way: Way,
        content: &Value,
        body: &[u8],
    ) -> Vec<String> {
        match serde_json::from_slice(body) {
            Ok(value) => self.fits(operation, part, way, &content["schema"], &value),
            Err(error) => vec![format!("{part} is no JSON: {error}")],
        }
    }

    fn fits(
        &self,
        operation: &Operation,
        part: &str,
        way: Way,
        schema: &Value,
        value: &Value,
    ) -> Vec<String> {
        let known = operation.compiled.lock().unwrap().get(part).cloned();
        let validator = known.unwrap_or_else(|| {
            let made = Arc::new(self.compile(schema, way));
            operation.compiled.lock().unwrap().insert(part.to_owned(), Arc::clone(&made));
            made
        });
        let tell = |error: jsonschema::ValidationError<'_>| {
            let text: String = error.to_string().chars().take(400).collect();
            format!("{part} at {:?}: {text}", error.instance_path().to_string())
        };
        validator.iter_errors(value).take(5).map(tell).collect()
    }

    fn compile(&self, schema: &Value, way: Way) -> Validator {
        let mut open = BTreeSet::new();
        let mut adapted = adapt(schema, way, &mut open);
        let mut definitions = Map::new();
        while let Some(name) = open.pop_first() {
            if definitions.contains_key(&name) {
                continue;
            }
            // Kept before its own references are followed, so that a circle ends.
            definitions.insert(name.clone(), Value::Null);
            let component = &self.spec["components"]["schemas"][&name];
            assert!(!component.is_null(), "the document has no {name}");
            definitions[&name] = adapt(component, way, &mut open);
        }
        if !definitions.is_empty() {
            adapted["$defs"] = Value::Object(definitions);
        }
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_format("date-time", is_moment)
            .with_format("uri", |text: &str| url::Url::parse(text).is_ok())
            .with_format("uuid", |text: &str| uuid::Uuid::parse_str(text).is_ok())
            .build(&adapted)
            .expect("the schema compiles")
    }
}

/// Times as the service writes them, with or without a colon in the offset.
fn is_moment(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).is_ok()
}

/// A parameter's text as the JSON that its schema is about.
fn typed(schema: &Value, text: &str) -> Value {
    let read = match schema["type"].as_str() {
        Some("integer" | "number") => text.parse::<i64>().ok().map(Value::from),
        Some("boolean") => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| Value::from(text))
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An OpenAPI 3.0 schema as JSON Schema; components that it refers to are added to `used`.
fn adapt(schema: &Value, way: Way, used: &mut BTreeSet<String>) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix("#/components/schemas/").expect("a component");
        used.insert(name.to_owned());
        // What stands beside a reference counts for nothing in OpenAPI 3.0.
        return json!({ "$ref": format!("#/$defs/{name}") });
    }
    let flagged = |schema: &Value, name: &str| schema[name] == true;
    // Only the service sets what is `readOnly`; only clients send what is `writeOnly`.
    let foreign = if way == Way::In { "readOnly" } else { "writeOnly" };
    let mut out = Map::new();
    for (name, value) in members {
        let adapted = match name.as_str() {
            "properties" => {
                let own = value.as_object().expect("properties").iter().map(|(name, own)| {
                    let closed = way == Way::In && flagged(own, foreign);
                    (name.clone(), if closed { Value::Bool(false) } else { adapt(own, way, used) })
                });
                Value::Object(own.collect())
            }
            "items" | "additionalProperties" | "not" => adapt(value, way, used),
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array().expect("schemas").iter().map(|own| adapt(own, way, used)).collect()
            }
            "required" => {
                let names = value.as_array().expect("names").iter();
                let own = |name: &&Value| {
                    let name = name.as_str().unwrap_or_default();
                    !members.get("properties").is_some_and(|all| flagged(&all[name], foreign))
                };
                names.filter(own).cloned().collect()
            }
            "type" | "enum" | "format" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems"
            | "maxItems" | "uniqueItems" | "pattern" => value.clone(),
            _ => continue,
        };
        out.insert(name.clone(), adapted);
    }
    let out = Value::Object(out);
    if flagged(schema, "nullable") { json!({ "anyOf": [{ "type": "null" }, out] }) } else { out }
}
