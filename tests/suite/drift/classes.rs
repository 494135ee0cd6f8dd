//! Each way in which a type can change, classified for each direction.

use recordport::drift::{Change, Severity, diff};
use recordport::record::record_type::{
    AlternateKey, ListWire, Picklist, PicklistValue, Reference, Relationship, TextForm,
};
use recordport::record::schema::{SchemaOptions, SchemaPurpose, record_schema};
use recordport::record::{Capability, Field, FieldType, KeyFields, RecordType, TypeName};
use serde_json::{Value, json};

fn field(name: &str, field_type: FieldType) -> Field {
    Field { createable: true, updatable: true, ..Field::new(name, field_type) }
}

fn choice(value: Value, label: &str) -> PicklistValue {
    PicklistValue { value, label: label.to_owned(), active: true, default: false, valid_for: None }
}

fn picklist(values: &[&str], restricted: bool) -> Picklist {
    let values = values.iter().map(|value| choice(json!(value), value)).collect();
    Picklist { values, restricted, integer: false }
}

fn reference(targets: &[&str], relationship: &str) -> FieldType {
    FieldType::Reference(Reference {
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        relationship: Some(relationship.to_owned()),
        type_field: None,
        id_field: "Id".to_owned(),
        label_field: Some("Name".to_owned()),
        max_length: Some(18),
    })
}

/// A type with a field of each kind.
fn base() -> RecordType {
    let id = Field { system: true, nullable: false, ..Field::new("Id", FieldType::text(18)) };
    let name = Field { required_on_create: true, nullable: false, ..field("Name", FieldType::text(80)) };
    let code = Field { unique: true, external_id: true, ..field("Code", FieldType::text(20)) };
    let mut city = picklist(&["Oslo", "Lima"], true);
    city.values[0].valid_for = Some(vec![json!("NO")]);
    city.values[1].valid_for = Some(vec![json!("PE")]);
    let parts = vec![field("street", FieldType::text(100)), field("zip", FieldType::text(10))];
    let line = Field::new("line", FieldType::Object { fields: vec![field("sku", FieldType::text(30))] });
    RecordType {
        name: TypeName::new("Thing"),
        provider: "salesforce".to_owned(),
        label: "Thing".to_owned(),
        label_plural: "Things".to_owned(),
        description: None,
        custom: false,
        fields: vec![
            id,
            name,
            code,
            field("Nick", FieldType::text(40)),
            field("Stage", FieldType::Picklist(picklist(&["Open", "Won", "Lost"], true))),
            field("Origin", FieldType::Picklist(picklist(&["Web", "Fax"], false))),
            field("Country", FieldType::Picklist(picklist(&["NO", "PE"], true))),
            Field { controlled_by: Some("Country".to_owned()), ..field("City", FieldType::Picklist(city)) },
            field(
                "Tags",
                FieldType::MultiPicklist { picklist: picklist(&["a", "b"], true), wire: ListWire::Semicolon },
            ),
            field("Amount", FieldType::Decimal { precision: Some(10), scale: Some(2) }),
            field("Count", FieldType::Integer { minimum: Some(0), maximum: Some(100) }),
            field("Born", FieldType::Date),
            field("Seen", FieldType::Instant),
            field("Flag", FieldType::Boolean),
            field("Notes", FieldType::Text { max_length: Some(1000), form: TextForm::Html }),
            field("Parent", reference(&["Account", "Contact"], "Parent")),
            field("Address", FieldType::Object { fields: parts }),
            field("Lines", FieldType::List { element: Box::new(line) }),
            field("File", FieldType::Binary { max_bytes: Some(1000), inline: true }),
        ],
        key: KeyFields::single("Id"),
        alternate_keys: vec![AlternateKey { fields: KeyFields::single("Code"), insertable: true }],
        relationships: vec![Relationship {
            name: "Parent".to_owned(),
            field: "Parent".to_owned(),
            targets: vec!["Account".to_owned(), "Contact".to_owned()],
        }],
        capability: Capability::default(),
    }
}

fn at<'t>(record_type: &'t mut RecordType, name: &str) -> &'t mut Field {
    record_type.fields.iter_mut().find(|field| field.name == name).expect("a field")
}

fn values<'t>(record_type: &'t mut RecordType, name: &str) -> &'t mut Picklist {
    match &mut at(record_type, name).field_type {
        FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => picklist,
        other => panic!("{other:?}"),
    }
}

fn inner<'t>(record_type: &'t mut RecordType, name: &str) -> &'t mut Vec<Field> {
    match &mut at(record_type, name).field_type {
        FieldType::Object { fields } => fields,
        FieldType::List { element } => match &mut element.field_type {
            FieldType::Object { fields } => fields,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn set(record_type: &mut RecordType, name: &str, field_type: FieldType) {
    at(record_type, name).field_type = field_type;
}

fn decimal(precision: u32, scale: u32) -> FieldType {
    FieldType::Decimal { precision: Some(precision), scale: Some(scale) }
}

/// A change of a type, what it is called, and what it does when reading, creating and updating: `b`reaking,
/// `c`ompatible, `m`erely cosmetic, or nothing.
type Case = (&'static str, fn(&mut RecordType), &'static str, &'static str);

const CASES: &[Case] = &[
    ("a field is gone", |t| t.fields.retain(|f| f.name != "Nick"), "field_removed", "bbb"),
    (
        "a field that can be left out is new",
        |t| t.fields.push(field("New", FieldType::text(5))),
        "field_added",
        "ccc",
    ),
    (
        "a required field is new",
        |t| {
            let new = field("New", FieldType::text(5));
            t.fields.push(Field { required_on_create: true, nullable: false, ..new });
        },
        "required_field_added",
        "cbc",
    ),
    (
        "a field that is only read is new",
        |t| t.fields.push(Field::new("New", FieldType::Date)),
        "field_added",
        "c--",
    ),
    ("a field gets another name", |t| at(t, "Nick").name = "Nickname".to_owned(), "field_removed", "bbb"),
    ("a field becomes required", |t| at(t, "Nick").required_on_create = true, "became_required", "mbm"),
    (
        "a field need not be given any more",
        |t| at(t, "Name").required_on_create = false,
        "became_optional",
        "mcm",
    ),
    ("a field gets a label", |t| at(t, "Nick").label = "Nickname".to_owned(), "label_changed", "mmm"),
    ("a field gets a help text", |t| at(t, "Nick").help = Some("Short".to_owned()), "help_changed", "mmm"),
    ("a field moves to a group", |t| at(t, "Nick").group = Some("More".to_owned()), "group_changed", "mmm"),
    ("a field is masked", |t| at(t, "Nick").sensitive = true, "masking_changed", "mmm"),
    ("a text gets shorter", |t| set(t, "Nick", FieldType::text(20)), "length_changed", "cbb"),
    ("a text gets longer", |t| set(t, "Nick", FieldType::text(60)), "length_changed", "ccc"),
    (
        "a text gets a limit",
        |t| {
            t.fields.push(field("Nick2", FieldType::text(5)));
            t.fields.retain(|f| f.name != "Nick2");
            set(t, "Notes", FieldType::Text { max_length: Some(10), form: TextForm::Html });
        },
        "length_changed",
        "cbb",
    ),
    (
        "a text loses its limit",
        |t| set(t, "Nick", FieldType::Text { max_length: None, form: TextForm::Plain }),
        "length_changed",
        "ccc",
    ),
    (
        "HTML becomes Markdown",
        |t| set(t, "Notes", FieldType::Text { max_length: Some(1000), form: TextForm::Markdown }),
        "form_changed",
        "bbb",
    ),
    (
        "a text may have lines",
        |t| set(t, "Nick", FieldType::Text { max_length: Some(40), form: TextForm::Multiline }),
        "form_changed",
        "ccc",
    ),
    (
        "a text must be an e-mail address",
        |t| set(t, "Nick", FieldType::Text { max_length: Some(40), form: TextForm::Email }),
        "form_changed",
        "-bb",
    ),
    ("a text becomes a number", |t| set(t, "Nick", decimal(10, 2)), "type_changed", "bbb"),
    (
        "a text becomes a picklist",
        |t| set(t, "Nick", FieldType::Picklist(picklist(&["x"], true))),
        "type_changed",
        "bbb",
    ),
    (
        "a text becomes a reference",
        |t| set(t, "Nick", reference(&["Account"], "Nick")),
        "type_changed",
        "bbb",
    ),
    ("a date becomes an instant", |t| set(t, "Born", FieldType::Instant), "type_changed", "bbb"),
    ("an instant loses its zone", |t| at(t, "Seen").floating = true, "form_changed", "bbb"),
    ("a boolean becomes a text", |t| set(t, "Flag", FieldType::text(5)), "type_changed", "bbb"),
    (
        "a whole number becomes a decimal",
        |t| set(t, "Count", FieldType::Decimal { precision: None, scale: None }),
        "type_widened",
        "bcc",
    ),
    (
        "a decimal becomes a whole number",
        |t| set(t, "Amount", FieldType::Integer { minimum: None, maximum: None }),
        "type_changed",
        "bbb",
    ),
    ("fewer decimals are kept", |t| set(t, "Amount", decimal(9, 1)), "scale_changed", "cbb"),
    ("more decimals are kept", |t| set(t, "Amount", decimal(11, 3)), "scale_changed", "ccc"),
    ("fewer digits are kept", |t| set(t, "Amount", decimal(8, 2)), "precision_changed", "cbb"),
    (
        "the largest number is smaller",
        |t| set(t, "Count", FieldType::Integer { minimum: Some(0), maximum: Some(50) }),
        "range_changed",
        "cbb",
    ),
    (
        "the largest number is larger",
        |t| set(t, "Count", FieldType::Integer { minimum: Some(0), maximum: Some(200) }),
        "range_changed",
        "ccc",
    ),
    (
        "the smallest number is larger",
        |t| set(t, "Count", FieldType::Integer { minimum: Some(1), maximum: Some(100) }),
        "range_changed",
        "cbb",
    ),
    (
        "there is no smallest number",
        |t| set(t, "Count", FieldType::Integer { minimum: None, maximum: Some(100) }),
        "range_changed",
        "ccc",
    ),
    (
        "a value cannot be chosen any more",
        |t| values(t, "Stage").values[1].active = false,
        "choices_removed",
        "cbb",
    ),
    ("a value is gone", |t| drop(values(t, "Stage").values.pop()), "choices_removed", "cbb"),
    (
        "a value is new",
        |t| values(t, "Stage").values.push(choice(json!("Held"), "Held")),
        "choices_added",
        "ccc",
    ),
    (
        "a value gets a label",
        |t| values(t, "Stage").values[0].label = "In work".to_owned(),
        "choice_labels_changed",
        "mmm",
    ),
    ("a suggested value is gone", |t| drop(values(t, "Origin").values.pop()), "choices_removed", "ccc"),
    ("only listed values are taken", |t| values(t, "Origin").restricted = true, "choice_restricted", "cbb"),
    ("any value is taken", |t| values(t, "Stage").restricted = false, "choice_restricted", "ccc"),
    (
        "a value of several cannot be chosen any more",
        |t| drop(values(t, "Tags").values.pop()),
        "choices_removed",
        "cbb",
    ),
    (
        "a value of several is new",
        |t| values(t, "Tags").values.push(choice(json!("c"), "c")),
        "choices_added",
        "ccc",
    ),
    (
        "values depend on no other field",
        |t| {
            at(t, "City").controlled_by = None;
            values(t, "City").values.iter_mut().for_each(|value| value.valid_for = None);
        },
        "dependence_changed",
        "ccc",
    ),
    (
        "values depend on another field",
        |t| {
            at(t, "Stage").controlled_by = Some("Country".to_owned());
            values(t, "Stage").values.iter_mut().for_each(|value| value.valid_for = Some(vec![json!("NO")]));
        },
        "dependence_changed",
        "cbb",
    ),
    (
        "values do not go together",
        |t| values(t, "City").values[0].valid_for = Some(vec![json!("PE")]),
        "dependence_changed",
        "cbb",
    ),
    (
        "more values go together",
        |t| values(t, "City").values[0].valid_for = Some(vec![json!("NO"), json!("PE")]),
        "dependence_changed",
        "ccc",
    ),
    (
        "a reference leads to fewer types",
        |t| set(t, "Parent", reference(&["Account"], "Parent")),
        "targets_removed",
        "cbb",
    ),
    (
        "a reference leads to more types",
        |t| set(t, "Parent", reference(&["Account", "Contact", "Lead"], "Parent")),
        "targets_added",
        "ccc",
    ),
    (
        "a relationship gets another name",
        |t| set(t, "Parent", reference(&["Account", "Contact"], "Above")),
        "relationship_renamed",
        "b--",
    ),
    ("a part of an object is gone", |t| drop(inner(t, "Address").pop()), "field_removed", "bbb"),
    (
        "a part of an object gets shorter",
        |t| inner(t, "Address")[0].field_type = FieldType::text(50),
        "length_changed",
        "cbb",
    ),
    (
        "a part of an object is new",
        |t| inner(t, "Address").push(field("floor", FieldType::text(5))),
        "field_added",
        "ccc",
    ),
    ("a part of the objects of a list is gone", |t| drop(inner(t, "Lines").pop()), "field_removed", "bbb"),
    (
        "a file may be smaller only",
        |t| set(t, "File", FieldType::Binary { max_bytes: Some(500), inline: true }),
        "size_changed",
        "cbb",
    ),
    (
        "a field can only be read",
        |t| {
            at(t, "Nick").createable = false;
            at(t, "Nick").updatable = false;
        },
        "field_removed",
        "mbb",
    ),
    ("a field cannot be updated any more", |t| at(t, "Nick").updatable = false, "field_removed", "mmb"),
    (
        "a field can be set",
        |t| {
            at(t, "Id").createable = true;
            at(t, "Id").updatable = false;
        },
        "field_added",
        "mc-",
    ),
    ("records are not found by a field any more", |t| t.alternate_keys.clear(), "key_changed", "bbb"),
    (
        "records are found by a further field",
        |t| {
            t.alternate_keys.push(AlternateKey { fields: KeyFields::single("Nick"), insertable: true });
        },
        "key_changed",
        "ccc",
    ),
    ("values must be unique", |t| at(t, "Nick").unique = true, "uniqueness_changed", "cbb"),
    ("values need not be unique", |t| at(t, "Code").unique = false, "uniqueness_changed", "ccc"),
    ("the type gets a label", |t| t.label = "Object".to_owned(), "label_changed", "mmm"),
    ("a default is another", |t| at(t, "Nick").default = Some(json!("Bo")), "default_changed", "-c-"),
];

const DIRECTIONS: [SchemaPurpose; 3] = [SchemaPurpose::Read, SchemaPurpose::Create, SchemaPurpose::Update];

fn changes(change: fn(&mut RecordType), purpose: SchemaPurpose) -> Vec<Change> {
    let (old, mut new) = (base(), base());
    change(&mut new);
    let schema = |record_type: &RecordType| record_schema(record_type, purpose, &SchemaOptions::default());
    diff(&schema(&old), &schema(&new), purpose)
}

#[test]
fn every_change_of_a_type_is_classified_for_each_direction() {
    assert!(CASES.len() >= 40);
    let mut wrong = Vec::new();
    for (name, change, called, wanted) in CASES {
        let mut letters = String::new();
        let mut all = Vec::new();
        for purpose in DIRECTIONS {
            let found = changes(*change, purpose);
            letters.push(match found.iter().map(|change| change.severity).max() {
                None => '-',
                Some(Severity::Cosmetic) => 'm',
                Some(Severity::Compatible) => 'c',
                Some(Severity::Breaking) => 'b',
            });
            all.extend(found);
        }
        let called_so = all.iter().any(|change| change.change == *called);
        if letters != *wanted || !called_so {
            wrong.push(format!("{name}: {letters} instead of {wanted}, {called}: {called_so}: {all:#?}"));
        }
        // What breaks says how it is mended.
        let silent = all.iter().filter(|one| one.severity == Severity::Breaking && one.repair.is_none());
        wrong.extend(silent.map(|one| format!("{name}: nothing mends {one:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_the_same_has_no_changes() {
    for purpose in SchemaPurpose::ALL {
        assert_eq!(changes(|_| {}, purpose), Vec::new());
    }
}

#[test]
fn a_renamed_label_repairs_itself_and_a_renamed_field_is_recognised_by_its_label() {
    let label = changes(|t| at(t, "Nick").label = "Nickname".to_owned(), SchemaPurpose::Read);
    assert!(label[0].repair.as_ref().is_some_and(|repair| repair.starts_with("None is needed")), "{label:?}");
    let name = changes(|t| at(t, "Nick").name = "Alias".to_owned(), SchemaPurpose::Read);
    let gone = name.iter().find(|change| change.change == "field_removed").expect("a change");
    assert!(gone.repair.as_ref().is_some_and(|repair| repair.contains("Alias")), "{gone:?}");
}
