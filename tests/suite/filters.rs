//! The judge of filters: generated conditions over an emulated service's rows find what SQLite finds in the
//! same rows with the same conditions, evaluated here alone and through the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use recordport::emulator::EmulatorConfig;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{At, Doer};
use recordport::record::query::{Direction, FieldSource, OrderBy};
use recordport::record::record_type::TextForm;
use recordport::record::residual::Residual;
use recordport::record::schema::operators;
use recordport::record::value::ValueKind;
use recordport::record::{Field, FieldPath, FieldType, QueryDraft, rules, where_text};
use rusqlite::Connection;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use unicode_casefold::{Locale, UnicodeCaseFold as _, Variant};

use super::support::wired_org::Connected as Org;

/// Relationship, reference field as stored, and type of a parent.
type Parent = (&'static str, &'static str, &'static str);

/// What is asked of one service.
struct Ground {
    service: &'static str,
    /// Types with the parent whose fields are asked for, too.
    types: &'static [(&'static str, Option<Parent>)],
    /// The parent's fields that are asked for: one of each kind.
    parent_fields: &'static [&'static str],
    /// What stands between the values of a list as stored; nothing where records tell what is stored.
    between: Option<char>,
    /// How many filters are tried.
    filters: usize,
    /// The operators that the service helps with, where those are not all.
    helps: Option<&'static [&'static str]>,
    /// Of filters that the service cannot help with, so that each one asks for the same rows, every so many goes
    /// through the provider as well.
    sample: usize,
}

const SALESFORCE: Ground = Ground {
    service: "salesforce",
    types: &[
        ("Account", None),
        ("Contact", Some(("Account", "AccountId", "Account"))),
        ("Invoice__c", Some(("Account__r", "Account__c", "Account"))),
    ],
    parent_fields: &["Name", "Type", "AnnualRevenue", "NumberOfEmployees", "CreatedDate", "IsPartner"],
    between: Some(';'),
    filters: 1_000,
    helps: None,
    sample: 1,
};

const DYNAMICS: Ground = Ground {
    service: "dynamics",
    types: &[
        ("account", None),
        ("contact", Some(("parentcustomerid_account", "_parentcustomerid_value", "account"))),
        ("new_invoice", Some(("new_Account", "_new_account_value", "account"))),
    ],
    parent_fields: &["name", "customertypecode", "revenue", "numberofemployees", "createdon", "creditonhold"],
    between: Some(','),
    filters: 1_000,
    helps: None,
    sample: 1,
};

const JIRA: Ground = Ground {
    service: "jira",
    types: &[("issue", None), ("issue:OPS/Bug", None)],
    parent_fields: &[],
    between: None,
    filters: 1_000,
    helps: None,
    sample: 1,
};

/// Dropbox lists folders and looks entries up; all else is evaluated here.
const DROPBOX: Ground = Ground {
    service: "dropbox",
    types: &[("file", None), ("folder", None), ("file:/Müller & Söhne", None)],
    parent_fields: &[],
    between: None,
    filters: 500,
    helps: Some(&["=", "in"]),
    sample: 4,
};

type Row = BTreeMap<String, Box<RawValue>>;

/// A small generator of our own (SplitMix64), so that the same filters are made everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One field as the judge knows it.
struct Column {
    path: FieldPath,
    field: Field,
    kind: ValueKind,
    multi: bool,
    /// Values that occur, as the user would write them.
    seen: Vec<String>,
}

/// The rows of one type, in SQLite and as records.
struct Table {
    name: &'static str,
    /// The key's field.
    id: String,
    columns: Vec<Column>,
    sqlite: Connection,
    keys: Vec<String>,
    records: Vec<String>,
}

struct Fields<'a>(&'a Table);

impl FieldSource for Fields<'_> {
    fn field(&self, path: &FieldPath) -> Option<&Field> {
        self.0.columns.iter().find(|column| column.path == *path).map(|column| &column.field)
    }

    fn known_paths(&self) -> Vec<String> {
        self.0.columns.iter().map(|column| column.path.to_string()).collect()
    }
}

fn rows(state: &str) -> Vec<Row> {
    serde_json::from_str(state).unwrap_or_else(|error| panic!("{error}: {}", &state[..200.min(state.len())]))
}

/// The rows of a type as its records tell them, where what is stored has another form.
async fn read(org: &Org, name: &str) -> Vec<Row> {
    let records = org.open(name).await;
    let prepared = records.prepare(&org.cx, &QueryDraft::default(), &TimeZone::UTC).await.expect("plans");
    let mut search = Search::start(records, org.cx.clone(), &prepared);
    let mut out = Vec::new();
    while let Some(page) = search.next_page().await.expect("searches") {
        for record in page.records {
            out.push(serde_json::from_str(record.expect("is read").text()).expect("an object"));
        }
    }
    out
}

fn text_of(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw?.get();
    match raw {
        "null" => None,
        text if text.starts_with('"') => Some(serde_json::from_str(text).unwrap()),
        other => Some(other.to_owned()),
    }
}

fn fold(text: &str) -> String {
    text.case_fold_with(Variant::Simple, Locale::NonTurkic).collect()
}

/// A number as text that sorts as the number does: exact, without any float.
fn sortable_number(text: &str) -> String {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap()),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut number: i128 = format!("{whole}{fraction}").parse().unwrap();
    let places = 16 + exponent - i32::try_from(fraction.len()).unwrap();
    if places >= 0 {
        number *= 10_i128.pow(u32::try_from(places).unwrap());
    } else {
        let cut = 10_i128.pow(u32::try_from(-places).unwrap());
        assert_eq!(number % cut, 0, "{text} has more decimals than the judge keeps");
        number /= cut;
    }
    let middle = 10_i128.pow(37);
    format!("{:038}", if negative { middle - number } else { middle + number })
}

fn instant(text: &str) -> Timestamp {
    match text.parse::<civil::Date>() {
        Ok(date) if text.len() == 10 => date.to_zoned(TimeZone::UTC).unwrap().timestamp(),
        _ => text.parse().unwrap_or_else(|error| panic!("{text}: {error}")),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value as a SQLite literal of a column of this kind.
fn literal(kind: ValueKind, text: &str) -> String {
    match kind {
        ValueKind::Text => quoted(text),
        ValueKind::Boolean => if text == "true" { "1" } else { "0" }.to_owned(),
        ValueKind::Number => quoted(&sortable_number(text)),
        ValueKind::Date => quoted(text),
        ValueKind::Instant => instant(text).as_microsecond().to_string(),
        ValueKind::Time => {
            let time: civil::Time = text.trim_end_matches('Z').parse().unwrap();
            time.duration_since(civil::Time::midnight()).as_micros().to_string()
        }
    }
}

/// A stored value as a user would write it.
fn written(kind: ValueKind, text: String) -> String {
    match kind {
        ValueKind::Instant => text.replace("+0000", "Z"),
        _ => text,
    }
}

impl Table {
    async fn load(org: &Org, ground: &Ground, name: &'static str, parent: Option<Parent>) -> Self {
        let own = org.open(name).await;
        let id = own.record_type().key.0[0].clone();
        let stored =
            if ground.between.is_some() { rows(&org.state(name).await) } else { read(org, name).await };
        // Where the service filters next to nothing, everything is asked for that rows tell.
        let told = |field: &Field| {
            let holds = |row: &Row| text_of(row.get(&field.name).map(AsRef::as_ref)).is_some();
            ground.helps.is_some() && stored.iter().any(holds)
        };
        let mut fields: Vec<(FieldPath, Field)> = own
            .record_type()
            .fields
            .iter()
            .filter(|field| field.filterable || told(field))
            .map(|field| (FieldPath::of([field.name.as_str()]), field.clone()))
            .collect();
        let mut parents: BTreeMap<String, Row> = BTreeMap::new();
        if let Some((relationship, _, target)) = parent {
            let target_type = org.open(target).await;
            for field in ground.parent_fields {
                let field = target_type.record_type().field(field).expect("a parent's field");
                fields.push((FieldPath::of([relationship, field.name.as_str()]), field.clone()));
            }
            let id = &target_type.record_type().key.0[0];
            for row in rows(&org.state(target).await) {
                parents.insert(text_of(row.get(id).map(AsRef::as_ref)).unwrap(), row);
            }
        }
        let mut columns: Vec<Column> = fields
            .into_iter()
            .filter(|(_, field)| !operators(field).is_empty())
            .map(|(path, field)| Column {
                kind: field.field_type.value_kind().unwrap(),
                multi: field.field_type.is_multi_value(),
                path,
                field,
                seen: Vec::new(),
            })
            .collect();
        let sqlite = Connection::open_in_memory().unwrap();
        sqlite.execute_batch("PRAGMA case_sensitive_like = ON").unwrap();
        let names: Vec<String> = columns
            .iter()
            .flat_map(|column| [format!("\"{}\"", column.path), format!("\"{}~fold\"", column.path)])
            .collect();
        sqlite.execute_batch(&format!("CREATE TABLE t (\"@key\" TEXT, {})", names.join(", "))).unwrap();
        let mut keys = Vec::new();
        let mut records = Vec::new();
        sqlite.execute_batch("BEGIN").unwrap();
        for row in &stored {
            let key = text_of(row.get(&id).map(AsRef::as_ref)).unwrap();
            let mut values = vec![quoted(&key)];
            let mut members: Vec<String> = Vec::new();
            let mut nested: Vec<String> = Vec::new();
            let above = parent.and_then(|(_, reference, _)| {
                text_of(row.get(reference).map(AsRef::as_ref)).and_then(|id| parents.get(&id))
            });
            for column in &mut columns {
                let holder = if column.path.is_single() { Some(row) } else { above };
                let wire = if ground.between.is_some() { column.field.wire() } else { column.path.leaf() };
                let raw = holder.and_then(|row| row.get(wire)).map(AsRef::as_ref);
                let text = text_of(raw).map(|text| written(column.kind, text));
                let json = match (&text, raw) {
                    _ if column.multi => {
                        let items: Vec<String> = match ground.between {
                            Some(between) => {
                                text.iter().flat_map(|text| text.split(between)).map(str::to_owned).collect()
                            }
                            None => {
                                let list: Vec<Box<RawValue>> = text
                                    .as_deref()
                                    .map(|text| serde_json::from_str(text).unwrap())
                                    .unwrap_or_default();
                                list.iter().filter_map(|item| text_of(Some(item))).collect()
                            }
                        };
                        column.seen.extend(items.iter().cloned());
                        let numbers = column.kind == ValueKind::Number;
                        let judged: Vec<String> = items
                            .iter()
                            .map(|item| if numbers { sortable_number(item) } else { item.clone() })
                            .collect();
                        values.push(quoted(&json!(judged).to_string()));
                        let folded: Vec<String> = judged.iter().map(|item| fold(item)).collect();
                        values.push(quoted(&json!(folded).to_string()));
                        if numbers { format!("[{}]", items.join(",")) } else { json!(items).to_string() }
                    }
                    (Some(text), Some(raw)) => {
                        values.push(literal(column.kind, text));
                        values.push(if column.kind == ValueKind::Text {
                            quoted(&fold(text))
                        } else {
                            "NULL".into()
                        });
                        column.seen.push(text.clone());
                        match column.kind {
                            ValueKind::Number | ValueKind::Boolean => raw.get().to_owned(),
                            _ => json!(text).to_string(),
                        }
                    }
                    _ => {
                        values.extend(["NULL".to_owned(), "NULL".to_owned()]);
                        "null".to_owned()
                    }
                };
                let member = format!("{}:{json}", json!(column.path.leaf()));
                if column.path.is_single() { members.push(member) } else { nested.push(member) }
            }
            if let Some((relationship, ..)) = parent {
                let inside =
                    if above.is_some() { format!("{{{}}}", nested.join(",")) } else { "null".to_owned() };
                members.push(format!("{}:{inside}", json!(relationship)));
            }
            sqlite.execute_batch(&format!("INSERT INTO t VALUES ({})", values.join(", "))).unwrap();
            keys.push(key);
            records.push(format!("{{{}}}", members.join(",")));
        }
        sqlite.execute_batch("COMMIT").unwrap();
        for column in &mut columns {
            column.seen.sort();
            column.seen.dedup();
        }
        Self { name, id, columns, sqlite, keys, records }
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let mut statement = self.sqlite.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        found.map(Result::unwrap).collect()
    }
}

/// A generated condition.
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

struct Leaf {
    column: usize,
    operator: &'static str,
    values: Vec<String>,
    other: Option<usize>,
    case_sensitive: bool,
}

const AS_LIKE: &[&str] =
    &["contains", "doesNotContain", "beginsWith", "doesNotBeginWith", "endsWith", "doesNotEndWith"];

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        if matches!(letter, '%' | '_' | '!') {
            out.push('!');
        }
        out.push(letter);
        out
    })
}

/// The LIKE pattern of an operator, with `!` as its escape. `like` has one already.
fn pattern(operator: &str, text: &str) -> String {
    match operator {
        "contains" | "doesNotContain" => format!("%{}%", escaped(text)),
        "beginsWith" | "doesNotBeginWith" => format!("{}%", escaped(text)),
        "endsWith" | "doesNotEndWith" => format!("%{}", escaped(text)),
        _ => text.to_owned(),
    }
}

fn is_negative(operator: &str) -> bool {
    operator.starts_with("doesNot") || operator.starts_with("not")
}

impl Leaf {
    fn to_sqlite(&self, table: &Table) -> String {
        let column = &table.columns[self.column];
        let folded = !self.case_sensitive && column.kind == ValueKind::Text;
        let name = |column: &Column| format!("\"{}{}\"", column.path, if folded { "~fold" } else { "" });
        let value = |text: &str| literal(column.kind, &if folded { fold(text) } else { text.to_owned() });
        let here = name(column);
        let values: Vec<String> = self.values.iter().map(|text| value(text)).collect();
        if let Some(other) = self.other {
            return format!("{here} {} {}", self.operator, name(&table.columns[other]));
        }
        if column.multi {
            let holds =
                |value: &String| format!("EXISTS (SELECT 1 FROM json_each({here}) WHERE value = {value})");
            let distinct: BTreeSet<&String> = values.iter().collect();
            let same = || {
                let all: Vec<String> = distinct.iter().map(|value| holds(value)).collect();
                format!("(json_array_length({here}) = {} AND {})", distinct.len(), all.join(" AND "))
            };
            return match self.operator {
                "null" => format!("json_array_length({here}) = 0"),
                "notNull" => format!("json_array_length({here}) > 0"),
                "contains" => holds(&values[0]),
                "doesNotContain" => format!("NOT {}", holds(&values[0])),
                "=" => same(),
                "!=" => format!("NOT {}", same()),
                other => panic!("{other}"),
            };
        }
        let not = if is_negative(self.operator) { "NOT " } else { "" };
        match self.operator {
            "null" => format!("{here} IS NULL"),
            "notNull" => format!("{here} IS NOT NULL"),
            "in" | "notIn" => format!("{here} {not}IN ({})", values.join(", ")),
            "between" | "notBetween" => format!("{here} {not}BETWEEN {} AND {}", values[0], values[1]),
            like if AS_LIKE.contains(&like) || like == "like" || like == "notLike" => {
                let text = if folded { fold(&self.values[0]) } else { self.values[0].clone() };
                format!("{here} {not}LIKE {} ESCAPE '!'", quoted(&pattern(like, &text)))
            }
            comparison => format!("{here} {comparison} {}", values[0]),
        }
    }

    /// As WHERE text; `None` when SQL has no words for it.
    fn to_where(&self, table: &Table) -> Option<String> {
        let column = &table.columns[self.column];
        let here =
            column.path.segments().iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(".");
        let value = |text: &String| match column.kind {
            ValueKind::Number | ValueKind::Boolean => text.clone(),
            _ => quoted(text),
        };
        let is_like = AS_LIKE.contains(&self.operator) || self.operator.ends_with("ike");
        if !self.case_sensitive && !is_like {
            return None;
        }
        if let Some(other) = self.other {
            return Some(format!("{here} {} {}", self.operator, table.columns[other].path));
        }
        if column.multi && (is_like || self.values.len() > 1) {
            return None;
        }
        let values: Vec<String> = self.values.iter().map(value).collect();
        let not = if is_negative(self.operator) { "NOT " } else { "" };
        Some(match self.operator {
            "null" => format!("{here} IS NULL"),
            "notNull" => format!("{here} IS NOT NULL"),
            "in" | "notIn" => format!("{here} {not}IN ({})", values.join(", ")),
            "between" | "notBetween" => format!("{here} {not}BETWEEN {} AND {}", values[0], values[1]),
            like if is_like => {
                let word = if self.case_sensitive { "LIKE" } else { "ILIKE" };
                format!("{here} {not}{word} {} ESCAPE '!'", quoted(&pattern(like, &self.values[0])))
            }
            comparison => format!("{here} {comparison} {}", values[0]),
        })
    }

    /// As a rule; `None` for a pattern, which rules do not have.
    fn to_rule(&self, table: &Table) -> Option<Json> {
        if self.operator.ends_with("ike") {
            return None;
        }
        let column = &table.columns[self.column];
        let several = matches!(self.operator, "in" | "notIn" | "between" | "notBetween")
            || (column.multi && matches!(self.operator, "=" | "!="));
        let mut rule = json!({"id": "r", "field": column.path.to_string(), "operator": self.operator});
        rule["value"] = match (self.other, self.values.as_slice()) {
            (Some(other), _) => {
                rule["valueSource"] = "field".into();
                table.columns[other].path.to_string().into()
            }
            (None, []) => Json::Null,
            (None, [single]) if !several => json!(single),
            (None, values) => json!(values),
        };
        if !self.case_sensitive {
            rule["caseSensitive"] = false.into();
        }
        Some(rule)
    }
}

impl Node {
    fn join(parts: Option<Vec<String>>, word: &str) -> Option<String> {
        parts.map(|parts| format!("({})", parts.join(word)))
    }

    fn print(&self, leaf: &impl Fn(&Leaf) -> Option<String>) -> Option<String> {
        let all = |parts: &[Self]| parts.iter().map(|part| part.print(leaf)).collect::<Option<Vec<_>>>();
        match self {
            Self::All(parts) => Self::join(all(parts), " AND "),
            Self::Any(parts) => Self::join(all(parts), " OR "),
            Self::Not(inner) => Some(format!("(NOT {})", inner.print(leaf)?)),
            Self::Leaf(condition) => leaf(condition),
        }
    }

    fn to_group(&self, table: &Table) -> Option<Json> {
        let group = |word: &str, not: bool, parts: &[&Self]| {
            let rules: Option<Vec<Json>> = parts.iter().map(|part| part.to_group(table)).collect();
            Some(json!({"combinator": word, "not": not, "rules": rules?}))
        };
        match self {
            Self::All(parts) => group("and", false, &parts.iter().collect::<Vec<_>>()),
            Self::Any(parts) => group("or", false, &parts.iter().collect::<Vec<_>>()),
            Self::Not(inner) => group("and", true, &[inner]),
            Self::Leaf(leaf) => leaf.to_rule(table),
        }
    }

    /// Its conditions in order, with the operator that is left when NOT is taken inside.
    fn leaves<'a>(&'a self, negated: bool, out: &mut Vec<(&'a Leaf, &'static str)>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.leaves(negated, out)),
            Self::Not(inner) => inner.leaves(!negated, out),
            Self::Leaf(leaf) => {
                out.push((leaf, if negated { opposite(leaf.operator) } else { leaf.operator }))
            }
        }
    }
}

fn opposite(operator: &'static str) -> &'static str {
    const PAIRS: &[(&str, &str)] = &[
        ("=", "!="),
        ("<", ">="),
        (">", "<="),
        ("contains", "doesNotContain"),
        ("beginsWith", "doesNotBeginWith"),
        ("endsWith", "doesNotEndWith"),
        ("null", "notNull"),
        ("in", "notIn"),
        ("between", "notBetween"),
        ("like", "notLike"),
    ];
    PAIRS
        .iter()
        .find_map(|(one, other)| match operator {
            _ if operator == *one => Some(*other),
            _ if operator == *other => Some(*one),
            _ => None,
        })
        .unwrap()
}

/// A value for a column: one that occurs, a neighbour of it, or one that is hard to get right.
fn value(dice: &mut Dice, column: &Column) -> String {
    let seen = (!column.seen.is_empty()).then(|| dice.pick(&column.seen).clone());
    match column.kind {
        ValueKind::Text => {
            let seen = seen.unwrap_or_else(|| "Nothing".to_owned());
            let hard = [
                "",
                " ",
                "'",
                "O'Brien",
                "\"quoted\"",
                "\\",
                "back\\slash",
                "\\'",
                "%",
                "100%",
                "_",
                "a_b",
                "!",
                "🙂",
                "🙂🙃",
                "É",
                "ß",
                "\u{e9}",
                "e\u{301}",
                "İ",
                "zzzz",
                "null",
                "a,b",
                ";",
                "a;b",
                "two\nlines",
                "\t",
            ];
            let cut = |keep: usize| seen.chars().take(keep).collect::<String>();
            let length = seen.chars().count();
            match dice.below(12) {
                0 => format!("{seen} "),
                1 => format!(" {seen}"),
                2 => seen.to_uppercase(),
                3 => seen.to_lowercase(),
                4 => cut(length.saturating_sub(1)),
                5 => format!("{seen}x"),
                6 => cut(1 + dice.below(4)),
                7 => seen.chars().skip(length / 2).collect(),
                8 => (*dice.pick(&hard)).to_owned(),
                _ => seen,
            }
        }
        ValueKind::Boolean => if dice.percent(50) { "true" } else { "false" }.to_owned(),
        ValueKind::Number => {
            let seen = seen.unwrap_or_else(|| "10".to_owned());
            let whole: i128 = seen.split('.').next().unwrap().parse().unwrap_or(0);
            match dice.below(12) {
                0 => format!("{seen}{}1", if seen.contains('.') { "" } else { "." }),
                1 => (whole + 1).to_string(),
                2 => (whole - 1).to_string(),
                3 => "0".to_owned(),
                4 => "-0.01".to_owned(),
                5 => (*dice.pick(&[
                    "999999999999999999",
                    "-999999999999999999",
                    "9999999999999999.99",
                    "2147483647",
                    "2147483648",
                    "-2147483649",
                    "9007199254740993",
                    "0.000001",
                    "1e3",
                    "25e-1",
                ]))
                .to_owned(),
                6 => format!("{seen}{}0", if seen.contains('.') { "" } else { "." }),
                _ => seen,
            }
        }
        ValueKind::Date => {
            let date: civil::Date = seen.as_deref().unwrap_or("2025-06-30").parse().unwrap();
            match dice.below(8) {
                0 => date.tomorrow().unwrap_or(date).to_string(),
                1 => date.yesterday().unwrap_or(date).to_string(),
                2 => (*dice.pick(&["1700-01-01", "4000-12-31", "2024-02-29", "0001-01-01", "9999-12-31"]))
                    .to_owned(),
                _ => date.to_string(),
            }
        }
        ValueKind::Instant => {
            let moment = instant(seen.as_deref().unwrap_or("2025-06-30T12:00:00Z"));
            let moved = |by: SignedDuration| moment.checked_add(by).unwrap_or(moment).to_string();
            match dice.below(10) {
                0 => moved(SignedDuration::from_secs(1)),
                1 => moved(SignedDuration::from_millis(-1)),
                2 => moved(SignedDuration::from_micros(1)),
                3 => moment.to_zoned(TimeZone::UTC).date().to_string(),
                4 => {
                    let zone = jiff::tz::Offset::constant(-5);
                    format!("{}-05:00", zone.to_datetime(moment))
                }
                5 => (*dice.pick(&[
                    "1700-01-01T00:00:00Z",
                    "4000-12-31T23:59:59Z",
                    "1969-12-31T23:59:59.999Z",
                ]))
                .to_owned(),
                _ => moment.to_string(),
            }
        }
        ValueKind::Time => {
            let seen = seen.unwrap_or_else(|| "10:00:00.000Z".to_owned());
            match dice.below(6) {
                0 => "00:00:00".to_owned(),
                1 => "23:59:59.999".to_owned(),
                2 => seen.trim_end_matches('Z').to_owned(),
                _ => seen,
            }
        }
    }
}

/// A LIKE pattern made of a value: pieces of it become wildcards, the rest is escaped or not.
fn wild(dice: &mut Dice, text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match dice.below(10) {
            0 => out.push('_'),
            1 => out.push('%'),
            _ => out.push_str(&escaped(&letter.to_string())),
        }
    }
    match dice.below(3) {
        0 => format!("{out}%"),
        1 => format!("%{out}"),
        _ => out,
    }
}

/// Draws conditions so that each field meets each of its operators before any pair comes again.
struct Deck {
    pairs: Vec<(usize, &'static str)>,
    next: usize,
}

impl Deck {
    fn shuffled(table: &Table, dice: &mut Dice) -> Self {
        let mut pairs: Vec<(usize, &'static str)> = table
            .columns
            .iter()
            .enumerate()
            .flat_map(|(index, column)| {
                operators(&column.field).iter().map(move |operator| (index, *operator))
            })
            .collect();
        for at in (1..pairs.len()).rev() {
            pairs.swap(at, dice.below(at + 1));
        }
        Self { pairs, next: 0 }
    }

    fn leaf(&mut self, table: &Table, dice: &mut Dice, patterns: bool) -> Leaf {
        let (column, operator) = self.pairs[self.next % self.pairs.len()];
        self.next += 1;
        let about = &table.columns[column];
        let text = about.kind == ValueKind::Text;
        if patterns && about.multi && AS_LIKE.contains(&operator) {
            return self.leaf(table, dice, patterns);
        }
        // SQL has words for ignoring case in patterns only.
        let case_sensitive = !text || (patterns && !AS_LIKE.contains(&operator)) || !dice.percent(30);
        let mut leaf = Leaf { column, operator, values: Vec::new(), other: None, case_sensitive };
        let comparison = matches!(operator, "=" | "!=" | "<" | "<=" | ">" | ">=");
        if comparison && !about.multi && dice.percent(8) {
            let peers: Vec<usize> = (0..table.columns.len())
                .filter(|index| table.columns[*index].kind == about.kind && !table.columns[*index].multi)
                .collect();
            leaf.other = Some(*dice.pick(&peers));
            return leaf;
        }
        let count = match operator {
            "null" | "notNull" => 0,
            "in" | "notIn" => 1 + dice.below(4),
            "between" | "notBetween" => 2,
            "=" | "!=" if about.multi && !patterns => 1 + dice.below(3),
            _ => 1,
        };
        leaf.values = (0..count).map(|_| value(dice, about)).collect();
        if operator.ends_with("etween") && dice.percent(80) {
            leaf.values.sort_by_key(|text| match about.kind {
                ValueKind::Instant => {
                    format!("{:030}", instant(text).as_microsecond() + 100_000_000_000_000_000)
                }
                ValueKind::Number => sortable_number(text),
                _ => text.clone(),
            });
        }
        if patterns && !about.multi && AS_LIKE.contains(&operator) && dice.percent(60) {
            leaf.operator = if is_negative(operator) { "notLike" } else { "like" };
            leaf.values = vec![wild(dice, &leaf.values[0])];
        }
        leaf
    }

    fn node(&mut self, table: &Table, dice: &mut Dice, depth: usize, patterns: bool) -> Node {
        if depth == 0 || dice.percent(25) {
            let leaf = Node::Leaf(self.leaf(table, dice, patterns));
            return if dice.percent(15) { Node::Not(Box::new(leaf)) } else { leaf };
        }
        let parts = (0..1 + dice.below(3)).map(|_| self.node(table, dice, depth - 1, patterns)).collect();
        let joined = if dice.percent(50) { Node::All(parts) } else { Node::Any(parts) };
        if dice.percent(20) { Node::Not(Box::new(joined)) } else { joined }
    }
}

/// A filter with what is asked besides.
struct Case {
    filter: Node,
    text: String,
    draft: QueryDraft,
}

fn case(table: &Table, deck: &mut Deck, dice: &mut Dice, number: usize) -> Case {
    let patterns = number % 2 == 1;
    let depth = number % 5;
    let filter = deck.node(table, dice, depth, patterns);
    let mut draft = QueryDraft { select: vec![FieldPath::parse(&table.id)], ..QueryDraft::default() };
    let where_form = filter.print(&|leaf| leaf.to_where(table));
    let text = match (where_form, filter.to_group(table)) {
        (Some(text), _) if patterns => {
            draft.where_text =
                Some(where_text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}")));
            text
        }
        (_, Some(group)) => {
            let group = match &filter {
                Node::Leaf(_) => json!({"combinator": "and", "rules": [group]}),
                _ => group,
            };
            let rules = rules::parse(&group).unwrap_or_else(|error| panic!("{error}\n{group}"));
            draft.filter = Some(rules.filter);
            group.to_string()
        }
        _ => panic!("drawn for neither form"),
    };
    Case { filter, text, draft }
}

/// Adds an order and a limit to some; gives the SQL for SQLite.
fn embellish(table: &Table, dice: &mut Dice, draft: &mut QueryDraft) -> String {
    let mut order = Vec::new();
    if dice.percent(50) {
        for _ in 0..=dice.below(2) {
            let column = &table.columns[dice.below(table.columns.len())];
            if column.multi || draft.order_by.iter().any(|key| key.field == column.path) {
                continue;
            }
            let direction = if dice.percent(50) { Direction::Asc } else { Direction::Desc };
            draft.order_by.push(OrderBy { field: column.path.clone(), direction });
            order.push(match direction {
                Direction::Asc => format!("\"{}\" ASC NULLS FIRST", column.path),
                Direction::Desc => format!("\"{}\" DESC NULLS LAST", column.path),
            });
        }
    }
    if !draft.order_by.is_empty() || dice.percent(40) {
        draft.limit = Some(u64::try_from(1 + dice.below(60)).unwrap());
    }
    order.push("\"@key\"".to_owned());
    order.join(", ")
}

#[derive(Default)]
struct Tally {
    asked: usize,
    pushed: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_filters_find_what_sqlite_finds() {
    judge(&SALESFORCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_filters_find_at_dynamics_what_sqlite_finds() {
    judge(&DYNAMICS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_filters_find_at_jira_what_sqlite_finds() {
    judge(&JIRA).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_at_dropbox_what_sqlite_finds() {
    judge(&DROPBOX).await;
}

/// A few files in some folders.
async fn fill(org: &Org) {
    let files = org.open("file").await;
    let folders = ["/Müller & Söhne", "/Müller & Söhne/2026", "/Reports", "/Reports/O'Brien", "/日本語", ""];
    let names = ["plan.txt", "Plan b.TXT", "Größe.pdf", "100%_sure.md", "🚀", "no extension", "a.b.c"];
    let row = |place: usize| {
        let (folder, name) = (folders[place % folders.len()], names[place % names.len()]);
        let fields = [
            ("path", json!(format!("{folder}/{place} {name}"))),
            ("content", json!("QUJD".repeat(place % 9))),
            ("client_modified", json!(format!("20{:02}-02-03T04:05:06Z", 10 + place % 13))),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), crate::behaviour::set(&value)));
        recordport::provider::NewRow { fields: fields.into(), marker: None }
    };
    let rows: Vec<_> = (0..63).map(row).collect();
    let outcomes = files.create(&org.cx, &rows, &serde_json::Map::new()).await.expect("creates");
    assert!(outcomes.iter().all(|outcome| outcome.status() == "created"), "{outcomes:?}");
}

/// Leaves some of the issues: the emulated Jira looks at each one for each query.
async fn thin_out(org: &Org) {
    let client = super::support::emulated::client();
    let credentials = org.emulator.credentials()["jira"].clone();
    let secret = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let keys: Vec<String> = rows(&org.state("issue").await)
        .iter()
        .map(|row| text_of(row.get("key").map(AsRef::as_ref)).expect("a key"))
        .collect();
    for key in &keys {
        let number: usize = key.rsplit_once('-').expect("a number").1.parse().expect("a number");
        if number > 32 {
            let address = format!("{}/rest/api/3/issue/{key}?deleteSubtasks=true", org.emulator.http_url());
            let request = client.delete(address).basic_auth(secret("email"), Some(secret("api_token")));
            request.send().await.expect("is answered");
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table of operators is part of what the test tells")]
async fn judge(ground: &Ground) {
    let config = EmulatorConfig {
        start_at: Some("2026-03-04T10:00:00Z".parse().expect("a moment")),
        empty: ground.service == "dropbox",
        ..EmulatorConfig::default()
    };
    let filters = ground.filters;
    let org = Org::to(ground.service, config).await;
    if ground.service == "jira" {
        thin_out(&org).await;
    }
    if ground.service == "dropbox" {
        fill(&org).await;
    }
    let mut dice = Dice(20_260_304);
    let mut tables = Vec::new();
    for (name, parent) in ground.types {
        let table = Table::load(&org, ground, name, *parent).await;
        let deck = Deck::shuffled(&table, &mut dice);
        tables.push((table, deck, org.open(name).await));
    }
    let mut by_operator: BTreeMap<&'static str, Tally> = BTreeMap::new();
    let mut fields_asked: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let (mut with_rows, mut ordered_there, mut ordered_here, mut limited) = (0, 0, 0, 0);
    let (mut unhelped, mut asked_there) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for number in 0..filters {
        let (table, deck, records) = &mut tables[number % ground.types.len()];
        let Case { filter, text, mut draft } = case(table, deck, &mut dice, number);
        let condition = filter.print(&|leaf| Some(leaf.to_sqlite(table))).expect("SQLite has words for all");
        let mut expected = table.ask(&format!("SELECT \"@key\" FROM t WHERE {condition} ORDER BY \"@key\""));
        expected.sort();

        // Evaluated here alone, over the same rows.
        let now = Timestamp::now();
        let typed = draft.typed(&Fields(table), now, &TimeZone::UTC);
        let typed = typed.unwrap_or_else(|error| panic!("{}: {error}\n{text}", table.name));
        let residual = Residual::new(typed.filter.as_ref().expect("a filter"));
        let mut here: Vec<String> = table
            .keys
            .iter()
            .zip(&table.records)
            .filter(|(_, record)| residual.matches_json(record).expect("evaluates"))
            .map(|(key, _)| key.clone())
            .collect();
        here.sort();
        let mut differ = |way: &str, found: &[String], native: &str| {
            let one = |left: &[String], right: &[String]| {
                let mut out: Vec<String> =
                    left.iter().filter(|key| !right.contains(key)).take(3).cloned().collect();
                out.sort();
                out.join(" ")
            };
            let mut message = format!("#{number} {} {way}: {text}\n  SQLite: {condition}\n", table.name);
            let _ = write!(message, "  {native}\n  missing: {}", one(&expected, found));
            let _ = write!(message, "\n  too many: {}", one(found, &expected));
            wrong.push(message);
        };
        if here != expected {
            differ("here", &here, "");
        }

        // Through the plan, the provider and the engine, without and with order and limit.
        let prepared = records.prepare(&org.cx, &draft, &TimeZone::UTC).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{}: {error}\n{text}", table.name));
        let native = prepared.plan.native.join("; ");
        let helped = prepared.plan.conditions.iter().any(|condition| condition.at != At::Here);
        unhelped += usize::from(!helped);
        let asks = helped || unhelped % ground.sample == 0;
        if asks {
            asked_there += 1;
            let mut found =
                keys(Search::start(std::sync::Arc::clone(records), org.cx.clone(), &prepared)).await;
            found.sort();
            if found != expected {
                differ("through the provider", &found, &native);
            }
        }
        with_rows += usize::from(!expected.is_empty() && expected.len() < table.keys.len());

        // No condition is missing from the plan, and most are sent.
        let mut leaves = Vec::new();
        filter.leaves(false, &mut leaves);
        assert_eq!(prepared.plan.conditions.len(), leaves.len(), "{text}");
        for ((leaf, operator), planned) in leaves.into_iter().zip(&prepared.plan.conditions) {
            let tally = by_operator.entry(operator).or_default();
            tally.asked += 1;
            tally.pushed += usize::from(planned.at != At::Here);
            fields_asked.entry(table.name).or_default().insert(table.columns[leaf.column].path.to_string());
        }

        let order = embellish(table, &mut dice, &mut draft);
        if draft.limit.is_none() || !asks {
            continue;
        }
        limited += 1;
        let prepared = records.prepare(&org.cx, &draft, &TimeZone::UTC).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{}: {error}\n{text}", table.name));
        let plan = std::sync::Arc::clone(&prepared.plan);
        ordered_here += usize::from(plan.order == Doer::Here);
        ordered_there += usize::from(plan.order == Doer::Provider);
        let found = keys(Search::start(std::sync::Arc::clone(records), org.cx.clone(), &prepared)).await;
        let limit = usize::try_from(draft.limit.unwrap()).unwrap();
        let distinct: BTreeSet<&String> = found.iter().collect();
        let amiss = if found.len() != limit.min(expected.len()) || distinct.len() != found.len() {
            Some("its number")
        } else if found.iter().any(|key| expected.binary_search(key).is_err()) {
            Some("its keys")
        } else if plan.order == Doer::Here {
            let sql = format!("SELECT \"@key\" FROM t WHERE {condition} ORDER BY {order} LIMIT {limit}");
            (table.ask(&sql) != found).then_some("its order")
        } else if plan.order == Doer::Provider {
            // Texts come in the provider's own order, which ignores case but in ids; everything else in ours.
            let rank = |key: &FieldPath| {
                let column = table.columns.iter().find(|column| column.path == *key).unwrap();
                let exact = column.field.case_sensitive == Some(true)
                    || matches!(
                        column.field.field_type,
                        FieldType::Reference(_) | FieldType::Text { form: TextForm::Id, .. }
                    );
                let folded = column.kind == ValueKind::Text && !exact;
                format!("\"{key}{}\"", if folded { "~fold" } else { "" })
            };
            let ranks: Vec<String> = draft.order_by.iter().map(|key| rank(&key.field)).collect();
            let shown: Vec<String> =
                ranks.iter().map(|rank| format!("coalesce(CAST({rank} AS TEXT), 'none')")).collect();
            let ways: Vec<String> = draft
                .order_by
                .iter()
                .zip(&ranks)
                .map(|(key, rank)| match key.direction {
                    Direction::Asc => format!("{rank} ASC NULLS FIRST"),
                    Direction::Desc => format!("{rank} DESC NULLS LAST"),
                })
                .collect();
            let shown = shown.join(" || '|' || ");
            let wanted = table.ask(&format!(
                "SELECT {shown} FROM t WHERE {condition} ORDER BY {} LIMIT {limit}",
                ways.join(", ")
            ));
            let rows = table.ask(&format!("SELECT \"@key\" || '=' || {shown} FROM t"));
            let ranked: BTreeMap<&str, &str> = rows.iter().filter_map(|row| row.split_once('=')).collect();
            let got: Vec<&str> = found.iter().map(|key| ranked[key.as_str()]).collect();
            (wanted != got).then_some("the provider's order")
        } else {
            None
        };
        if let Some(what) = amiss {
            let native = plan.native.join("; ");
            wrong.push(format!("#{number} {} with limit {limit}, {what}: {text}\n  {native}", table.name));
        }
    }

    let (asked, pushed) = by_operator
        .values()
        .fold((0, 0), |(asked, pushed), tally| (asked + tally.asked, pushed + tally.pushed));
    println!("{:<18} {:>6} {:>6}", "operator", "asked", "sent");
    for (operator, tally) in &by_operator {
        println!("{operator:<18} {:>6} {:>6}", tally.asked, tally.pushed);
    }
    println!("{:<18} {asked:>6} {pushed:>6}  ({} %)", "all", 100 * pushed / asked);
    println!(
        "{filters} filters, {with_rows} of them find some rows and not all; {asked_there} through the provider, {limited} \
         with a limit, {ordered_there} ordered by the provider, {ordered_here} ordered here"
    );
    for (table, ..) in &tables {
        println!("{}: {} fields, {} rows", table.name, table.columns.len(), table.keys.len());
    }
    let shown: Vec<&String> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{} filters differ:\n{shown:#?}", wrong.len());
    assert!(ground.helps.is_some() || 100 * pushed >= 60 * asked, "{pushed} of {asked} conditions are sent");
    for (table, ..) in &tables {
        for column in &table.columns {
            assert!(
                fields_asked[table.name].contains(&column.path.to_string()),
                "{} {}",
                table.name,
                column.path
            );
            for operator in operators(&column.field) {
                let tally = by_operator.get(operator).unwrap_or_else(|| panic!("{operator} was not asked"));
                let helped = ground.helps.is_none_or(|helps| helps.contains(operator));
                assert!(!helped || tally.pushed > 0, "{operator} was never sent");
            }
        }
    }
    assert!(with_rows >= filters / 3, "{with_rows} filters tell rows apart");
    assert!(ground.helps.is_some() || ordered_there > 0);
    assert!(asked_there >= filters / (2 * ground.sample), "{asked_there} went through the provider");
}

async fn keys(mut search: Search) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(page) = search.next_page().await.expect("searches") {
        for record in page.records {
            let record = record.expect("is read");
            assert_eq!(record.to_value().expect("is JSON").as_object().map(serde_json::Map::len), Some(1));
            out.push(record.key.to_string());
        }
    }
    out
}
