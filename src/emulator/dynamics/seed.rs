//! Believable rows made on demand: each value is a pure function of seed, table, index and column, so that a
//! million rows cost no memory and any one of them is made without its neighbours.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Column, Kind};
use super::rows::{Place, Store};
use crate::emulator::chance::{hash_text, mix, pick, word};
use crate::emulator::vocabulary::{
    DEALS, FAMILY, FIRM, FORM, GIVEN, SENTENCES, SUBJECTS, TITLES, TOWNS, TRADE, WORDS,
};

/// Which maker a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    Generic,
    Null,
    /// Prefix, then the index in this many digits.
    Numbered {
        before: &'static str,
        width: usize,
    },
    Company,
    Given,
    Family,
    FullName,
    Email,
    Phone,
    Website,
    Title,
    Subject,
    Deal,
    City,
    Country,
    Street,
    PostalCode,
    Latitude,
    Longitude,
    Code,
    Currency(u8),
    /// The amount of another column in the base currency.
    Base,
    One,
    Created,
    Modified,
    Version,
    Owner,
    OwningUser,
    OwningTeam,
    OwningUnit,
    Unit,
}

/// 2025-01-01T00:00:00Z, when the first seeded row was created.
const FIRST_CREATED: i64 = 1_735_689_600;
const YEAR_SECONDS: u64 = 31_536_000;
/// The version of the first seeded row.
const FIRST_VERSION: i64 = 1_000_000;

/// Name, code, symbol of the seeded currencies.
const CURRENCIES: [[&str; 3]; 3] =
    [["US Dollar", "USD", "$"], ["Euro", "EUR", "€"], ["Pound Sterling", "GBP", "£"]];

/// The maker for a column, by its kind and name.
pub(super) fn recipe(table: &str, column: &Column, format: &str) -> Recipe {
    let numbered = |before, width| Recipe::Numbered { before, width };
    match (table, column.name.as_str()) {
        ("account", "name") => return Recipe::Company,
        ("account", "accountnumber") => return numbered("ACC-", 6),
        ("contact" | "systemuser", "fullname") => return Recipe::FullName,
        ("contact", "externaluseridentifier") => return numbered("EXT-", 6),
        ("appointment", "globalobjectid") => return numbered("040000008200E00074C5B7101A82E0080000", 6),
        ("incident", "title") | ("new_invoice", "new_name") | ("appointment", "subject") => {
            return Recipe::Subject;
        }
        ("incident", "ticketnumber") => return numbered("CAS-", 5),
        ("opportunity", "name") => return Recipe::Deal,
        ("new_invoice", "new_externalid") => return numbered("EXT ", 6),
        ("new_invoice", "new_number") => return numbered("INV-", 6),
        ("new_invoice", "new_code") => return Recipe::Code,
        ("systemuser", "domainname") => return numbered("user", 3),
        ("transactioncurrency", "currencyname") => return Recipe::Currency(0),
        ("transactioncurrency", "isocurrencycode") => return Recipe::Currency(1),
        ("transactioncurrency", "currencysymbol") => return Recipe::Currency(2),
        ("new_tag", "new_name") => return numbered("tag ", 2),
        ("team", "name") => return numbered("Team ", 1),
        ("businessunit", "name") => return numbered("unit-", 1),
        ("businessunit", "parentbusinessunitid") => return Recipe::Unit,
        _ => {}
    }
    match (column.kind, column.name.as_str()) {
        (Kind::Money, name) if name.ends_with("_base") => Recipe::Base,
        (Kind::Decimal, "exchangerate") => Recipe::One,
        (Kind::DateTime, "createdon") => Recipe::Created,
        (Kind::DateTime, "modifiedon") => Recipe::Modified,
        (Kind::BigInt, "versionnumber") => Recipe::Version,
        (Kind::Lookup, "ownerid") => Recipe::Owner,
        (Kind::Lookup, "owninguser") => Recipe::OwningUser,
        (Kind::Lookup, "owningteam") => Recipe::OwningTeam,
        (Kind::Lookup, "owningbusinessunit") => Recipe::OwningUnit,
        (_, "overriddencreatedon" | "importsequencenumber" | "entityimage_url") | (Kind::Image, _) => {
            Recipe::Null
        }
        (Kind::Boolean, "isdisabled") => Recipe::Null,
        (Kind::Text, "firstname") => Recipe::Given,
        (Kind::Text, "lastname" | "managername") => Recipe::Family,
        (Kind::Text, "jobtitle" | "title") => Recipe::Title,
        (Kind::Text, "address1_city") => Recipe::City,
        (Kind::Text, "address1_country") => Recipe::Country,
        (Kind::Text, "address1_line1") => Recipe::Street,
        (Kind::Text, "address1_postalcode") => Recipe::PostalCode,
        (_, "address1_latitude") => Recipe::Latitude,
        (_, "address1_longitude") => Recipe::Longitude,
        (Kind::Text, _) if format == "Email" => Recipe::Email,
        (Kind::Text, _) if format == "Phone" => Recipe::Phone,
        (Kind::Text, _) if format == "Url" => Recipe::Website,
        _ => Recipe::Generic,
    }
}

/// The version of a seeded row.
pub(super) fn version(index: u64) -> i64 {
    FIRST_VERSION + index as i64
}

/// When a seeded row was created: evenly over the year.
fn created(seeded: u64, index: u64) -> i64 {
    FIRST_CREATED + (u128::from(index) * u128::from(YEAR_SECONDS) / u128::from(seeded.max(1))) as i64
}

/// The seeded value of a stored column.
pub(super) fn cell(store: &Store, at: Place, number: usize) -> Cell {
    let table = store.table(at.table);
    let Some(column) = table.about().columns.get(number) else { return Cell::Null };
    let index = at.index;
    let row = mix(store.seed ^ table.salt ^ index.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let hash = mix(row ^ hash_text(&column.name));
    let required = column.required || matches!(column.kind, Kind::State | Kind::Status | Kind::Boolean);
    let system = matches!(column.recipe, Recipe::Created | Recipe::Modified | Recipe::One | Recipe::Owner);
    if !required
        && !system
        && !store.is_name(at.table, number)
        && (index + 3 * number as u64).is_multiple_of(9)
    {
        return Cell::Null;
    }
    let hard = |plain: String| text(column, &plain, hash);
    let short = |plain: String| cut(column, plain);
    match column.recipe {
        Recipe::Null if column.kind == Kind::Boolean => Cell::Boolean(false),
        Recipe::Null => Cell::Null,
        Recipe::Numbered { before, width } => short(format!("{before}{index:0width$}")),
        Recipe::Company => {
            let form = if hash >> 20 & 3 == 0 { "" } else { word(&FORM, hash >> 24) };
            hard(format!("{} {} {form}", word(&FIRM, hash), word(&TRADE, hash >> 8)).trim_end().to_owned())
        }
        Recipe::Given => hard(word(&GIVEN, hash).to_owned()),
        Recipe::Family => hard(word(&FAMILY, hash).to_owned()),
        Recipe::Email => {
            let mail = format!(
                "{}.{}{index}@{}.example",
                word(&WORDS, hash),
                word(&WORDS, hash >> 9),
                word(&WORDS, hash >> 17)
            );
            short(if hash >> 40 & 7 == 0 { mail.to_uppercase() } else { mail })
        }
        Recipe::Phone => short(format!("+1 555-01{:02}-{:04}", hash % 100, hash >> 20 & 0xfff)),
        Recipe::Website => {
            let path = if hash >> 44 & 3 == 0 { "/about?x=1&y=%20#top" } else { "" };
            short(format!("https://www.{}-{index}.example{path}", word(&FIRM, hash).to_lowercase()))
        }
        Recipe::Title => hard(word(&TITLES, hash).to_owned()),
        Recipe::Subject => hard(word(&SUBJECTS, hash).to_owned()),
        Recipe::Deal => hard(format!("{} {}", word(&FIRM, hash), word(&DEALS, hash >> 16))),
        Recipe::Code if index.is_multiple_of(2) => short(format!("code-{}", index / 2)),
        Recipe::Code => short(format!("CODE-{}", index / 2)),
        Recipe::Currency(part) => {
            let known = CURRENCIES[(index % 3) as usize][usize::from(part.min(2))];
            if index < 3 { Cell::text(known) } else { short(format!("{known} {index}")) }
        }
        Recipe::One => Cell::Decimal(Decimal::ONE),
        Recipe::City | Recipe::Country | Recipe::Street | Recipe::PostalCode => pick(&TOWNS, mix(row))
            .map_or(Cell::Null, |town| {
                short(match column.recipe {
                    Recipe::City => town.city.to_owned(),
                    Recipe::Country => town.country.to_owned(),
                    Recipe::PostalCode => town.code.to_owned(),
                    _ => format!("{} {}", 1 + hash % 400, town.street),
                })
            }),
        Recipe::Latitude | Recipe::Longitude => pick(&TOWNS, mix(row)).map_or(Cell::Null, |town| {
            let at = if column.recipe == Recipe::Latitude { town.at.0 } else { town.at.1 };
            Cell::Double((at / 10 + (hash % 1_000) as i64) as f64 / 100_000.0)
        }),
        Recipe::Created => Cell::Instant(created(table.seeded, index)),
        Recipe::Modified => Cell::Instant(created(table.seeded, index) + (row >> 20) as i64 % 1_728_000),
        Recipe::Owner => owner(store, hash),
        Recipe::OwningUnit => store.seeded_ref("businessunit", 0),
        Recipe::Unit if index == 0 => Cell::Null,
        Recipe::Unit => store.seeded_ref("businessunit", 0),
        Recipe::FullName | Recipe::Base | Recipe::Version | Recipe::OwningUser | Recipe::OwningTeam => {
            Cell::Null
        }
        Recipe::Generic => generic(store, at, column, hash),
    }
}

/// The index whose seeded value could be this one; `None` when values do not tell.
pub(super) fn holder(column: &Column, wanted: &str) -> Option<u64> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    match column.recipe {
        Recipe::Numbered { before, .. } => {
            let head = wanted.get(..before.len())?;
            if head.eq_ignore_ascii_case(before) { digits(wanted[before.len()..].trim_end()) } else { None }
        }
        Recipe::Email => {
            let local = wanted.split('@').next()?;
            digits(local.trim_start_matches(|letter: char| !letter.is_ascii_digit()))
        }
        _ => None,
    }
}

/// Whether [`holder`] knows the only index that can have a value.
pub(super) fn tells(column: &Column) -> bool {
    matches!(column.recipe, Recipe::Numbered { .. } | Recipe::Email)
}

fn owner(store: &Store, hash: u64) -> Cell {
    if hash % 5 == 4 {
        store.seeded_ref("team", hash >> 9)
    } else {
        store.seeded_ref("systemuser", hash >> 9)
    }
}

fn generic(store: &Store, at: Place, column: &Column, hash: u64) -> Cell {
    match column.kind {
        Kind::Text | Kind::Memo => {
            let plain = if column.max_length > 300 {
                let more = if hash & 7 == 0 { "\r\n\tSecond line: " } else { " " };
                format!("{}{more}{}", word(&SENTENCES, hash), word(&SENTENCES, hash >> 8))
            } else {
                format!("{} {}", word(&WORDS, hash), word(&WORDS, hash >> 8))
            };
            text(column, &plain, hash)
        }
        Kind::Integer => Cell::Integer(whole(column, hash)),
        Kind::BigInt => Cell::Integer(match hash % 11 {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => 9_007_199_254_740_993,
            _ => (hash >> 20) as i64,
        }),
        Kind::Decimal | Kind::Money => Cell::Decimal(fraction(column, hash)),
        Kind::Double => {
            let number: f64 = fraction(column, hash).to_string().parse().unwrap_or_default();
            Cell::Double(number)
        }
        Kind::Boolean => Cell::Boolean(hash & 1 == 1),
        Kind::State => {
            let state = if hash.is_multiple_of(4) {
                pick(&column.options, hash >> 8)
            } else {
                column.options.first()
            };
            state.map_or(Cell::Null, |state| Cell::Integer(state.value))
        }
        Kind::Status => {
            let state = store.about(at.table).columns.iter().position(|column| column.kind == Kind::State);
            let state = state.and_then(|state| store.cell(at, state).as_integer());
            let fitting: Vec<i64> = column
                .options
                .iter()
                .filter(|option| option.state.is_none() || option.state == state)
                .map(|option| option.value)
                .collect();
            pick(&fitting, hash >> 8).map_or(Cell::Null, |value| Cell::Integer(*value))
        }
        Kind::Picklist => {
            pick(&column.options, hash).map_or(Cell::Null, |option| Cell::Integer(option.value))
        }
        Kind::Multi => {
            let chosen = column.options.iter().enumerate().filter(|(bit, _)| hash >> bit & 1 == 1);
            let values: Vec<i64> = chosen.map(|(_, option)| option.value).collect();
            if values.is_empty() { Cell::Null } else { Cell::Choices(values) }
        }
        Kind::Date => match hash % 41 {
            0 => Cell::Date(Date::constant(1753, 1, 1)),
            1 => Cell::Date(Date::constant(9999, 12, 30)),
            _ => Date::constant(1990, 1, 1)
                .checked_add(jiff::Span::new().days((hash >> 8) as i64 % 14_000))
                .map_or(Cell::Null, Cell::Date),
        },
        Kind::DateTime => Cell::Instant(match hash % 41 {
            0 => -6_847_804_800,
            // 9999-12-30T00:00:00Z, near the last instant there is.
            1 => 253_402_128_000,
            _ => FIRST_CREATED + ((hash >> 8) % (2 * YEAR_SECONDS)) as i64,
        }),
        Kind::Guid => Cell::Guid(super::guid::fresh(store.seed ^ hash, at.index)),
        Kind::Lookup => {
            let Some(target) = pick(&column.targets, hash >> 3) else { return Cell::Null };
            if *target == store.about(at.table).name {
                // No row is its own ancestor.
                return if at.index == 0 {
                    Cell::Null
                } else {
                    store.seeded_ref_below(target, hash >> 8, at.index)
                };
            }
            store.seeded_ref(target, hash >> 8)
        }
        Kind::Id | Kind::Image | Kind::Other => Cell::Null,
    }
}

fn whole(column: &Column, hash: u64) -> i64 {
    let bound = |limit: Option<Decimal>, otherwise: i64| {
        limit.and_then(|limit| limit.trunc().to_string().parse().ok()).unwrap_or(otherwise)
    };
    let (low, high) = (bound(column.low, 0), bound(column.high, 1_000_000));
    match hash % 19 {
        0 => low,
        1 => high,
        2 if low <= 0 => 0,
        _ => low.max(0) + ((hash >> 8) % (high.min(5_000) - low.max(0)).max(1) as u64) as i64,
    }
}

fn fraction(column: &Column, hash: u64) -> Decimal {
    let places = column.precision.min(6);
    let (low, high) = (column.low.unwrap_or_default(), column.high.unwrap_or(Decimal::from(1_000_000)));
    let number = match hash % 19 {
        0 => low,
        // Fifteen digits at most, so that every reader's floating point still tells neighbours apart.
        1 => high.min(Decimal::new(99_999_999_999, 0)),
        2 if low <= Decimal::ZERO => Decimal::ZERO,
        3 if low < Decimal::ZERO => -Decimal::new((hash >> 16) as i64 % 10_000, places),
        _ => Decimal::new(
            ((hash >> 16) % 10u64.pow(((hash >> 8) as u32 % 5 + 2 + places).min(11))) as i64,
            places,
        ),
    };
    number.clamp(low, high).round_dp(places)
}

fn cut(column: &Column, value: String) -> Cell {
    if column.max_length == 0 || value.chars().count() <= column.max_length {
        return Cell::text(value);
    }
    Cell::text(value.chars().take(column.max_length).collect::<String>())
}

/// Plain for most rows; in some, everything that breaks careless readers.
fn text(column: &Column, plain: &str, hash: u64) -> Cell {
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
        9 => format!("[{plain}] & <more>"),
        10 if column.max_length <= 400 => {
            let missing = column.max_length.saturating_sub(plain.chars().count());
            format!("{plain}{}", "x".repeat(missing))
        }
        _ => plain.to_owned(),
    };
    cut(column, value)
}
