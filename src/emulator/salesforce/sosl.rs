//! Reads SOSL, the service's language for full-text search.

use pest::Parser as _;
use pest::iterators::Pair;

use super::errors::Refusal;

/// The generated parser stands apart, as nobody can document its rules.
#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the derive writes its own items"
)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "emulator/salesforce/sosl.pest"]
    pub struct Sosl;
}

use self::grammar::{Rule, Sosl};

/// The longest statement, in characters.
const LONGEST: usize = 100_000;
/// How deep brackets may go.
const DEEPEST: usize = 50;

/// A search as a whole.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) words: Words,
    pub(super) scope: Scope,
    /// Empty for every searchable type.
    pub(super) targets: Vec<Target>,
    pub(super) limit: Option<usize>,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Words {
    Any(Vec<Words>),
    All(Vec<Words>),
    Not(Box<Words>),
    /// Words that stand one after the other; `*` and `?` are wildcards.
    Phrase(Vec<String>),
}

/// Which fields are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Name,
    Email,
    Phone,
}

impl Scope {
    /// The scope with this name in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "ALL" | "SIDEBAR" => Self::All,
            "NAME" => Self::Name,
            "EMAIL" => Self::Email,
            "PHONE" => Self::Phone,
            _ => return None,
        })
    }
}

/// One type to search, and what to give of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) object: String,
    /// Empty for the Id alone.
    pub(super) fields: Vec<String>,
    /// `WHERE … ORDER BY …` as SOQL has it, or empty.
    pub(super) condition: String,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

fn malformed(what: impl Into<String>) -> Refusal {
    Refusal::new("MALFORMED_SEARCH", what)
}

/// Reads a statement.
///
/// # Errors
/// MALFORMED_SEARCH.
pub(super) fn parse(text: &str) -> Result<Search, Refusal> {
    check_size(text)?;
    let head = text.trim_start();
    if head.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("find"))
        && !head.get(4..).unwrap_or_default().trim_start().starts_with('{')
    {
        return Err(malformed("No search term found. The search term must be enclosed in braces."));
    }
    let pair = Sosl::parse(Rule::statement, text).map_err(|error| unexpected(text, &error))?.next();
    let mut search =
        Search { words: Words::All(Vec::new()), scope: Scope::All, targets: Vec::new(), limit: None };
    for part in pair.into_iter().flat_map(Pair::into_inner) {
        match part.as_rule() {
            Rule::words => search.words = words(part),
            Rule::scope => {
                let name = part.into_inner().next();
                search.scope = name.and_then(|name| Scope::named(name.as_str())).unwrap_or(Scope::All);
            }
            Rule::returning => search.targets = part.into_inner().map(target).collect(),
            Rule::limit => search.limit = number(part),
            _ => {}
        }
    }
    check_words(&search.words)?;
    Ok(search)
}

/// Reads the words of a search without a statement around them.
///
/// # Errors
/// MALFORMED_SEARCH.
pub(super) fn parse_words(text: &str) -> Result<Words, Refusal> {
    check_size(text)?;
    let pair = Sosl::parse(Rule::bare, text).map_err(|error| unexpected(text, &error))?.next();
    let read = pair.into_iter().flat_map(Pair::into_inner).find(|part| part.as_rule() == Rule::words);
    let read = read.map_or(Words::All(Vec::new()), words);
    check_words(&read)?;
    Ok(read)
}

/// The parser recurses once per bracket: refuse before the stack could end.
fn check_size(text: &str) -> Result<(), Refusal> {
    if text.chars().count() > LONGEST {
        return Err(malformed(format!("A search cannot be longer than {LONGEST} characters")));
    }
    if text.matches('(').count() > DEEPEST {
        return Err(malformed("The search is too complicated: it has too many brackets"));
    }
    Ok(())
}

fn check_words(words: &Words) -> Result<(), Refusal> {
    match words {
        Words::Any(list) | Words::All(list) => list.iter().try_for_each(check_words),
        Words::Not(inner) => check_words(inner),
        Words::Phrase(list) => {
            let shown = list.join(" ");
            if shown.chars().filter(|letter| letter.is_alphanumeric()).count() < 2 {
                return Err(malformed(format!("search term must be longer than one character: {shown}")));
            }
            Ok(())
        }
    }
}

fn unexpected(text: &str, error: &pest::error::Error<Rule>) -> Refusal {
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    };
    let rest = text.get(at..).unwrap_or_default();
    let token = rest.split_whitespace().next().unwrap_or("<EOF>");
    malformed(format!("line 1:{at} unexpected token: '{token}'"))
}

fn words(pair: Pair<'_, Rule>) -> Words {
    let text = |part: &Pair<'_, Rule>| Words::Phrase(tokens(&plain(part.as_str()), true));
    match pair.as_rule() {
        Rule::words => {
            let mut list: Vec<Words> = operands(pair);
            if list.len() == 1 { list.remove(0) } else { Words::Any(list) }
        }
        Rule::both => {
            let mut list: Vec<Words> = operands(pair);
            // Punctuation between words is no word; where it stands alone, it is refused.
            let is_word = |part: &Words| !matches!(part, Words::Phrase(tokens) if tokens.is_empty());
            if list.iter().any(is_word) {
                list.retain(is_word);
            }
            if list.len() == 1 { list.remove(0) } else { Words::All(list) }
        }
        Rule::excluded => {
            let inner = pair.into_inner().next().map_or(Words::Any(Vec::new()), words);
            Words::Not(Box::new(inner))
        }
        Rule::phrase => pair.into_inner().next().map_or(Words::All(Vec::new()), |part| text(&part)),
        _ => text(&pair),
    }
}

/// What stands between the operators.
fn operands(pair: Pair<'_, Rule>) -> Vec<Words> {
    let is_operator = |part: &Pair<'_, Rule>| matches!(part.as_rule(), Rule::or | Rule::and | Rule::and_not);
    pair.into_inner().filter(|part| !is_operator(part)).map(words).collect()
}

/// The text without its escapes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// Words of a text in lower case; wildcards belong to words where they are allowed.
pub(super) fn tokens(text: &str, wildcards: bool) -> Vec<String> {
    text.split(|letter: char| !(letter.is_alphanumeric() || wildcards && matches!(letter, '*' | '?')))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn target(pair: Pair<'_, Rule>) -> Target {
    let mut out = Target::default();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => out.object = part.as_str().to_owned(),
            Rule::fields => out.fields = part.into_inner().map(|path| path.as_str().to_owned()).collect(),
            Rule::filter => out.condition = part.as_str().to_owned(),
            Rule::order => out.condition = format!("{} {}", out.condition, part.as_str()),
            Rule::limit => out.limit = number(part),
            Rule::offset => out.offset = number(part).unwrap_or_default(),
            _ => {}
        }
    }
    out
}

fn number(pair: Pair<'_, Rule>) -> Option<usize> {
    pair.into_inner().next().and_then(|digits| digits.as_str().parse().ok())
}
