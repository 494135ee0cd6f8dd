//! Expands the compact table of record types into full describes, every key present as recorded from real
//! orgs, in the recorded (alphabetical) order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Stands in describes for the API version of the request, such as `v60.0`.
pub(super) const VERSION_MARK: &str = "v{version}";
/// Stands in describes for the scheme and host of the request.
pub(super) const ORIGIN_MARK: &str = "{origin}";
const TABLE: &str = include_str!("catalogue.txt");

/// A type with every key.
const OBJECT: &str = r#"{"actionOverrides": [], "activateable": false, "associateEntityType": null, "associateParentEntity": null,
"childRelationships": [], "compactLayoutable": true, "createable": true, "custom": false, "customSetting": false,
"deepCloneable": false, "defaultImplementation": null, "deletable": true, "deprecatedAndHidden": false,
"extendedBy": null, "extendsInterfaces": null, "feedEnabled": false, "fields": [], "hasSubtypes": false,
"implementedBy": null, "implementsInterfaces": null, "isInterface": false, "isSubtype": false, "keyPrefix": null,
"label": "", "labelPlural": "", "layoutable": true, "listviewable": null, "lookupLayoutable": null,
"mergeable": false, "mruEnabled": true, "name": "", "namedLayoutInfos": [], "networkScopeFieldName": null,
"queryable": true, "recordTypeInfos": [], "replicateable": true, "retrieveable": true, "searchLayoutable": true,
"searchable": true, "sobjectDescribeOption": "FULL", "supportedScopes": [], "triggerable": true,
"undeletable": false, "updateable": true, "urls": {}}"#;

/// A field with every key.
const FIELD: &str = r#"{"aggregatable": true, "aiPredictionField": false, "autoNumber": false, "byteLength": 0, "calculated": false,
"calculatedFormula": null, "cascadeDelete": false, "caseSensitive": false, "compoundFieldName": null,
"controllerName": null, "createable": true, "custom": false, "defaultValue": null, "defaultValueFormula": null,
"defaultedOnCreate": false, "dependentPicklist": false, "deprecatedAndHidden": false, "digits": 0,
"displayLocationInDecimal": false, "encrypted": false, "externalId": false, "extraTypeInfo": null,
"filterable": true, "filteredLookupInfo": null, "formulaTreatNullNumberAsZero": false, "groupable": true,
"highScaleNumber": false, "htmlFormatted": false, "idLookup": false, "inlineHelpText": null, "label": "",
"length": 0, "mask": null, "maskType": null, "name": "", "nameField": false, "namePointing": false,
"nillable": true, "permissionable": true, "picklistValues": [], "polymorphicForeignKey": false, "precision": 0,
"queryByDistance": false, "referenceTargetField": null, "referenceTo": [], "relationshipName": null,
"relationshipOrder": null, "restrictedDelete": false, "restrictedPicklist": false, "scale": 0,
"searchPrefilterable": false, "soapType": "xsd:string", "sortable": true, "type": "", "unique": false,
"updateable": true, "writeRequiresMasterRead": false}"#;

/// One record type of the table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) describe: Value,
    /// Rows at scale 1.
    pub(super) base_count: u64,
}

struct Child {
    parent: String,
    row: Value,
}

/// All record types of the emulated org.
pub(super) fn entries() -> Vec<Entry> {
    let mut objects: Vec<(Vec<String>, Vec<Vec<String>>)> = Vec::new();
    for line in TABLE.lines() {
        let tokens = tokens(line);
        match tokens.first().map(String::as_str) {
            None | Some("#") => {}
            Some("object") => objects.push((tokens, Vec::new())),
            Some(first) => {
                if let Some((_, fields)) = objects.last_mut() {
                    match shared(first, tokens.get(1)) {
                        Some(lines) => fields.extend(lines.iter().map(|line| self::tokens(line))),
                        None => fields.push(tokens),
                    }
                }
            }
        }
    }
    let mut children = Vec::new();
    let mut entries: Vec<Entry> =
        objects.iter().map(|(head, fields)| expand(head, fields, &mut children)).collect();
    for entry in &mut entries {
        let name = entry.describe["name"].as_str().unwrap_or_default().to_owned();
        let mine: Vec<Value> =
            children.iter().filter(|child| child.parent == name).map(|child| child.row.clone()).collect();
        entry.describe["childRelationships"] = Value::Array(mine);
    }
    entries
}

fn shared(name: &str, label: Option<&String>) -> Option<Vec<String>> {
    let lines: &[&str] = match name {
        "%head" => &["IsDeleted boolean \"Deleted\" system"],
        "%owner" => {
            &["OwnerId reference \"Owner ID\" required +defaultedOnCreate -permissionable to=User rel=Owner"]
        }
        "%audit" => &[
            "CreatedDate datetime \"Created Date\" system required +defaultedOnCreate",
            "CreatedById reference \"Created By ID\" system required +defaultedOnCreate to=User rel=CreatedBy",
            "LastModifiedDate datetime \"Last Modified Date\" system required +defaultedOnCreate",
            "LastModifiedById reference \"Last Modified By ID\" system required +defaultedOnCreate to=User rel=LastModifiedBy",
            "SystemModstamp datetime \"System Modstamp\" system required +defaultedOnCreate",
        ],
        "%viewed" => &[
            "LastViewedDate datetime \"Last Viewed Date\" system",
            "LastReferencedDate datetime \"Last Referenced Date\" system",
        ],
        _ => return None,
    };
    let mut out: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if name == "%head" {
        out.insert(0, format!("Id id \"{}\"", label.map_or("Record ID", String::as_str)));
    }
    Some(out)
}

/// Words, with quoted parts kept together and their quotes dropped.
fn tokens(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut started) = (false, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            ' ' if !quoted => {
                if started {
                    out.push(std::mem::take(&mut word));
                }
                started = false;
            }
            _ => {
                word.push(letter);
                started = true;
            }
        }
    }
    if started {
        out.push(word);
    }
    out
}

fn expand(head: &[String], lines: &[Vec<String>], children: &mut Vec<Child>) -> Entry {
    let at = |index: usize| head.get(index).map_or("", String::as_str);
    let (name, prefix, label, plural) = (at(1), at(2), at(3), at(4));
    let base_count = at(5).parse().unwrap_or(0);
    let custom = head.iter().any(|token| token == "+custom");
    let mut fields: Vec<Value> = Vec::new();
    for line in lines {
        let field = field(line, custom, &fields);
        note_children(name, line, &field, children);
        fields.push(field);
    }
    let url = |rest: &str| format!("/services/data/{VERSION_MARK}/sobjects/{name}{rest}");
    let mut object = parsed(OBJECT);
    let own = [
        ("custom", json!(custom)),
        ("fields", Value::Array(fields)),
        ("keyPrefix", json!(prefix)),
        ("label", json!(label)),
        ("labelPlural", json!(plural)),
        ("name", json!(name)),
        (
            "recordTypeInfos",
            json!([{
                "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master",
                "master": true, "name": "Master", "recordTypeId": "012000000000000AAA",
                "urls": {"layout": url("/describe/layouts/012000000000000AAA")},
            }]),
        ),
        (
            "supportedScopes",
            json!([
                {"label": format!("All {}", plural.to_lowercase()), "name": "everything"},
                {"label": format!("My {}", plural.to_lowercase()), "name": "mine"},
            ]),
        ),
        (
            "urls",
            json!({
                "compactLayouts": url("/describe/compactLayouts"), "rowTemplate": url("/{ID}"),
                "approvalLayouts": url("/describe/approvalLayouts"),
                "defaultValues": url("/defaultValues?recordTypeId&fields"), "listviews": url("/listviews"),
                "describe": url("/describe"), "quickActions": url("/quickActions"),
                "layouts": url("/describe/layouts"), "sobject": url(""),
                "uiDetailTemplate": format!("{ORIGIN_MARK}/{{ID}}"),
                "uiEditTemplate": format!("{ORIGIN_MARK}/{{ID}}/e"),
                "uiNewRecord": format!("{ORIGIN_MARK}/{prefix}/e"),
            }),
        ),
    ];
    for (key, value) in own {
        object[key] = value;
    }
    for token in head.iter().skip(6) {
        set_flag(&mut object, token);
    }
    Entry { describe: object, base_count }
}

fn note_children(name: &str, line: &[String], field: &Value, children: &mut Vec<Child>) {
    let value = |key: &str| line.iter().find_map(|token| token.strip_prefix(key));
    let on_delete = value("ondelete=");
    for parent in field["referenceTo"].as_array().into_iter().flatten() {
        let row = json!({
            "cascadeDelete": on_delete == Some("cascade"), "childSObject": name, "deprecatedAndHidden": false,
            "field": field["name"], "junctionIdListNames": [], "junctionReferenceTo": [],
            "relationshipName": value("child="), "restrictedDelete": on_delete == Some("restrict"),
        });
        children.push(Child { parent: parent.as_str().unwrap_or_default().to_owned(), row });
    }
}

fn set_flag(target: &mut Value, token: &str) {
    if let Some(key) = token.strip_prefix('+') {
        target[key] = Value::Bool(true);
    } else if let Some(key) = token.strip_prefix('-') {
        target[key] = Value::Bool(false);
    }
}

fn field(line: &[String], custom_type: bool, before: &[Value]) -> Value {
    let at = |index: usize| line.get(index).map_or("", String::as_str);
    let name = at(0);
    let (kind, size) = at(1).split_once(':').unwrap_or((at(1), ""));
    let mut out = blank();
    out["name"] = json!(name);
    out["label"] = json!(at(2));
    out["type"] = json!(kind);
    out["custom"] = json!(custom_type && (name.ends_with("__c") || name.ends_with("__s")));
    by_type(&mut out, kind, size);
    for token in line.iter().skip(3) {
        if token == "system" {
            for key in ["createable", "updateable", "permissionable"] {
                out[key] = json!(false);
            }
        } else if token == "required" {
            out["nillable"] = json!(false);
        } else if token.starts_with(['+', '-']) {
            set_flag(&mut out, token);
        } else if let Some((key, value)) = token.split_once('=') {
            match key {
                "to" => out["referenceTo"] = json!(value.split(',').collect::<Vec<_>>()),
                "rel" => out["relationshipName"] = json!(value),
                "compound" => out["compoundFieldName"] = json!(value),
                "extra" => out["extraTypeInfo"] = json!(value),
                "auto" => out["inlineHelpText"] = Value::Null,
                "formula" => {
                    out["calculated"] = json!(true);
                    out["calculatedFormula"] = json!(value);
                }
                "pick" => out["picklistValues"] = picklist(value),
                "child" | "ondelete" => {}
                _ => out[key] = serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            }
        }
    }
    if let Some(controller) = out["controllerName"].as_str() {
        let known = before.iter().any(|field| field["name"] == controller);
        if !known {
            out["controllerName"] = Value::Null;
        }
    }
    out
}

/// A field with every key, made from the few that tell it apart.
///
/// # Errors
/// A sentence when there is no name, an unknown type or a key that no field has.
pub(super) fn described_field(spec: &Map<String, Value>) -> Result<Value, String> {
    const TYPES: [&str; 21] = [
        "string",
        "picklist",
        "multipicklist",
        "combobox",
        "reference",
        "base64",
        "boolean",
        "currency",
        "textarea",
        "int",
        "double",
        "percent",
        "phone",
        "date",
        "datetime",
        "time",
        "url",
        "email",
        "encryptedstring",
        "location",
        "address",
    ];
    let name = spec.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("a field needs a `name` of letters, digits and _".to_owned());
    }
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("string");
    if !TYPES.contains(&kind) {
        return Err(format!("there is no field type {kind:?}: {}", TYPES.join(", ")));
    }
    let number = |key: &str, otherwise: u64| spec.get(key).and_then(Value::as_u64).unwrap_or(otherwise);
    let size = match kind {
        "double" | "currency" | "percent" => format!("{},{}", number("precision", 18), number("scale", 2)),
        "int" => number("digits", 8).to_string(),
        _ => number("length", 255).to_string(),
    };
    let mut out = blank();
    out["label"] = json!(name);
    out["type"] = json!(kind);
    out["custom"] = json!(name.ends_with("__c"));
    by_type(&mut out, kind, &size);
    for (key, value) in spec {
        if out.get(key).is_none() {
            return Err(format!("a field's describe has no {key:?}"));
        }
        let values =
            value.as_array().filter(|list| key == "picklistValues" && list.iter().all(Value::is_string));
        out[key] = match values {
            Some(list) => {
                let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                picklist(&names.join("|"))
            }
            None => value.clone(),
        };
    }
    Ok(out)
}

/// A field with every key, as an ordinary writable text would have them.
fn blank() -> Value {
    parsed(FIELD)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn by_type(out: &mut Value, kind: &str, size: &str) {
    let set = |out: &mut Value, soap: &str, off: &[&str]| {
        out["soapType"] = json!(soap);
        for key in off {
            out[*key] = json!(false);
        }
    };
    match kind {
        "id" | "reference" => {
            out["length"] = json!(18);
            out["byteLength"] = json!(18);
            set(out, "tns:ID", &[]);
            if kind == "id" {
                set(out, "tns:ID", &["createable", "updateable", "nillable", "permissionable"]);
                out["defaultedOnCreate"] = json!(true);
                out["idLookup"] = json!(true);
            }
        }
        "boolean" => {
            set(out, "xsd:boolean", &["aggregatable", "nillable"]);
            out["defaultedOnCreate"] = json!(true);
            out["defaultValue"] = json!(false);
        }
        "double" | "currency" | "percent" => {
            set(out, "xsd:double", &["groupable"]);
            let (precision, scale) = size.split_once(',').unwrap_or((size, "0"));
            out["precision"] = json!(precision.parse::<u32>().unwrap_or(18));
            out["scale"] = json!(scale.parse::<u32>().unwrap_or(0));
        }
        "int" => {
            set(out, "xsd:int", &[]);
            out["digits"] = json!(size.parse::<u32>().unwrap_or(8));
        }
        "date" => set(out, "xsd:date", &[]),
        "datetime" => set(out, "xsd:dateTime", &["groupable"]),
        "time" => set(out, "xsd:time", &[]),
        "address" | "location" => {
            set(
                out,
                if kind == "address" { "urn:address" } else { "urn:location" },
                &["aggregatable", "createable", "updateable", "groupable", "sortable"],
            );
            out["queryByDistance"] = json!(true);
        }
        "base64" => set(out, "xsd:base64Binary", &["aggregatable", "filterable", "groupable", "sortable"]),
        "multipicklist" => {
            set(out, "xsd:string", &["aggregatable", "groupable", "sortable"]);
            out["length"] = json!(4099);
            out["byteLength"] = json!(4099);
            out["precision"] = json!(10);
        }
        _ => {
            let length = size.parse::<u32>().unwrap_or(255);
            out["length"] = json!(length);
            out["byteLength"] = json!(length * 3);
            if kind == "textarea" {
                out["extraTypeInfo"] = json!("plaintextarea");
                if length > 255 {
                    set(out, "xsd:string", &["aggregatable", "filterable", "groupable", "sortable"]);
                }
            }
            if kind == "encryptedstring" {
                set(out, "xsd:string", &["aggregatable", "filterable", "groupable", "sortable"]);
                out["encrypted"] = json!(true);
                out["mask"] = json!("X");
                out["maskType"] = json!("creditCard");
            }
        }
    }
}

fn picklist(text: &str) -> Value {
    let rows = text.split('|').map(|entry| {
        let (entry, valid_for) = entry.split_once('@').unwrap_or((entry, ""));
        let active = !entry.starts_with('!');
        let default = entry.starts_with('*');
        let entry = entry.trim_start_matches(['!', '*']);
        let (value, label) = entry.split_once('=').unwrap_or((entry, entry));
        json!({
            "active": active, "defaultValue": default, "label": label, "validFor": bitmap(valid_for), "value": value,
        })
    });
    Value::Array(rows.collect())
}

/// Bit i, most significant first, says that the entry is valid for the controller's entry i; the byte count
/// is a multiple of three, as recorded, so that the text never ends in `=`.
fn bitmap(valid_for: &str) -> Value {
    let entries: Vec<usize> = valid_for.split(',').filter_map(|entry| entry.parse().ok()).collect();
    let Some(highest) = entries.iter().max() else { return Value::Null };
    let mut bytes = vec![0u8; (highest / 8 + 1).next_multiple_of(3)];
    for entry in entries {
        bytes[entry / 8] |= 0x80 >> (entry % 8);
    }
    json!(STANDARD.encode(bytes))
}

/// The keys of a global describe entry, taken from a full describe.
pub(super) fn global_entry(describe: &Value) -> Value {
    const KEYS: [&str; 28] = [
        "activateable",
        "associateEntityType",
        "associateParentEntity",
        "createable",
        "custom",
        "customSetting",
        "deepCloneable",
        "deletable",
        "deprecatedAndHidden",
        "feedEnabled",
        "hasSubtypes",
        "isInterface",
        "isSubtype",
        "keyPrefix",
        "label",
        "labelPlural",
        "layoutable",
        "mergeable",
        "mruEnabled",
        "name",
        "queryable",
        "replicateable",
        "retrieveable",
        "searchable",
        "triggerable",
        "undeletable",
        "updateable",
        "urls",
    ];
    let mut out = Map::new();
    for key in &KEYS {
        out.insert((*key).to_owned(), describe.get(*key).cloned().unwrap_or(Value::Null));
    }
    Value::Object(out)
}
