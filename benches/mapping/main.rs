//! How fast a mapping maps: 100,000 records through six rules, one of them a template and one a map of values, beside
//! the same by hand through a `serde_json::Value` for each record. Both take turns in one process, on one thread; then
//! the mapping maps pages on all cores, as runs and `map apply` do.

#![expect(clippy::print_stdout, reason = "what was measured goes to stdout")]

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use recordport::mapping::{Answers, Given, Mapping, Program, Settings, Types, compile};
use recordport::record::capability::{SearchCapability, WriteCapability};
use recordport::record::record_type::{Picklist, PicklistValue, TextForm};
use recordport::record::{Capability, Field, FieldType, KeyFields, RecordType, TypeName};
use serde_json::{Map, Value, json};

const RECORDS: usize = 100_000;
const ROUNDS: usize = 7;
/// Records of a page.
const PAGE: usize = 2000;
/// What the mapping is to reach.
const LEAST_RATIO: f64 = 2.5;
const LEAST_MEGABYTES: f64 = 400.0;

const RATINGS: [(&str, &str); 3] = [("Hot", "1"), ("Warm", "2"), ("Cold", "3")];

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    // `cargo test --all-targets` runs benches too: then once, with few records.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (count, rounds) = if bench { (RECORDS, ROUNDS) } else { (100, 1) };
    let program = program()?;
    let map: HashMap<&str, &str> = RATINGS.into();
    for size in [Size::Usual, Size::Small] {
        let records: Vec<String> = (0..count).map(|number| record(number, size)).collect::<Result<_>>()?;
        for (number, record) in records.iter().take(1000).enumerate() {
            let ours: Value = serde_json::from_str(&mapped(&program, record, number)?)?;
            let theirs: Value = serde_json::from_str(&through_a_value(record, &map)?)?;
            assert_eq!(ours, theirs, "both make the same row");
        }
        measure(&records, rounds, &program, &map)?;
    }
    Ok(())
}

fn measure(records: &[String], rounds: usize, program: &Program, map: &HashMap<&str, &str>) -> Result {
    let (mut ours, mut theirs, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        for page in records.chunks(PAGE) {
            let given: Vec<Given<'_>> =
                (1..).zip(page).map(|(row, json)| Given { json, key: None, row }).collect();
            for mapped in black_box(program.apply_all(&given, &Answers::default())) {
                black_box(mapped?);
            }
        }
        pages.push(began.elapsed());
        ours.push(timed(records, |number, record| mapped(program, record, number))?);
        theirs.push(timed(records, |_, record| through_a_value(record, map))?);
    }
    let (ours, theirs, pages) = (median(ours), median(theirs), median(pages));
    let bytes: usize = records.iter().map(String::len).sum();
    let megabytes = bytes as f64 / 1e6;
    let speed = |time: Duration| megabytes / time.as_secs_f64();
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let (count, each) = (records.len(), bytes / records.len());
    println!("\n### Mapping {count} records of {each} bytes, six rules, medians of {rounds}\n");
    println!("| | ms | MB/s of input |\n|---|---|---|");
    let line = |what: &str, time: Duration| {
        println!("| {what} | {:.1} | {:.0} |", time.as_secs_f64() * 1e3, speed(time));
    };
    line("mapping, one thread", ours);
    line("through serde_json::Value, one thread", theirs);
    line("mapping pages of 2,000, all cores", pages);
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!("\n| | measured | at least | |\n|---|---|---|---|");
    println!(
        "| times as fast, one thread | {ratio:.2} | {LEAST_RATIO} | {} |",
        verdict(ratio >= LEAST_RATIO)
    );
    let reached = speed(pages);
    println!(
        "| MB/s, all cores | {reached:.0} | {LEAST_MEGABYTES} | {} |",
        verdict(reached >= LEAST_MEGABYTES)
    );
    Ok(())
}

fn timed(records: &[String], work: impl Fn(usize, &str) -> Result<String>) -> Result<Duration> {
    let began = Instant::now();
    for (number, record) in records.iter().enumerate() {
        black_box(work(number, black_box(record))?);
    }
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// How long a record is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// As pages of accounts bring them, a kilobyte and some.
    Usual,
    /// Little besides what is mapped.
    Small,
}

/// A record as a page of contacts brings it: the fields of the mapping among others.
fn record(number: usize, size: Size) -> Result<String> {
    let mut text = String::from("{");
    let usual = size == Size::Usual;
    if usual {
        write!(
            text,
            r#""attributes":{{"type":"Contact","url":"/services/data/v60.0/sobjects/Contact/003{number:015}"}},"#
        )?;
    }
    write!(text, r#""Id":"003{number:015}","FirstName":"Ann{number}","LastName":"Okafor-{number}","#)?;
    if usual {
        write!(
            text,
            r#""IsDeleted":false,"MasterRecordId":null,"AccountId":"001{number:015}","Salutation":"Ms.","#
        )?;
        write!(
            text,
            r#""OtherStreet":"{number} Harbour Road\nFloor 4","OtherCity":"Malmö","OtherPostalCode":"20010","#
        )?;
        write!(
            text,
            r#""OtherCountry":"Sweden","OtherLatitude":55.{number:06},"OtherLongitude":13.{number:06},"#
        )?;
    }
    write!(text, r#""Email":"ann{number}@example.com","Phone":"+420 777 {number:06}","Title":"Engineer","#)?;
    let (rating, _) = RATINGS[number % RATINGS.len()];
    write!(text, r#""Rating":"{rating}","Amount":{number}.25,"Active":{},"#, number.is_multiple_of(2))?;
    write!(text, r#""MailingStreet":"Long Street {number}","MailingCity":"Brno","MailingCountry":"CZ","#)?;
    if usual {
        write!(
            text,
            r#""Fax":null,"MobilePhone":"+420 603 {number:06}","LeadSource":"Trade fair","Birthdate":null,"#
        )?;
        write!(
            text,
            r#""OwnerId":"005Dn0000000007IAA","HasOptedOutOfEmail":false,"LastActivityDate":"2026-03-01","#
        )?;
        write!(
            text,
            r#""CreatedById":"005Dn0000000007IAA","LastModifiedDate":"2026-11-02T08:05:10.000+0000","#
        )?;
        write!(
            text,
            r#""LastModifiedById":"005Dn0000000001IAA","SystemModstamp":"2026-11-02T08:05:10.000+0000","#
        )?;
    }
    write!(text, r#""Description":"Met at the fair; asked for a call back in the week after next.","#)?;
    write!(text, r#""CreatedDate":"2026-03-29T00:30:00.000Z","Department":null}}"#)?;
    Ok(text)
}

fn mapped(program: &Program, record: &str, number: usize) -> Result<String> {
    Ok(program.apply(Given { json: record, key: None, row: number as u64 + 1 })?.json)
}

fn through_a_value(record: &str, map: &HashMap<&str, &str>) -> Result<String> {
    let record: Value = serde_json::from_str(record)?;
    let text = |name: &str| record[name].as_str().ok_or("no text");
    let mut row = Map::new();
    for (to, from) in [("lastname", "LastName"), ("email", "Email"), ("phone", "Phone"), ("amount", "Amount")]
    {
        if let Some(value) = record.get(from) {
            row.insert(to.to_owned(), value.clone());
        }
    }
    row.insert("fullname".to_owned(), format!("{} {}", text("FirstName")?, text("LastName")?).into());
    row.insert("rating".to_owned(), (*map.get(text("Rating")?).ok_or("no such value")?).into());
    Ok(Value::Object(row).to_string())
}

fn program() -> Result<Program> {
    let ratings: Map<String, Value> =
        RATINGS.iter().map(|(from, to)| ((*from).to_owned(), (*to).into())).collect();
    let document = json!({
        "recordport": "mapping/1",
        "name": "bench",
        "source": {"connection": "a", "type": "Contact"},
        "target": {"connection": "b", "type": "contact", "operation": "create"},
        "fields": [
            {"to": "lastname", "from": "LastName"},
            {"to": "email", "from": "Email"},
            {"to": "phone", "from": "Phone"},
            {"to": "amount", "from": "Amount"},
            {"to": "fullname", "template": "{FirstName} {LastName}"},
            {"to": "rating", "from": "Rating", "steps": [{"op": "picklist", "map": ratings}]},
        ],
    });
    let mapping = Mapping::parse(&document.to_string()).map_err(|problems| format!("{problems:?}"))?;
    let text = || FieldType::Text { max_length: Some(255), form: TextForm::Plain };
    let choices = |values: [&str; 3]| {
        let choice = |value: &str| PicklistValue {
            value: value.into(),
            label: value.into(),
            active: true,
            default: false,
            valid_for: None,
        };
        let values = values.iter().map(|value| choice(value)).collect();
        FieldType::Picklist(Picklist { values, restricted: true, integer: false })
    };
    let amount = || FieldType::Decimal { precision: Some(18), scale: Some(2) };
    let source = record_type(
        "Contact",
        vec![
            Field::new("FirstName", text()),
            Field::new("LastName", text()),
            Field::new("Email", text()),
            Field::new("Phone", text()),
            Field::new("Amount", amount()),
            Field::new("Rating", choices(RATINGS.map(|(from, _)| from))),
        ],
    );
    let target = record_type(
        "contact",
        vec![
            Field::new("lastname", text()),
            Field::new("email", text()),
            Field::new("phone", text()),
            Field::new("fullname", text()),
            Field::new("amount", amount()),
            Field::new("rating", choices(RATINGS.map(|(_, to)| to))),
        ],
    );
    let settings = Settings { now: Timestamp::UNIX_EPOCH, timezone: TimeZone::UTC, params: Vec::new() };
    let types = Types { source: &source, paths: &source, target: &target };
    let compiled = compile(&mapping, types, &settings);
    compiled.program.ok_or_else(|| format!("{:?}", compiled.problems).into())
}

fn record_type(name: &str, fields: Vec<Field>) -> RecordType {
    let id = Field::new("Id", FieldType::Text { max_length: Some(18), form: TextForm::Id });
    let mut all = vec![id];
    all.extend(fields.into_iter().map(|field| Field { createable: true, updatable: true, ..field }));
    let search = SearchCapability {
        page_max: 2000,
        page_min: 1,
        page_default: 2000,
        order: true,
        count: true,
        include_deleted: false,
        native: None,
    };
    RecordType {
        name: TypeName::new(name),
        provider: "sample".into(),
        label: name.into(),
        label_plural: name.into(),
        description: None,
        custom: false,
        fields: all,
        key: KeyFields::single("Id"),
        alternate_keys: Vec::new(),
        relationships: Vec::new(),
        capability: Capability {
            search: Some(search),
            create: Some(WriteCapability::batches_of(200)),
            ..Capability::default()
        },
    }
}
