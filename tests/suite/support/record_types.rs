//! Record types made by hand: one with every kind of field, and the odd ones that real services have.

use recordport::record::record_type::{
    AlternateKey, ListWire, Picklist, PicklistValue, Reference, Relationship, TextForm,
};
use recordport::record::{Capability, Field, FieldType, KeyFields, RecordType, TypeName};
use serde_json::{Value as Json, json};

/// A type with these fields and the key `Id`.
pub(crate) fn with_fields(fields: Vec<Field>) -> RecordType {
    let mut all = vec![Field {
        system: true,
        nullable: false,
        ..Field::new("Id", FieldType::Text { max_length: Some(18), form: TextForm::Id })
    }];
    all.extend(fields);
    RecordType {
        name: TypeName::new("Thing"),
        provider: "sample".into(),
        label: "Thing".into(),
        label_plural: "Things".into(),
        description: None,
        custom: false,
        fields: all,
        key: KeyFields::single("Id"),
        alternate_keys: Vec::new(),
        relationships: Vec::new(),
        capability: Capability::default(),
    }
}

/// A field that can be set on create and update.
pub(crate) fn open(name: &str, field_type: FieldType) -> Field {
    Field { createable: true, updatable: true, ..Field::new(name, field_type) }
}

/// The same, required on create and never null.
pub(crate) fn required(name: &str, field_type: FieldType) -> Field {
    Field { required_on_create: true, nullable: false, ..open(name, field_type) }
}

/// A restricted picklist with these values, each its own label.
pub(crate) fn restricted(values: &[&str]) -> Picklist {
    Picklist { values: values.iter().map(|value| choice(value)).collect(), restricted: true, integer: false }
}

/// An active value whose label is the value.
pub(crate) fn choice(value: &str) -> PicklistValue {
    PicklistValue { value: value.into(), label: value.into(), active: true, default: false, valid_for: None }
}

/// A value that can be chosen with some values of another field.
pub(crate) fn choice_with(value: &str, controlling: &[&str]) -> PicklistValue {
    let valid_for = Some(controlling.iter().map(|value| Json::from(*value)).collect());
    PicklistValue { valid_for, ..choice(value) }
}

/// A reference to one type, through a relationship.
pub(crate) fn reference(target: &str, relationship: &str) -> FieldType {
    FieldType::Reference(Reference {
        targets: vec![target.into()],
        relationship: Some(relationship.into()),
        type_field: None,
        id_field: "Id".into(),
        label_field: Some("Name".into()),
        max_length: Some(18),
    })
}

/// One field of every kind, required ones and sensitive ones among them.
pub(crate) fn everything() -> RecordType {
    let text = |form| FieldType::Text { max_length: Some(200), form };
    let mut fields = vec![
        required("Name", FieldType::text(80)),
        open("Email", text(TextForm::Email)),
        open("Phone", text(TextForm::Phone)),
        open("Website", text(TextForm::Url)),
        open("Notes", text(TextForm::Multiline)),
        open("Body", text(TextForm::Html)),
        open("Readme", text(TextForm::Markdown)),
        open("Comment", text(TextForm::Adf)),
        open("Secret", text(TextForm::Encrypted)),
        Field { sensitive: true, ..open("Ssn", FieldType::text(11)) },
        open("Unlimited", FieldType::Text { max_length: None, form: TextForm::Plain }),
        Field { default: Some(json!(false)), nullable: false, ..open("Active", FieldType::Boolean) },
        open("Count", FieldType::Integer { minimum: Some(0), maximum: Some(99_999_999) }),
        open("Big", FieldType::Int64),
        open("Amount", FieldType::Decimal { precision: Some(18), scale: Some(2) }),
        open("Free", FieldType::Decimal { precision: None, scale: None }),
        open("Born", FieldType::Date),
        open("Seen", FieldType::Instant),
        open("Opens", FieldType::Time),
        required("Status", FieldType::Picklist(restricted(&["New", "Done"]))),
        open("Rating", FieldType::Picklist(restricted(&["Hot", "Warm", "Cold"]))),
        open("Industry", FieldType::Picklist(Picklist { restricted: false, ..restricted(&["Farming"]) })),
        open(
            "Priority",
            FieldType::Picklist(Picklist {
                values: vec![PicklistValue { value: json!(1), label: "High".into(), ..choice("") }],
                restricted: true,
                integer: true,
            }),
        ),
        open(
            "Tags",
            FieldType::MultiPicklist { picklist: restricted(&["a", "b"]), wire: ListWire::Semicolon },
        ),
        required("Areas", FieldType::MultiPicklist { picklist: restricted(&["x"]), wire: ListWire::Array }),
        open("AccountId", reference("Account", "Account")),
        open(
            "OwnerId",
            FieldType::Reference(Reference {
                targets: vec!["User".into(), "Group".into()],
                relationship: Some("Owner".into()),
                type_field: Some("OwnerId_type".into()),
                id_field: "Id".into(),
                label_field: None,
                max_length: Some(18),
            }),
        ),
        open("Photo", FieldType::Binary { max_bytes: Some(1 << 20), inline: false }),
        open("Icon", FieldType::Binary { max_bytes: Some(1 << 10), inline: true }),
        open(
            "Address",
            FieldType::Object {
                fields: vec![
                    open("city", FieldType::text(40)),
                    required("country", FieldType::text(2)),
                    open(
                        "geo",
                        FieldType::Object {
                            fields: vec![open(
                                "lat",
                                FieldType::Decimal { precision: Some(18), scale: Some(15) },
                            )],
                        },
                    ),
                ],
            },
        ),
        open("Aliases", FieldType::List { element: Box::new(open("Alias", FieldType::text(30))) }),
        open(
            "Guests",
            FieldType::List {
                element: Box::new(open(
                    "Guest",
                    FieldType::Object {
                        fields: vec![
                            required("email", text(TextForm::Email)),
                            open("reply", FieldType::Picklist(restricted(&["yes", "no"]))),
                        ],
                    },
                )),
            },
        ),
        Field { note: Some("the service calls this `hologram`".into()), ..open("Extra", FieldType::Json) },
        Field {
            calculated: true,
            ..Field::new("Score", FieldType::Decimal { precision: Some(5), scale: Some(1) })
        },
        Field { auto_number: true, unique: true, ..Field::new("Number", FieldType::text(30)) },
        Field { unique: true, external_id: true, ..open("External", FieldType::text(64)) },
        Field { updatable: false, ..open("Origin", FieldType::text(20)) },
        Field { createable: false, ..open("Closed", FieldType::Boolean) },
        Field { system: true, nullable: false, ..Field::new("CreatedDate", FieldType::Instant) },
    ];
    for (at, field) in fields.iter_mut().enumerate() {
        field.filterable = at % 2 == 0;
    }
    let mut record_type = with_fields(fields);
    record_type.alternate_keys =
        vec![AlternateKey { fields: KeyFields::single("External"), insertable: true }];
    record_type.relationships = vec![Relationship {
        name: "Account".into(),
        field: "AccountId".into(),
        targets: vec!["Account".into()],
    }];
    record_type
}

/// Types as odd as services make them, each with a name for messages.
pub(crate) fn oddities() -> Vec<(&'static str, RecordType)> {
    let numbered = |count: usize| (0..count).map(|at| choice(&format!("v{at}"))).collect::<Vec<_>>();
    let labelled = |count: usize| {
        (0..count)
            .map(|at| PicklistValue { label: format!("Label {at}"), ..choice(&format!("v{at}")) })
            .collect::<Vec<_>>()
    };
    let pick = |values: Vec<PicklistValue>, restricted: bool| {
        FieldType::Picklist(Picklist { values, restricted, integer: false })
    };
    let both = |name: &str, kind: FieldType| vec![open(name, kind.clone()), required("Needed", kind)];
    let deep =
        (0..6).fold(FieldType::text(5), |inner, _| FieldType::Object { fields: vec![open("in", inner)] });
    vec![
        ("everything", everything()),
        ("only a key", with_fields(Vec::new())),
        ("no field can be set", with_fields(vec![Field::new("Name", FieldType::text(80))])),
        (
            "duplicate picklist values",
            with_fields(both(
                "Twice",
                pick(
                    vec![choice("AG"), PicklistValue { label: "Other".into(), ..choice("AG") }, choice("BG")],
                    true,
                ),
            )),
        ),
        ("empty picklist", with_fields(both("None", pick(Vec::new(), true)))),
        ("empty open picklist", with_fields(both("None", pick(Vec::new(), false)))),
        (
            "empty multi picklist",
            with_fields(both(
                "None",
                FieldType::MultiPicklist { picklist: restricted(&[]), wire: ListWire::Comma },
            )),
        ),
        (
            "all values inactive",
            with_fields(both("Old", pick(vec![PicklistValue { active: false, ..choice("Old") }], true))),
        ),
        ("200 values", with_fields(both("Many", pick(numbered(200), true)))),
        ("500 plain values", with_fields(both("Many", pick(numbered(500), true)))),
        ("500 labelled values", with_fields(both("Many", pick(labelled(500), true)))),
        ("500 open values", with_fields(both("Many", pick(labelled(500), false)))),
        ("6000 values", with_fields(both("Many", pick(numbered(6000), true)))),
        (
            "500 values of which several can be taken",
            with_fields(both(
                "Many",
                FieldType::MultiPicklist {
                    picklist: Picklist { values: numbered(500), restricted: true, integer: false },
                    wire: ListWire::Array,
                },
            )),
        ),
        (
            "quotes, blanks and nothing in values and labels",
            with_fields(both(
                "Odd",
                pick(
                    ["\"quoted\"", "it's", "a\\b", "", " ", "\u{1f600}", "</script>", "null"]
                        .into_iter()
                        .map(|value| PicklistValue { label: String::new(), ..choice(value) })
                        .collect(),
                    true,
                ),
            )),
        ),
        (
            "no labels",
            with_fields(vec![Field {
                label: String::new(),
                help: Some("  ".into()),
                ..open("a_b", FieldType::Date)
            }]),
        ),
        ("texts of length 0", with_fields(both("Empty", FieldType::text(0)))),
        (
            "strange numbers",
            with_fields(vec![
                open("A", FieldType::Decimal { precision: Some(0), scale: Some(0) }),
                open("B", FieldType::Decimal { precision: Some(3), scale: Some(10) }),
                open("C", FieldType::Decimal { precision: Some(400), scale: Some(400) }),
                open("D", FieldType::Decimal { precision: Some(40), scale: Some(2) }),
            ]),
        ),
        ("deep objects", with_fields(both("Deep", deep.clone()))),
        (
            "lists of lists",
            with_fields(both(
                "Lists",
                FieldType::List {
                    element: Box::new(open(
                        "Inner",
                        FieldType::List { element: Box::new(open("Core", deep)) },
                    )),
                },
            )),
        ),
        ("an object without fields", with_fields(both("Nothing", FieldType::Object { fields: Vec::new() }))),
        (
            "names that collide when flat",
            with_fields(vec![
                open("A__b", FieldType::text(5)),
                open("A", FieldType::Object { fields: vec![open("b", FieldType::text(5))] }),
            ]),
        ),
        (
            "a default of the wrong type",
            with_fields(vec![
                Field { default: Some(json!("yes")), ..open("Flag", FieldType::Boolean) },
                Field {
                    default: Some(json!("Gone")),
                    ..open("Pick", FieldType::Picklist(restricted(&["Here"])))
                },
            ]),
        ),
        ("several keys", RecordType { key: KeyFields::of(["calendar_id", "Id"]), ..everything() }),
        ("dependent picklists", dependent()),
        ("dependent on many", dependent_on(40)),
        (
            "a target with 300 types",
            with_fields(vec![open(
                "WhatId",
                FieldType::Reference(Reference {
                    targets: (0..300).map(|at| format!("Type{at}")).collect(),
                    relationship: Some("What".into()),
                    type_field: Some("WhatId_type".into()),
                    id_field: "Id".into(),
                    label_field: None,
                    max_length: Some(18),
                }),
            )]),
        ),
    ]
}

/// Country, and State that depends on it.
pub(crate) fn dependent() -> RecordType {
    let states = vec![
        choice_with("Bavaria", &["DE"]),
        choice_with("Texas", &["US"]),
        choice_with("Georgia", &["US"]),
        choice_with("Georgia", &["GE"]),
    ];
    with_fields(vec![
        open("Country", FieldType::Picklist(restricted(&["DE", "US", "GE", "VA"]))),
        Field {
            controlled_by: Some("Country".into()),
            ..open(
                "State",
                FieldType::Picklist(Picklist { values: states, restricted: true, integer: false }),
            )
        },
        Field {
            controlled_by: Some("Country".into()),
            ..open(
                "Zones",
                FieldType::MultiPicklist {
                    picklist: Picklist {
                        values: vec![choice_with("East", &["US"]), choice_with("West", &["US", "DE"])],
                        restricted: true,
                        integer: false,
                    },
                    wire: ListWire::Semicolon,
                },
            )
        },
    ])
}

fn dependent_on(count: usize) -> RecordType {
    let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    with_fields(vec![
        open("Country", FieldType::Picklist(restricted(&names))),
        Field {
            controlled_by: Some("Country".into()),
            ..open(
                "State",
                FieldType::Picklist(Picklist {
                    values: vec![choice_with("one", &["c1", "c39"])],
                    restricted: true,
                    integer: false,
                }),
            )
        },
    ])
}
