//! Believable rows made on demand: each value is a pure function of seed, type, index and field, so that a
//! million rows cost no memory and any one of them is made without its neighbours.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Field, Kind};
use super::rows::{Place, Store};
pub(super) use crate::emulator::chance::mix;
use crate::emulator::chance::{hash_text, pick, word};
use crate::emulator::vocabulary::{
    DEALS, DEPARTMENTS, FAMILY, FIRM, FORM, GIVEN, SENTENCES, SUBJECTS, TITLES, TOWNS, TRADE, WORDS,
};

/// Which maker a field's seeded values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    Generic,
    Null,
    AutoNumber { before: &'static str, width: usize, first: u64 },
    Company,
    FirstName,
    LastName,
    Email,
    Username,
    Alias,
    Website,
    Title,
    Department,
    Subject,
    Deal,
    FileName,
    ContentType,
    ExternalId,
    Code,
    Probability,
    Photo,
    Created,
    Modified,
    CreatedBy,
    SelfReference,
    Birthdate,
    AddressPart { part: Part, group: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Street,
    City,
    State,
    PostalCode,
    Country,
    Latitude,
    Longitude,
    Accuracy,
}

/// 2025-01-01T00:00:00Z, when the first seeded row was created.
const FIRST_CREATED: i64 = 1_735_689_600_000;
const YEAR_SECONDS: u64 = 31_536_000;

/// The maker for a field, by its type and name.
pub(super) fn recipe(object: &str, field: &Field, compound: &str) -> Recipe {
    let group = hash_text(compound);
    let part = |part| Recipe::AddressPart { part, group };
    let name = field.name.as_str();
    match (object, name) {
        ("Case", "CaseNumber") => return Recipe::AutoNumber { before: "", width: 8, first: 1001 },
        ("Invoice__c", "Name") => return Recipe::AutoNumber { before: "INV-", width: 4, first: 1 },
        ("Opportunity", "Name") => return Recipe::Deal,
        ("Opportunity", "Probability") => return Recipe::Probability,
        ("Attachment", "Name") => return Recipe::FileName,
        ("Attachment", "ContentType") => return Recipe::ContentType,
        ("Account" | "DandBCompany", "Name") | ("Lead", "Company") => return Recipe::Company,
        ("Invoice__c", "External_Id__c") => return Recipe::ExternalId,
        ("Invoice__c", "Code__c") => return Recipe::Code,
        ("User", "Username") => return Recipe::Username,
        ("User", "Alias") => return Recipe::Alias,
        _ => {}
    }
    if field.auto_number {
        return Recipe::AutoNumber { before: "A-", width: 6, first: 1 };
    }
    if !compound.is_empty() && compound != name {
        let ending = |end: &str| name.ends_with(end);
        match field.kind {
            Kind::Double if ending("Latitude") || ending("Latitude__s") => return part(Part::Latitude),
            Kind::Double if ending("Longitude") || ending("Longitude__s") => return part(Part::Longitude),
            Kind::Text if ending("Street") => return part(Part::Street),
            Kind::Text if ending("City") => return part(Part::City),
            Kind::Text if ending("PostalCode") => return part(Part::PostalCode),
            Kind::Text if ending("State") => return part(Part::State),
            Kind::Text if ending("Country") => return part(Part::Country),
            Kind::Picklist if ending("GeocodeAccuracy") => return part(Part::Accuracy),
            _ => {}
        }
    }
    match (field.kind, name) {
        (Kind::Text, "FirstName") => Recipe::FirstName,
        (Kind::Text, "LastName" | "SuppliedName" | "AssistantName") => Recipe::LastName,
        (Kind::Text, "SuppliedCompany" | "Tradestyle" | "CompanyName") => Recipe::Company,
        (Kind::Text, "Title") => Recipe::Title,
        (Kind::Text, "Department" | "Division") => Recipe::Department,
        (Kind::Text, "Subject" | "Subject__c" | "NextStep") => Recipe::Subject,
        (Kind::Text, "PhotoUrl") => Recipe::Photo,
        (Kind::Text, _) if field.wire == "email" => Recipe::Email,
        (Kind::Text, _) if field.wire == "url" => Recipe::Website,
        (Kind::DateTime, "CreatedDate") => Recipe::Created,
        (Kind::DateTime, "LastModifiedDate" | "SystemModstamp") => Recipe::Modified,
        (Kind::Date, "Birthdate") => Recipe::Birthdate,
        (Kind::Reference, "CreatedById" | "LastModifiedById" | "OwnerId") => Recipe::CreatedBy,
        (
            _,
            "MasterRecordId"
            | "ConvertedDate"
            | "ConvertedAccountId"
            | "ConvertedContactId"
            | "LastCURequestDate"
            | "IsDeleted"
            | "IsConverted"
            | "IsArchived"
            | "HasOpportunityLineItem",
        ) => Recipe::Null,
        (Kind::Reference, _) if !field.nillable && field.targets.first().is_some_and(|to| to == object) => {
            Recipe::SelfReference
        }
        _ => Recipe::Generic,
    }
}

/// The seeded value of a stored field.
pub(super) fn cell(store: &Store, at: Place, number: usize) -> Cell {
    let table = store.table(at.table);
    let object = &table.object;
    let Some(field) = object.fields.get(number) else { return Cell::Null };
    let index = at.index;
    let row = mix(store.seed ^ table.salt ^ index.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let hash = mix(row ^ ((number as u64 + 1) << 32));
    if field.nillable && (index + 3 * number as u64).is_multiple_of(9) {
        return Cell::Null;
    }
    match field.recipe {
        Recipe::Null if field.kind == Kind::Boolean => Cell::Boolean(false),
        Recipe::Null => Cell::Null,
        Recipe::AutoNumber { .. } => auto_number(field.recipe, index),
        Recipe::Company => {
            let form = if hash >> 20 & 3 == 0 { "" } else { word(&FORM, hash >> 24) };
            let name = format!("{} {} {form}", word(&FIRM, hash), word(&TRADE, hash >> 8));
            text(field, name.trim_end().to_owned(), hash)
        }
        Recipe::FirstName => text(field, word(&GIVEN, hash).to_owned(), hash),
        Recipe::LastName => text(field, word(&FAMILY, hash).to_owned(), hash),
        Recipe::Email => {
            let given: String = word(&GIVEN, hash).chars().filter(char::is_ascii_alphabetic).collect();
            let mail =
                format!("{given}.{}{index}@{}.example", word(&WORDS, hash >> 9), word(&WORDS, hash >> 17));
            cut(field, if hash >> 40 & 7 == 0 { mail } else { mail.to_lowercase() })
        }
        Recipe::Username if index == 0 => cut(field, format!("integration{index}@emulated.example")),
        Recipe::Username => cut(field, format!("{}{index}@emulated.example", word(&WORDS, hash))),
        Recipe::Alias => cut(field, format!("{}{index}", word(&WORDS, hash).get(..4).unwrap_or("user"))),
        Recipe::Website => {
            let firm = word(&FIRM, hash).to_lowercase();
            let path = if hash >> 44 & 3 == 0 { "/about?x=1&y=%20#top" } else { "" };
            cut(field, format!("https://www.{firm}-{index}.example{path}"))
        }
        Recipe::Title => text(field, word(&TITLES, hash).to_owned(), hash),
        Recipe::Department => text(field, word(&DEPARTMENTS, hash).to_owned(), hash),
        Recipe::Subject => text(field, word(&SUBJECTS, hash).to_owned(), hash),
        Recipe::Deal => text(
            field,
            format!("{} {} {}", word(&FIRM, hash), word(&TRADE, hash >> 8), word(&DEALS, hash >> 16)),
            hash,
        ),
        Recipe::FileName => cut(field, format!("{}-{index}.txt", word(&WORDS, hash))),
        Recipe::ContentType => Cell::text("text/plain"),
        Recipe::ExternalId if index % 17 == 3 => cut(field, format!("EXT/{index:06} 100%")),
        Recipe::ExternalId => cut(field, format!("EXT-{index:06}")),
        Recipe::Code if index.is_multiple_of(2) => cut(field, format!("code-{}", index / 2)),
        Recipe::Code => cut(field, format!("CODE-{}", index / 2)),
        Recipe::Probability => {
            let stage = object.field("StageName").map_or(Cell::Null, |stage| store.cell(at, stage));
            Cell::Number(Decimal::from(probability(stage.as_text().unwrap_or_default())))
        }
        Recipe::Photo => Cell::text(format!("/services/images/photo/{}", store.id(at))),
        Recipe::Created => Cell::Instant(created(table.seeded, index)),
        Recipe::Modified => {
            Cell::Instant(created(table.seeded, index) + (row >> 20) as i64 % 1_728_000 * 1000)
        }
        Recipe::CreatedBy => reference(store, at, number, hash),
        Recipe::SelfReference => Cell::text(store.id(at)),
        Recipe::Birthdate => date(1945, hash, 22_000),
        Recipe::AddressPart { part, group } => address(field, part, row ^ group, index, group),
        Recipe::Generic => generic(store, at, number, hash),
    }
}

pub(super) fn auto_number(recipe: Recipe, index: u64) -> Cell {
    match recipe {
        Recipe::AutoNumber { before, width, first } => {
            Cell::text(format!("{before}{:0width$}", first + index))
        }
        _ => Cell::Null,
    }
}

/// The percentage that belongs to a stage.
pub(super) fn probability(stage: &str) -> u32 {
    const STAGES: [(&str, u32); 10] = [
        ("Prospecting", 10),
        ("Qualification", 10),
        ("Needs Analysis", 20),
        ("Value Proposition", 50),
        ("Id. Decision Makers", 60),
        ("Perception Analysis", 70),
        ("Proposal/Price Quote", 75),
        ("Negotiation/Review", 90),
        ("Closed Won", 100),
        ("Closed Lost", 0),
    ];
    STAGES.iter().find(|(name, _)| *name == stage).map_or(5, |(_, percent)| *percent)
}

/// The forecast category that belongs to a stage.
pub(super) fn forecast(stage: &str) -> &'static str {
    match stage {
        "Closed Won" => "Closed",
        "Closed Lost" => "Omitted",
        "Perception Analysis" | "Proposal/Price Quote" => "BestCase",
        "Negotiation/Review" => "Forecast",
        _ => "Pipeline",
    }
}

/// The only seeded row that can hold this text in this field, when the maker tells.
pub(super) fn holder(field: &Field, wanted: &str) -> Option<Option<u64>> {
    let digits = |text: &str| text.parse::<u64>().ok();
    match field.recipe {
        Recipe::ExternalId => {
            let rest = wanted.get(4..).unwrap_or_default();
            Some(digits(rest.split(' ').next().unwrap_or_default()))
        }
        Recipe::Code => {
            let base = wanted.get(5..).and_then(digits);
            Some(base.map(|base| base * 2 + u64::from(wanted.starts_with('C'))))
        }
        Recipe::Email | Recipe::Username => {
            let name = wanted.split('@').next().unwrap_or_default();
            Some(digits(name.trim_start_matches(|letter: char| !letter.is_ascii_digit())))
        }
        Recipe::AutoNumber { before, first, .. } => {
            Some(wanted.get(before.len()..).and_then(digits).and_then(|number| number.checked_sub(first)))
        }
        // The row's own number stands before a word.
        Recipe::Generic if field.unique && field.kind == Kind::Text && field.length >= 12 => {
            let end = wanted.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(wanted.len());
            Some(wanted.get(..end).and_then(digits))
        }
        _ => None,
    }
}

/// Rows created in groups of four, so that a page can end inside equal times.
fn created(count: u64, index: u64) -> i64 {
    let step = (YEAR_SECONDS / count.max(1)).max(1);
    FIRST_CREATED + ((index / 4 * 4) * step * 1000) as i64
}

fn reference(store: &Store, at: Place, number: usize, hash: u64) -> Cell {
    let targets: Vec<usize> = store
        .targets(at.table, number)
        .iter()
        .copied()
        .filter(|target| store.table(*target).seeded > 0)
        .collect();
    let Some(target) = pick(&targets, hash >> 7).copied() else { return Cell::Null };
    let count = if target == at.table { at.index } else { store.table(target).seeded };
    if count == 0 {
        // A row without an elder of its own type has no parent, unless it must have one.
        let required = store.table(at.table).object.fields.get(number).is_some_and(|field| !field.nillable);
        return if required { Cell::text(store.id(at)) } else { Cell::Null };
    }
    Cell::text(store.id(Place { table: target, index: (hash >> 16) % count }))
}

fn generic(store: &Store, at: Place, number: usize, hash: u64) -> Cell {
    let object = &store.table(at.table).object;
    let Some(field) = object.fields.get(number) else { return Cell::Null };
    match field.kind {
        Kind::Boolean if field.name == "IsActive" => Cell::Boolean(at.index == 0 || !hash.is_multiple_of(5)),
        Kind::Boolean => Cell::Boolean(hash.is_multiple_of(3)),
        Kind::Reference => reference(store, at, number, hash),
        Kind::Picklist => {
            let controller = field.controller.map(|controller| (controller, store.cell(at, controller)));
            let place = controller
                .map(|(controller, value)| controlling_index(object.fields.get(controller), &value));
            let fits = |pick: &&super::describe::Pick| match place {
                None => pick.active || hash.is_multiple_of(11),
                Some(None) => false,
                Some(Some(place)) => pick.valid_for(place) && pick.active,
            };
            let fitting: Vec<_> = field.picks.iter().filter(fits).collect();
            match pick(&fitting, hash >> 13) {
                Some(entry) => Cell::text(entry.value.clone()),
                None if field.nillable || place.is_some() => Cell::Null,
                None => cut(field, word(&WORDS, hash).to_owned()),
            }
        }
        Kind::MultiPicklist => {
            let values: Vec<&str> = field
                .picks
                .iter()
                .enumerate()
                .filter(|(bit, entry)| hash >> bit & 1 == 1 && (entry.active || hash.is_multiple_of(7)))
                .map(|(_, entry)| entry.value.as_str())
                .collect();
            Cell::text(values.join(";"))
        }
        Kind::Int => Cell::Number(Decimal::from(whole(field, hash))),
        Kind::Double => fraction(field, hash),
        Kind::Date if field.name == "CloseDate" => date(2024, hash, 1200),
        Kind::Date if hash.is_multiple_of(41) => Cell::Date(Date::constant(1700, 1, 1)),
        Kind::Date if hash % 41 == 1 => Cell::Date(Date::constant(4000, 12, 31)),
        Kind::Date => date(2023, hash, 1500),
        Kind::DateTime => Cell::Instant(FIRST_CREATED + ((hash >> 8) % (2 * YEAR_SECONDS)) as i64 * 1000),
        Kind::Time => match hash % 13 {
            0 => Cell::Time(0),
            1 => Cell::Time(86_399_000),
            _ => Cell::Time(((hash >> 10) % 96) as u32 * 900_000),
        },
        Kind::Base64 => Cell::text(STANDARD.encode(format!("{}\n", sentences(hash)))),
        Kind::Text => free_text(field, at.index, hash),
        Kind::Id | Kind::Address | Kind::Location => Cell::Null,
    }
}

/// The place of a controlling value among the controller's entries; a flag counts false, true.
pub(super) fn controlling_index(controller: Option<&Field>, value: &Cell) -> Option<usize> {
    match value {
        Cell::Boolean(on) => Some(usize::from(*on)),
        Cell::Text(text) => controller?.picks.iter().position(|pick| pick.value == *text),
        _ => None,
    }
}

fn whole(field: &Field, hash: u64) -> i64 {
    let digits = if field.digits == 0 { 8 } else { field.digits.min(9) };
    let most = 10i64.pow(digits) - 1;
    match hash % 23 {
        0 => 0,
        1 => most,
        2 if field.custom => -most,
        _ => {
            let reach = 10u64.pow(1 + (hash >> 8) as u32 % digits.min(6));
            ((hash >> 16) % reach) as i64
        }
    }
}

fn fraction(field: &Field, hash: u64) -> Cell {
    let scale = field.scale.min(6);
    let number = if field.wire == "percent" {
        let most = 100 * 10i64.pow(scale);
        match hash % 11 {
            0 => 0,
            1 => most,
            _ => ((hash >> 12) % (most as u64 + 1)) as i64,
        }
    } else {
        // Fourteen digits at most, so that every reader's floating point still tells neighbours apart.
        let whole = field.precision.saturating_sub(field.scale).clamp(1, 14 - scale);
        let most = 10i64.pow(whole + scale) - 1;
        match hash % 19 {
            0 => 0,
            1 => most,
            2 if field.custom => -most,
            3 if field.custom => -(((hash >> 16) % 1_000_000) as i64),
            4 => 1,
            _ => {
                let reach = 10u64.pow(((hash >> 8) as u32 % 5 + 2 + scale).min(whole + scale));
                ((hash >> 16) % reach) as i64
            }
        }
    };
    let mut number = Decimal::new(number, scale);
    number = number.normalize();
    if number.scale() == 0 {
        // The wire form of a whole double is 100.0.
        number.rescale(1);
    }
    Cell::Number(number)
}

fn date(first_year: i16, hash: u64, days: u64) -> Cell {
    let start = Date::new(first_year, 1, 1).unwrap_or(Date::constant(2024, 1, 1));
    let after = jiff::Span::new().days(((hash >> 11) % days) as i64);
    Cell::Date(start.checked_add(after).unwrap_or(start))
}

fn sentences(hash: u64) -> String {
    let count = 1 + hash % 4;
    let mut out = String::new();
    for turn in 0..count {
        if turn > 0 {
            out.push(if (hash >> turn) & 1 == 0 { ' ' } else { '\n' });
        }
        out.push_str(word(&SENTENCES, mix(hash ^ turn)));
    }
    out
}

fn free_text(field: &Field, index: u64, hash: u64) -> Cell {
    if field.unique {
        return cut(field, format!("{index:06}{}", word(&WORDS, hash)));
    }
    match field.wire.as_str() {
        "phone" => cut(
            field,
            format!("+{} ({}) 555-{:04}", 1 + hash % 60, 200 + (hash >> 8) % 700, (hash >> 20) % 10_000),
        ),
        "combobox" => match pick(&field.picks, hash) {
            Some(entry) if !hash.is_multiple_of(4) => Cell::text(entry.value.clone()),
            _ => text(field, word(&SUBJECTS, hash >> 5).to_owned(), hash),
        },
        "encryptedstring" => cut(field, format!("{:016}", (hash >> 3) % 10_000_000_000_000_000)),
        "textarea" if field.html => {
            let body = sentences(hash).replace('&', "&amp;").replace('"', "&quot;").replace('\n', "</p><p>");
            cut(field, format!("<p><b>{}</b> {body}</p>", word(&WORDS, hash)))
        }
        "textarea" => text(field, sentences(hash), hash),
        _ if field.length < 12 => cut(field, format!("{:09}", (hash >> 5) % 1_000_000_000)),
        _ => text(
            field,
            format!("{} {} {}", word(&WORDS, hash), word(&FIRM, hash >> 8), (hash >> 16) % 1000),
            hash,
        ),
    }
}

fn cut(field: &Field, value: String) -> Cell {
    if field.length == 0 || value.chars().count() <= field.length {
        return Cell::text(value);
    }
    Cell::text(value.chars().take(field.length).collect::<String>())
}

/// Plain for most rows; in some, everything that breaks careless readers.
fn text(field: &Field, plain: String, hash: u64) -> Cell {
    let value = match (hash >> 33) % 40 {
        0 => format!("{plain} O'Neil's"),
        1 => format!("{plain} \\ {plain}"),
        2 => format!("100%_{plain}"),
        3 => plain.to_uppercase(),
        4 => plain.to_lowercase(),
        5 => format!("{plain}  "),
        6 => format!("{plain} 🚀"),
        7 => format!("\"{plain}\""),
        8 => format!("Ægir {plain} ß"),
        9 if field.length <= 255 => {
            let missing = field.length.saturating_sub(plain.chars().count());
            format!("{plain}{}", "x".repeat(missing))
        }
        _ => plain,
    };
    cut(field, value)
}

fn address(field: &Field, part: Part, row: u64, index: u64, group: u64) -> Cell {
    if field.nillable && (index + group) % 11 == 3 {
        return Cell::Null;
    }
    let hash = mix(row);
    let Some(town) = pick(&TOWNS, hash) else { return Cell::Null };
    let fixed = |value: &'static str| cut_fixed(field, value);
    // Some metres off the town's centre, in millionths of a degree.
    let near = |at: i64, shift: u32| {
        Cell::Number(Decimal::new(at + ((hash >> shift) % 20_001) as i64 - 10_000, 6).normalize())
    };
    match part {
        Part::Street => cut(field, format!("{} {}", 1 + (hash >> 20) % 400, town.street)),
        Part::City => fixed(town.city),
        Part::State => fixed(town.state),
        Part::PostalCode => fixed(town.code),
        Part::Country => fixed(town.country),
        Part::Latitude => near(town.at.0, 24),
        Part::Longitude => near(town.at.1, 40),
        Part::Accuracy => {
            pick(&field.picks, hash >> 30).map_or(Cell::Null, |pick| Cell::text(pick.value.clone()))
        }
    }
}

fn cut_fixed(field: &Field, value: &'static str) -> Cell {
    if field.length == 0 || value.chars().count() <= field.length {
        Cell::text(Cow::Borrowed(value))
    } else {
        cut(field, value.to_owned())
    }
}
