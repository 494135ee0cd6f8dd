//! The schemas keep to the profile, and say what records and rows really may be.

use recordport::record::schema::{
    Annotations, Decimals, Layout, SchemaOptions, SchemaPurpose, config_schema_for, lint, pretty,
    record_schema, schema_hash, selection_schema,
};
use recordport::record::schema::{companion, query_builder};
use recordport::record::{FieldPath, FieldType};
use serde_json::{Value as Json, json};

use crate::support::record_types::{
    dependent, everything, oddities, open, required, restricted, with_fields,
};

/// Every combination of the choices about a schema's form.
pub(crate) fn all_options() -> Vec<SchemaOptions> {
    let usual = SchemaOptions::default();
    let mut all = vec![
        SchemaOptions { dialect: false, ..usual },
        SchemaOptions { include_read_only: true, ..usual },
        SchemaOptions { include_read_only: true, layout: Layout::Flat, dialect: false, ..usual },
    ];
    for annotations in [Annotations::Definitions, Annotations::Inline, Annotations::None] {
        for layout in [Layout::Nested, Layout::Flat] {
            for decimals in [Decimals::Number, Decimals::String] {
                all.push(SchemaOptions { annotations, layout, decimals, ..usual });
            }
        }
    }
    all
}

fn schema(record_type: &recordport::record::RecordType, purpose: SchemaPurpose) -> Json {
    record_schema(record_type, purpose, &SchemaOptions::default())
}

fn accepts(schema: &Json, instance: &Json) -> bool {
    jsonschema::draft7::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("the schema compiles")
        .is_valid(instance)
}

#[test]
fn every_schema_of_every_odd_type_passes_the_lint_in_every_form() {
    let mut checked = 0;
    for (name, record_type) in oddities() {
        for purpose in SchemaPurpose::ALL {
            for options in all_options() {
                let schema = record_schema(&record_type, purpose, &options);
                let findings = lint(&schema);
                assert!(findings.is_empty(), "{name} {purpose:?} {options:?}: {findings:#?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 1500, "{checked}");
}

#[test]
fn the_lint_finds_what_breaks_form_libraries() {
    let good = json!({"type": "object", "title": "T", "properties": {
        "a": {"type": ["string", "null"], "title": "A", "oneOf": [{"const": null, "title": "-"}, {"const": "x", "title": "X"}]}
    }});
    assert_eq!(lint(&good), []);
    let cases = [
        ("/$schema", json!("https://json-schema.org/draft-07/schema#"), "/$schema"),
        ("/$id", json!("http://example.com/s"), "/$id"),
        ("/allOf", json!([{}]), "/allOf"),
        ("/title", json!(""), "/title"),
        ("/title", json!(null), "/title"),
        ("/type", json!(["object", "null"]), "/type"),
        ("/properties/a/type", json!(["null", "string"]), "/properties/a/type"),
        ("/properties/a/nullable", json!(true), "/properties/a/nullable"),
        ("/properties/a/$ref", json!("#"), "/properties/a/$ref"),
        ("/properties/a/description", json!(null), "/properties/a/description"),
        ("/properties/a/multipleOf", json!(0.01), "/properties/a/multipleOf"),
        ("/properties/a/format", json!("time"), "/properties/a/format"),
        ("/properties/a/format", json!("uuid"), "/properties/a/format"),
        ("/properties/a/enum", json!([]), "/properties/a/enum"),
        ("/properties/a/enum", json!(["x", "x", null]), "/properties/a/enum"),
        ("/properties/a/enum", json!(["x"]), "/properties/a/enum"),
        ("/properties/a/oneOf", json!([]), "/properties/a/oneOf"),
        ("/properties/a/oneOf/0", json!({"const": "w", "title": "W"}), "/properties/a/oneOf/0"),
        ("/properties/a/oneOf/1", json!({"const": "x"}), "/properties/a/oneOf/1"),
        ("/properties/a/oneOf/1", json!({"const": 3, "title": "3"}), "/properties/a/oneOf/1"),
        ("/properties/a/oneOf/1", json!({"enum": ["x"], "title": "X"}), "/properties/a/oneOf/1"),
        ("/properties/a/minimum", json!(3), "/properties/a/minimum"),
        ("/properties/a/writeOnly", json!(true), "/properties/a/writeOnly"),
        ("/properties/a/default", json!(3), "/properties/a/default"),
        ("/properties/a/examples", json!(["x", 3]), "/properties/a/examples"),
        ("/properties/b", json!({"title": "B"}), "/properties/b/type"),
        ("/properties/b", json!({"type": "array", "title": "B"}), "/properties/b/items"),
        ("/properties/a.b", json!({"type": "string", "title": "B"}), "/properties/a.b"),
        ("/properties/1", json!({"type": "string", "title": "B"}), "/properties/1"),
        ("/required", json!(["z"]), "/required"),
        ("/required", json!(["a", "a"]), "/required"),
        ("/additionalProperties", json!(true), "/additionalProperties"),
        ("/definitions", json!({"other": {"type": "string"}}), "/definitions"),
        (
            "/definitions",
            json!({"record-meta": {"const": {"schemaHash": "0"}}}),
            "/definitions/record-meta/const/schemaHash",
        ),
        ("/if", json!({"properties": {"a": {"const": "x"}}}), "/then"),
    ];
    for (place, value, expected) in cases {
        let mut bad = good.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Json::Object(members) => {
                members.insert(name.to_owned(), value.clone());
            }
            Json::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other}"),
        }
        let found = lint(&bad);
        assert!(found.iter().any(|finding| finding.pointer == expected), "{place} {value}: {found:?}");
    }
    let many: Vec<Json> = std::iter::once(json!({"const": null, "title": "-"}))
        .chain((0..201).map(|at| json!({"const": at.to_string(), "title": "T"})))
        .collect();
    let mut bad = good.clone();
    bad["properties"]["a"]["oneOf"] = many.into();
    assert_eq!(lint(&bad).len(), 1);
    let mut read_only = good;
    read_only["properties"]["a"]["readOnly"] = true.into();
    read_only["required"] = json!(["a"]);
    assert_eq!(lint(&read_only)[0].pointer, "/required");
}

#[test]
fn read_holds_every_field_and_create_and_update_only_what_can_be_set() {
    let record_type = everything();
    let names = |schema: &Json| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected = |keep: &dyn Fn(&recordport::record::Field) -> bool| {
        let mut out = Vec::new();
        for field in record_type.fields.iter().filter(|field| keep(field)) {
            out.push(field.name.clone());
            if field.name == "OwnerId" {
                out.push("OwnerId_type".to_owned());
            }
        }
        out
    };
    let read = schema(&record_type, SchemaPurpose::Read);
    assert_eq!(names(&read), expected(&|_| true));
    assert_eq!(read["required"], json!(["Id"]));
    for (name, property) in read["properties"].as_object().unwrap() {
        let nullable = property["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")));
        assert_eq!(nullable, name != "Id", "{name}");
        assert!(property.get("oneOf").is_none() && property.get("enum").is_none(), "{name} is closed");
    }
    assert!(read.get("additionalProperties").is_none());

    let create = schema(&record_type, SchemaPurpose::Create);
    assert_eq!(names(&create), expected(&|field| field.createable));
    assert_eq!(create["required"], json!(["Name", "Status", "Areas"]));
    let update = schema(&record_type, SchemaPurpose::Update);
    assert_eq!(names(&update), expected(&|field| field.updatable));
    assert!(update.get("required").is_none());
    assert!(update["properties"].get("Id").is_none());
}

#[test]
fn a_row_whose_optional_fields_are_null_is_a_valid_create() {
    let create = schema(&everything(), SchemaPurpose::Create);
    let mut row = json!({"Name": "n", "Status": "New", "Areas": ["x"]});
    assert!(accepts(&create, &row));
    for (name, property) in create["properties"].as_object().unwrap() {
        let list = property["type"] == "array";
        if row.get(name).is_none() && !list {
            row[name] = Json::Null;
        }
    }
    assert!(accepts(&create, &row), "{row}");
    for (name, wrong) in [
        ("Status", json!(null)),
        ("Status", json!("Other")),
        ("Rating", json!("Lukewarm")),
        ("Name", json!(null)),
        ("Name", json!("x".repeat(81))),
        ("Amount", json!("12")),
        ("Amount", json!(1e17)),
        ("Big", json!(12)),
        ("Big", json!("12.5")),
        ("Born", json!("31.01.2026")),
        ("Seen", json!("2026-01-31T09:30:00")),
        ("Opens", json!("25:00:00")),
        ("Tags", json!(null)),
        ("Tags", json!(["a", "a"])),
        ("Tags", json!(["c"])),
        ("Areas", json!([])),
        ("OwnerId_type", json!("Lead")),
        ("Address", json!({"city": "Rome"})),
        ("Address", json!({"country": "IT", "planet": "Mars"})),
        ("Guests", json!([{"reply": "yes"}])),
        ("Closed", json!(true)),
        ("Score", json!(1)),
    ] {
        let mut bad = row.clone();
        bad[name] = wrong.clone();
        assert!(!accepts(&create, &bad), "{name} = {wrong}");
    }
    for (name, right) in [
        ("Name", json!("\u{1f600}".repeat(80))),
        ("Industry", json!("Something new")),
        ("Opens", json!("09:30:00")),
        ("Opens", json!("09:30:00.000Z")),
        ("Seen", json!("2026-01-31T09:30:00+02:00")),
        ("Amount", json!(0.07)),
        ("Amount", json!(-9_999_999_999_999_990.0)),
        ("Tags", json!([])),
        ("Priority", json!(1)),
        ("Website", json!("www.example.com")),
        ("Address", json!({"country": "IT", "geo": {"lat": 1.5}})),
        ("Guests", json!([{"email": "a@example.com", "reply": null}])),
    ] {
        let mut good = row.clone();
        good[name] = right.clone();
        assert!(accepts(&create, &good), "{name} = {right}");
    }
}

#[test]
fn what_cannot_be_null_cannot_be_cleared_by_an_update() {
    let update = schema(&everything(), SchemaPurpose::Update);
    assert!(accepts(&update, &json!({})));
    assert!(accepts(&update, &json!({"Rating": null, "Amount": null})));
    assert!(!accepts(&update, &json!({"Name": null})));
    assert!(!accepts(&update, &json!({"Active": null})));
    assert!(!accepts(&update, &json!({"Id": "x"})));
}

#[test]
fn picklists_never_let_a_form_choose_by_itself() {
    let create = schema(
        &with_fields(vec![
            required("Stage", FieldType::Picklist(restricted(&["Open", "Won"]))),
            open("Source", FieldType::Picklist(restricted(&["Web"]))),
        ]),
        SchemaPurpose::Create,
    );
    insta::assert_json_snapshot!(create["properties"], @r#"
    {
      "Stage": {
        "type": "string",
        "title": "Stage",
        "oneOf": [
          {
            "const": null,
            "title": "Choose…"
          },
          {
            "const": "Open",
            "title": "Open"
          },
          {
            "const": "Won",
            "title": "Won"
          }
        ]
      },
      "Source": {
        "type": [
          "string",
          "null"
        ],
        "title": "Source",
        "oneOf": [
          {
            "const": null,
            "title": "(none)"
          },
          {
            "const": "Web",
            "title": "Web"
          }
        ]
      }
    }
    "#);
    assert!(!accepts(&create, &json!({"Stage": null, "Source": null})), "the user must choose");
    assert!(accepts(&create, &json!({"Stage": "Won", "Source": null})));
}

#[test]
fn long_picklists_are_not_spelled_out() {
    for (name, record_type) in oddities() {
        let create = schema(&record_type, SchemaPurpose::Create);
        let of =
            |keyword: &str| create["properties"]["Many"].get(keyword).and_then(Json::as_array).map(Vec::len);
        let lookup = !create["definitions"]["record-meta"]["const"]["fields"]["Many"]["lookup"].is_null();
        match name {
            "200 values" => assert_eq!((of("oneOf"), of("enum"), lookup), (Some(201), None, false)),
            "500 plain values" => assert_eq!((of("oneOf"), of("enum"), lookup), (None, Some(501), true)),
            "500 labelled values" | "500 open values" | "6000 values" => {
                assert_eq!(
                    (of("oneOf"), of("enum"), of("examples"), lookup),
                    (None, None, None, true),
                    "{name}"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn dependent_picklists_narrow_and_tell_what_they_depend_on() {
    let create = schema(&dependent(), SchemaPurpose::Create);
    for (row, valid) in [
        (json!({"Country": "DE", "State": "Bavaria"}), true),
        (json!({"Country": "DE", "State": "Texas"}), false),
        (json!({"Country": "US", "State": "Georgia"}), true),
        (json!({"Country": "GE", "State": "Georgia"}), true),
        (json!({"Country": "GE", "State": "Texas"}), false),
        (json!({"Country": "VA", "State": null}), true),
        (json!({"Country": "VA", "State": "Texas"}), false),
        (json!({"State": "Texas"}), true),
        (json!({"Country": "US", "Zones": ["East", "West"]}), true),
        (json!({"Country": "DE", "Zones": ["East"]}), false),
        (json!({"Country": "GE", "Zones": []}), true),
        (json!({"Country": "GE", "Zones": ["West"]}), false),
    ] {
        assert_eq!(accepts(&create, &row), valid, "{row}");
    }
    let meta = &create["definitions"]["record-meta"]["const"]["fields"]["State"];
    assert_eq!(meta["dependsOn"], json!(["Country"]));
    assert_eq!(meta["validFor"], json!({"DE": ["Bavaria"], "US": ["Texas", "Georgia"], "GE": ["Georgia"]}));
    for (name, record_type) in oddities() {
        if name == "dependent on many" {
            let create = schema(&record_type, SchemaPurpose::Create);
            assert!(create.get("if").is_none());
            assert_eq!(
                create["definitions"]["record-meta"]["const"]["fields"]["State"]["validFor"],
                json!({"c1": ["one"], "c39": ["one"]})
            );
        }
    }
}

#[test]
fn the_flat_layout_joins_parts_and_leads_back() {
    let options = SchemaOptions { layout: Layout::Flat, ..SchemaOptions::default() };
    let create = record_schema(&everything(), SchemaPurpose::Create, &options);
    let properties = create["properties"].as_object().unwrap();
    assert!(!properties.contains_key("Address"));
    assert!(properties.contains_key("Address__geo__lat"));
    let fields = &create["definitions"]["record-meta"]["const"]["fields"];
    assert_eq!(fields["Address__geo__lat"]["path"], "Address.geo.lat");
    assert!(fields["Name"].get("path").is_none());
    // The country is required only when there is an address.
    assert_eq!(create["required"], json!(["Name", "Status", "Areas"]));
}

#[test]
fn decimals_can_be_text() {
    let options = SchemaOptions { decimals: Decimals::String, ..SchemaOptions::default() };
    let create = record_schema(&everything(), SchemaPurpose::Create, &options);
    assert_eq!(
        create["properties"]["Amount"],
        json!({"type": ["string", "null"], "title": "Amount", "pattern": r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$"})
    );
    let read = record_schema(&everything(), SchemaPurpose::Read, &options);
    assert!(accepts(&read, &json!({"Id": "1", "Amount": "1.5E7"})));
}

#[test]
fn secrets_are_masked_and_only_written() {
    let create = schema(&everything(), SchemaPurpose::Create);
    for name in ["Secret", "Ssn"] {
        assert_eq!(create["properties"][name]["format"], "password");
        assert_eq!(create["properties"][name]["writeOnly"], true);
        assert_eq!(create["definitions"]["record-meta"]["const"]["fields"][name]["sensitive"], true);
    }
    let read = schema(&everything(), SchemaPurpose::Read);
    assert!(read["properties"]["Secret"].get("writeOnly").is_none());
}

#[test]
fn the_hash_is_that_of_the_canonical_form_and_changes_with_order() {
    let record_type = everything();
    let create = schema(&record_type, SchemaPurpose::Create);
    let given = create["definitions"]["record-meta"]["const"]["schemaHash"].as_str().unwrap();
    assert_eq!(given, schema_hash(&create));
    assert!(given.len() == 64 && given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    // RFC 8785 of {"b":1,"a":"ü"} is {"a":"ü","b":1}.
    assert_eq!(
        schema_hash(&json!({"b": 1.0, "a": "ü"})),
        schema_hash(&serde_json::from_str("{ \"a\":\"\\u00fc\", \"b\":1 }").unwrap())
    );
    let mut turned = record_type.clone();
    turned.fields.swap(2, 3);
    assert_ne!(
        schema(&turned, SchemaPurpose::Create)["definitions"]["record-meta"]["const"]["schemaHash"],
        given
    );
    // Where the metadata stands does not change what the schema is.
    let inline = SchemaOptions { annotations: Annotations::Inline, ..SchemaOptions::default() };
    let inline = record_schema(&record_type, SchemaPurpose::Create, &inline);
    assert_eq!(inline["x-record"]["schemaHash"], given);
    let mut city = create["definitions"]["record-meta"]["const"]["fields"]["Address.city"].clone();
    city["path"] = "Address.city".into();
    assert_eq!(inline["properties"]["Address"]["properties"]["city"]["x-record"], city);
}

#[test]
fn a_selection_has_exactly_the_chosen_paths_nested() {
    use recordport::record::query::FieldSource;

    struct WithAccount(recordport::record::RecordType, recordport::record::Field);
    impl FieldSource for WithAccount {
        fn field(&self, path: &FieldPath) -> Option<&recordport::record::Field> {
            if *path == FieldPath::parse("Account.Name") {
                Some(&self.1)
            } else {
                FieldSource::field(&self.0, path)
            }
        }
        fn known_paths(&self) -> Vec<String> {
            FieldSource::known_paths(&self.0)
        }
    }

    let record_type = everything();
    let source = WithAccount(record_type.clone(), open("Name", FieldType::text(255)));
    let paths = |names: &[&str]| names.iter().map(|name| FieldPath::parse(name)).collect::<Vec<_>>();
    let options = SchemaOptions::default();
    let selected = selection_schema(
        &record_type,
        &paths(&["Name", "Account.Name", "Id", "Address.city"]),
        &source,
        &options,
    )
    .unwrap();
    assert_eq!(lint(&selected), []);
    insta::assert_json_snapshot!(selected["properties"], @r#"
    {
      "Name": {
        "type": [
          "string",
          "null"
        ],
        "title": "Name",
        "maxLength": 80
      },
      "Account": {
        "type": [
          "object",
          "null"
        ],
        "title": "AccountId",
        "properties": {
          "Name": {
            "type": [
              "string",
              "null"
            ],
            "title": "Name",
            "maxLength": 255
          }
        }
      },
      "Id": {
        "type": "string",
        "title": "Id",
        "maxLength": 18
      },
      "Address": {
        "type": [
          "object",
          "null"
        ],
        "title": "Address",
        "properties": {
          "city": {
            "type": [
              "string",
              "null"
            ],
            "title": "city",
            "maxLength": 40
          }
        }
      }
    }
    "#);
    assert_eq!(selected["required"], json!(["Id"]));
    assert!(accepts(&selected, &json!({"Name": "n", "Account": null, "Id": "1"})));
    let flat = SchemaOptions { layout: Layout::Flat, ..options };
    let flat = selection_schema(&record_type, &paths(&["Account.Name"]), &source, &flat).unwrap();
    assert_eq!(
        flat["definitions"]["record-meta"]["const"]["fields"]["Account__Name"]["path"],
        "Account.Name"
    );
    let error = selection_schema(&record_type, &paths(&["Nmae"]), &source, &options).unwrap_err();
    assert!(error.to_string().contains("Did you mean Name?"), "{error}");
}

#[test]
fn the_filter_schema_holds_what_compares_and_who_evaluates_it() {
    use recordport::record::schema::{Pushed, filter_schema};

    let record_type = everything();
    let judge =
        |path: &FieldPath, _: &recordport::record::Field, operator: &str| match (path.leaf(), operator) {
            ("Name", "endsWith") => Pushed::Here,
            ("Name", _) => Pushed::Superset,
            ("Amount", _) => Pushed::Exact,
            _ => Pushed::Here,
        };
    let filter = filter_schema(&record_type, &[], &record_type, &judge, &SchemaOptions::default());
    let properties = filter["properties"].as_object().unwrap();
    for field in &record_type.fields {
        assert_eq!(
            properties.contains_key(&field.name),
            field.field_type.value_kind().is_some(),
            "{}",
            field.name
        );
    }
    let fields = &filter["definitions"]["record-meta"]["const"]["fields"];
    assert_eq!(fields["Name"]["pushed"], "superset");
    assert_eq!(fields["Name"]["pushedFor"], json!({"endsWith": "here"}));
    assert_eq!(fields["Amount"]["pushed"], "exact");
    assert_eq!(fields["Born"]["pushed"], "here");
    assert_eq!(
        fields["Tags"]["operators"],
        json!(["contains", "doesNotContain", "=", "!=", "null", "notNull"])
    );
    assert_eq!(fields["Name"]["valueSources"], json!(["value", "field"]));
    assert_eq!(fields["Opens"]["valueSources"], json!(["value"]));
    assert_eq!(properties["Tags"]["type"], "string");
    assert_eq!(properties["Priority"]["type"], "integer");
    assert!(accepts(&filter, &json!({"Amount": 1e30, "Name": "x".repeat(1000)})));

    let fields = query_builder::to_react_querybuilder(&filter);
    let rating = fields.as_array().unwrap().iter().find(|field| field["name"] == "Rating").unwrap();
    for (key, expected) in [
        ("datatype", json!("text")),
        ("comparator", json!("datatype")),
        ("valueEditorType", json!("select")),
        ("inputType", json!("text")),
        ("valueSources", json!(["value", "field"])),
        ("pushed", json!("here")),
    ] {
        assert_eq!(rating[key], expected, "{key}");
    }
    assert_eq!(rating["values"][1], json!({"name": "Warm", "label": "Warm"}));
    assert_eq!(rating["operators"][7], json!({"name": "doesNotContain", "label": "does not contain"}));
    for (name, input) in
        [("Born", "date"), ("Seen", "datetime-local"), ("Opens", "time"), ("Amount", "number")]
    {
        let field = fields.as_array().unwrap().iter().find(|field| field["name"] == name).unwrap();
        assert_eq!(field["inputType"], input);
    }
}

#[test]
fn companions_tell_forms_about_long_texts_groups_and_order() {
    let mut record_type = everything();
    record_type.fields[1].group = Some("Main".into());
    let create = schema(&record_type, SchemaPurpose::Create);
    let ui = companion::rjsf_ui_schema(&create);
    assert_eq!(ui["ui:order"][0], "Name");
    assert_eq!(ui["Notes"]["ui:widget"], "textarea");
    assert_eq!(ui["Extra"]["ui:widget"], "textarea");
    assert_eq!(ui["Ssn"]["ui:widget"], "password");
    assert_eq!(ui["ui:options"]["experimental_defaultFormStateBehavior"]["constAsDefaults"], "skipOneOf");
    let forms = companion::jsonforms_ui_schema(&create);
    let elements = forms["elements"].as_array().unwrap();
    assert_eq!(elements.last().unwrap()["label"], "Main");
    let notes = elements.iter().find(|element| element["scope"] == "#/properties/Notes").unwrap();
    assert_eq!(notes["options"]["multi"], true);
}

#[test]
fn a_key_of_several_fields_is_an_object_of_all_of_them() {
    let key = schema(
        &recordport::record::RecordType {
            key: recordport::record::KeyFields::of(["Number", "Id"]),
            ..everything()
        },
        SchemaPurpose::Key,
    );
    assert_eq!(key["required"], json!(["Number", "Id"]));
    assert!(accepts(&key, &json!({"Number": "1", "Id": "2"})));
    assert!(!accepts(&key, &json!({"Number": "1"})));
}

#[test]
fn files_are_pretty_and_end_with_a_newline() {
    let text = pretty(&json!({"type": "object", "b": [1]}));
    assert_eq!(text, "{\n  \"type\": \"object\",\n  \"b\": [\n    1\n  ]\n}\n");
}

/// The configuration of a service.
#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct SampleConfig {
    /// Where the service lives.
    instance_url: Option<String>,
    /// Password of the account.
    #[schemars(extend("format" = "password"))]
    password: String,
    #[serde(default)]
    page_size: u32,
    retries: Option<u8>,
    flavour: Flavour,
    other_flavour: Option<Flavour>,
    documented: Option<Documented>,
    scopes: Vec<String>,
    flavours: Vec<Flavour>,
    #[schemars(title = "Sandbox?")]
    is_sandbox: bool,
}

#[derive(schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum Flavour {
    SweetOne,
    Sour,
}

#[derive(schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum Documented {
    /// The first.
    #[schemars(title = "Number one")]
    First,
    /// The second.
    Second,
}

#[test]
fn configurations_come_out_in_the_profile() {
    let schema = config_schema_for::<SampleConfig>();
    assert_eq!(lint(&schema), []);
    let property = |name: &str| schema["properties"][name].clone();
    assert_eq!(schema["title"], "Sample config");
    assert_eq!(schema["description"], "The configuration of a service.");
    assert_eq!(schema["required"], json!(["password", "flavour", "scopes", "flavours", "is_sandbox"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        property("instance_url"),
        json!({"type": ["string", "null"], "title": "Instance url", "description": "Where the service lives."})
    );
    assert_eq!(
        property("password"),
        json!({
            "type": "string", "title": "Password", "description": "Password of the account.",
            "format": "password", "writeOnly": true
        })
    );
    assert_eq!(
        property("page_size"),
        json!({"type": "integer", "title": "Page size", "default": 0, "minimum": 0})
    );
    assert_eq!(property("retries")["type"], json!(["integer", "null"]));
    assert!(property("retries").get("format").is_none());
    assert_eq!(
        property("flavour"),
        json!({"type": "string", "title": "Flavour", "oneOf": [
            {"const": null, "title": "Choose…"},
            {"const": "sweet-one", "title": "Sweet one"},
            {"const": "sour", "title": "Sour"}
        ]})
    );
    assert_eq!(property("other_flavour")["oneOf"][0], json!({"const": null, "title": "(none)"}));
    assert_eq!(
        property("documented")["oneOf"],
        json!([
            {"const": null, "title": "(none)"},
            {"const": "first", "title": "Number one"},
            {"const": "second", "title": "Second"}
        ])
    );
    assert_eq!(
        property("scopes"),
        json!({"type": "array", "title": "Scopes", "items": {"type": "string", "title": "Scopes"}})
    );
    assert_eq!(property("flavours")["items"]["oneOf"][0]["const"], "sweet-one");
    assert_eq!(property("is_sandbox")["title"], "Sandbox?");
}
