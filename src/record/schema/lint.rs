//! Whether a schema keeps to the profile.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{DIALECT, MOST_CHOICES, schema_hash};

/// One way in which a schema leaves the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    /// JSON Pointer (RFC 6901) to the place.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl std::fmt::Display for LintFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

const ROOT_KEYWORDS: &[&str] = &[
    "$schema",
    "type",
    "title",
    "description",
    "properties",
    "required",
    "additionalProperties",
    "if",
    "then",
    "else",
    "definitions",
    "x-record",
    "default",
];
const PROPERTY_KEYWORDS: &[&str] = &[
    "type",
    "title",
    "description",
    "default",
    "const",
    "enum",
    "oneOf",
    "items",
    "uniqueItems",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "examples",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "required",
    "properties",
    "additionalProperties",
    "x-record",
];
const NARROWING_KEYWORDS: &[&str] = &["type", "oneOf", "items", "maxItems", "const"];
const FORMATS: &[&str] = &["date", "date-time", "email", "uri", "password", "binary"];
const MOST_ENUM_VALUES: usize = 5001;
const DEEPEST: usize = 16;

/// Checks a schema against the profile; an empty answer means that strict ajv and every form library take it.
#[must_use]
pub fn lint(schema: &Json) -> Vec<LintFinding> {
    let mut findings = Findings::default();
    let Json::Object(root) = schema else {
        findings.add("", "a schema is an object");
        return findings.0;
    };
    findings.keywords("", root, ROOT_KEYWORDS);
    if let Some(dialect) = root.get("$schema")
        && dialect != DIALECT
    {
        findings.add("/$schema", format!("must be {DIALECT}"));
    }
    if root.get("type").and_then(Json::as_str) != Some("object") {
        findings.add("/type", "the root is of type object");
    }
    findings.texts("", root);
    findings.object("", root, 0);
    if let Some(definitions) = root.get("definitions") {
        findings.definitions(schema, definitions);
    }
    findings.chain("", root, 0);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<LintFinding>);

impl Findings {
    fn add(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(LintFinding { pointer: pointer.to_owned(), message: message.into() });
    }

    fn keywords(&mut self, at: &str, schema: &Map<String, Json>, allowed: &[&str]) {
        for (keyword, value) in schema {
            if !allowed.contains(&keyword.as_str()) {
                self.add(&child(at, keyword), "this keyword is outside the profile");
            }
            if value.is_null() && keyword != "const" {
                self.add(&child(at, keyword), "a keyword is never null");
            }
        }
    }

    /// `title` and `description`.
    fn texts(&mut self, at: &str, schema: &Map<String, Json>) {
        if schema.get("title").and_then(Json::as_str).is_none_or(|title| title.trim().is_empty()) {
            self.add(&child(at, "title"), "a title is needed and must not be empty");
        }
        if schema.get("description").is_some_and(|text| !text.is_string()) {
            self.add(&child(at, "description"), "a description is text");
        }
    }

    /// `properties`, `required` and `additionalProperties` of an object.
    fn object(&mut self, at: &str, schema: &Map<String, Json>, depth: usize) {
        if depth > DEEPEST {
            self.add(at, "nested too deeply");
            return;
        }
        let empty = Map::new();
        let properties = match schema.get("properties") {
            None => &empty,
            Some(Json::Object(properties)) => properties,
            Some(_) => {
                self.add(&child(at, "properties"), "properties are an object");
                &empty
            }
        };
        if schema.get("additionalProperties").is_some_and(|closed| closed != &Json::Bool(false)) {
            self.add(&child(at, "additionalProperties"), "is false or absent");
        }
        let all = child(at, "properties");
        for (name, property) in properties {
            let here = child(&all, name);
            if !is_property_name(name) {
                self.add(&here, "a property name is letters, digits and _, not beginning with a digit");
            }
            self.property(&here, property, depth, true);
        }
        let Some(required) = schema.get("required") else { return };
        let here = child(at, "required");
        let Some(names) = required.as_array().filter(|names| !names.is_empty()) else {
            self.add(&here, "required is a list that is not empty");
            return;
        };
        let mut seen = HashSet::new();
        for name in names.iter().map(|name| name.as_str().unwrap_or_default()) {
            match properties.get(name) {
                None => self.add(&here, format!("{name:?} is required but is no property")),
                Some(property) if property.get("readOnly") == Some(&Json::Bool(true)) => {
                    self.add(&here, format!("{name:?} is read-only: no form could fill it"));
                }
                Some(_) => {}
            }
            if !seen.insert(name) {
                self.add(&here, format!("{name:?} is required twice"));
            }
        }
    }

    fn property(&mut self, at: &str, property: &Json, depth: usize, titled: bool) {
        let Json::Object(schema) = property else {
            self.add(at, "a property's schema is an object");
            return;
        };
        self.keywords(at, schema, PROPERTY_KEYWORDS);
        if titled || schema.contains_key("title") {
            self.texts(at, schema);
        }
        let Some((base, nullable)) = base_type(schema.get("type")) else {
            self.add(&child(at, "type"), "is one concrete type, or one with \"null\" behind it");
            return;
        };
        self.bounds(at, schema, base);
        if schema.contains_key("const") && !schema.contains_key("enum") {
            self.add(&child(at, "const"), "a property is no constant");
        }
        if let Some(format) = schema.get("format") {
            let known = format.as_str().is_some_and(|format| FORMATS.contains(&format));
            if !known || base != "string" {
                self.add(&child(at, "format"), format!("{format} is outside the profile"));
            }
        }
        if schema.get("writeOnly").is_some() && schema.get("format").is_none_or(|format| format != "password")
        {
            self.add(&child(at, "writeOnly"), "forms mask format password only");
        }
        self.choices(at, schema, base, nullable);
        if let Some(examples) = schema.get("examples") {
            match examples.as_array() {
                Some(examples) if examples.iter().all(|example| fits(example, base)) => {}
                _ => self.add(&child(at, "examples"), format!("is a list of values of type {base}")),
            }
        }
        if let Some(default) = schema.get("default")
            && !fits(default, base)
        {
            self.add(&child(at, "default"), format!("is not of type {base}"));
        }
        match base {
            "object" => self.object(at, schema, depth + 1),
            "array" => match schema.get("items") {
                Some(items) => self.property(&child(at, "items"), items, depth + 1, false),
                None => self.add(&child(at, "items"), "a list says what it holds"),
            },
            _ => {}
        }
    }

    fn bounds(&mut self, at: &str, schema: &Map<String, Json>, base: &str) {
        let of = |keyword: &str| match keyword {
            "minLength" | "maxLength" | "pattern" | "format" | "contentEncoding" | "contentMediaType" => {
                "string"
            }
            "minimum" | "maximum" => "number",
            "items" | "uniqueItems" | "minItems" | "maxItems" => "array",
            "properties" | "required" | "additionalProperties" => "object",
            _ => "",
        };
        for (keyword, value) in schema {
            let wanted = of(keyword);
            let same = wanted.is_empty() || wanted == base || (wanted == "number" && base == "integer");
            if !same {
                self.add(&child(at, keyword), format!("does not concern type {base}"));
            }
            let right = match keyword.as_str() {
                "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
                "minimum" | "maximum" => value.is_number(),
                "pattern" | "format" | "contentEncoding" | "contentMediaType" => value.is_string(),
                "uniqueItems" | "readOnly" | "writeOnly" => value.is_boolean(),
                _ => true,
            };
            if !right {
                self.add(&child(at, keyword), "has a value of the wrong type");
            }
        }
        for (low, high) in [("minLength", "maxLength"), ("minimum", "maximum"), ("minItems", "maxItems")] {
            let number = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
            if let (Some(least), Some(most)) = (number(low), number(high))
                && least > most
            {
                self.add(&child(at, low), format!("is above {high}"));
            }
        }
    }

    /// `enum` and `oneOf` of a property or element.
    fn choices(&mut self, at: &str, schema: &Map<String, Json>, base: &str, nullable: bool) {
        if let Some(values) = schema.get("enum") {
            let here = child(at, "enum");
            match values.as_array().filter(|values| !values.is_empty()) {
                None => self.add(&here, "is a list that is not empty"),
                Some(values) => {
                    if values.len() > MOST_ENUM_VALUES {
                        self.add(&here, format!("has more than {MOST_ENUM_VALUES} values"));
                    }
                    self.distinct(&here, values.iter());
                    if nullable && !values.iter().any(Json::is_null) {
                        self.add(&here, "a nullable enum holds null");
                    }
                    if !values.iter().all(|value| fits(value, base) || nullable && value.is_null()) {
                        self.add(&here, format!("holds a value that is not of type {base}"));
                    }
                }
            }
        }
        if let Some(options) = schema.get("oneOf") {
            let element = at.ends_with("/items");
            self.options(&child(at, "oneOf"), options, Some(base), !element);
        }
    }

    fn options(&mut self, at: &str, options: &Json, base: Option<&str>, null_first: bool) {
        let Some(options) = options.as_array().filter(|options| !options.is_empty()) else {
            self.add(at, "is a list that is not empty");
            return;
        };
        if options.len() > MOST_CHOICES + 1 {
            self.add(at, format!("has more than {MOST_CHOICES} options: forms become slow or crash"));
        }
        for (number, option) in options.iter().enumerate() {
            let here = child(at, &number.to_string());
            let plain = option.as_object().is_some_and(|option| {
                option.contains_key("const")
                    && option.keys().all(|key| matches!(key.as_str(), "const" | "title" | "description"))
            });
            let titled =
                option.get("title").and_then(Json::as_str).is_some_and(|title| !title.trim().is_empty());
            if !plain || !titled {
                self.add(&here, "an option is a const with a title");
                continue;
            }
            let value = option.get("const").unwrap_or(&Json::Null);
            let null_place = null_first && number == 0;
            if null_place != value.is_null() {
                self.add(
                    &here,
                    "the null option, and only it, stands first: forms take the first one unasked",
                );
            } else if let Some(base) = base
                && !value.is_null()
                && !fits(value, base)
            {
                self.add(&here, format!("is not of type {base}"));
            }
        }
        self.distinct(at, options.iter().filter_map(|option| option.get("const")));
    }

    fn distinct<'a>(&mut self, at: &str, values: impl Iterator<Item = &'a Json>) {
        let mut seen = HashSet::new();
        for value in values {
            if !seen.insert(value.to_string()) {
                self.add(at, format!("{value} stands twice"));
            }
        }
    }

    fn definitions(&mut self, schema: &Json, definitions: &Json) {
        let only_meta = definitions.as_object().is_some_and(|definitions| {
            definitions.keys().eq(["record-meta"])
                && definitions["record-meta"].as_object().is_some_and(|meta| meta.keys().eq(["const"]))
        });
        if !only_meta {
            self.add("/definitions", "holds record-meta with a const, and nothing else");
            return;
        }
        let at = "/definitions/record-meta/const";
        let Some(meta) = schema.pointer(at).and_then(Json::as_object) else {
            self.add(at, "is an object");
            return;
        };
        match meta.get("schemaHash").and_then(Json::as_str) {
            Some(hash) if hash == schema_hash(schema) => {}
            Some(_) => self.add(&child(at, "schemaHash"), "is not the hash of this schema"),
            None => self.add(&child(at, "schemaHash"), "is missing"),
        }
        let fields = meta.get("fields").and_then(Json::as_object);
        let properties = schema.get("properties").and_then(Json::as_object);
        if let (Some(fields), Some(properties)) = (fields, properties) {
            for name in properties.keys().filter(|name| !fields.contains_key(*name)) {
                self.add(&child(at, "fields"), format!("says nothing about {name}"));
            }
        }
        if meta.get("operation").is_some_and(|operation| operation == "update")
            && schema.get("required").is_some()
        {
            self.add("/required", "an update requires nothing");
        }
        let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
        match meta.get("operation").and_then(Json::as_str) {
            Some("create" | "update") if !closed => self.add("", "what is written has no other properties"),
            Some("read" | "filter") if closed => self.add("", "what is read is open"),
            _ => {}
        }
    }

    /// The root's `if`/`then`/`else`.
    fn chain(&mut self, at: &str, schema: &Map<String, Json>, depth: usize) {
        if !["if", "then", "else"].iter().any(|keyword| schema.contains_key(*keyword)) {
            return;
        }
        if depth > 30 {
            self.add(at, "the chain has more than 30 links");
            return;
        }
        for keyword in ["if", "then"] {
            let here = child(at, keyword);
            let Some(Json::Object(part)) = schema.get(keyword) else {
                self.add(&here, "a link has an if and a then");
                continue;
            };
            self.keywords(&here, part, &["properties", "required"]);
            for (name, narrowed) in part.get("properties").and_then(Json::as_object).into_iter().flatten() {
                let here = child(&child(&here, "properties"), name);
                match narrowed.as_object() {
                    Some(narrowed) => self.keywords(&here, narrowed, NARROWING_KEYWORDS),
                    None => self.add(&here, "is an object"),
                }
                if let Some(options) = narrowed.get("oneOf") {
                    self.options(&child(&here, "oneOf"), options, None, true);
                }
                if let Some(options) = narrowed.pointer("/items/oneOf") {
                    self.options(&child(&here, "items/oneOf"), options, None, false);
                }
            }
        }
        match schema.get("else") {
            None => {}
            Some(Json::Object(rest)) => {
                let here = child(at, "else");
                self.keywords(&here, rest, &["if", "then", "else"]);
                self.chain(&here, rest, depth + 1);
            }
            Some(_) => self.add(&child(at, "else"), "is the next link"),
        }
    }
}

fn child(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn is_property_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The type of a property and whether it takes null.
fn base_type(kind: Option<&Json>) -> Option<(&str, bool)> {
    const KINDS: &[&str] = &["string", "number", "integer", "boolean", "object", "array"];
    let (base, nullable) = match kind? {
        Json::String(kind) => (kind.as_str(), false),
        Json::Array(kinds) => match kinds.as_slice() {
            [Json::String(kind), Json::String(null)] if null == "null" => (kind.as_str(), true),
            _ => return None,
        },
        _ => return None,
    };
    KINDS.contains(&base).then_some((base, nullable))
}

fn fits(value: &Json, base: &str) -> bool {
    match base {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => false,
    }
}
