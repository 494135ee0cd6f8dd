//! What Jira can do with single conditions.
//!
//! Conditions have SQL's meaning here and JQL's there. A comparison in JQL leaves out issues without a value
//! ("Advanced searching - operators reference"); that is said once more in each condition that depends on it. Ids
//! are compared exactly; words, labels and moments only roughly, so that what is sent for them finds at least the
//! records that fulfil the condition.

use jiff::tz::TimeZone;

use super::jql::{self, Clock};
use super::wires::{Kind, WireField, Wires};
use crate::provider::Resolved;
use crate::provider::pushdown::Judged;
use crate::record::query::{Comparison, Condition, Pattern, PatternPart, Test};
use crate::record::record_type::{Field, FieldType, Picklist};
use crate::record::value::Value;

/// Values of one list that are sent.
const LIST_MAX: usize = 500;
/// Longest text that is looked for as a whole, in characters; a label is no longer.
const TEXT_MAX: usize = 255;
/// No language's list of words that are not looked for has one as long as this.
const WORD_MIN: usize = 12;
const WORD_MAX: usize = 60;

/// How a field is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// One of values that have ids, or several: options, statuses, versions.
    Choice,
    /// The first list of a cascading choice.
    Trunk,
    /// The second one; which option of the first an option belongs to, its list tells.
    Branch,
    /// To do, in progress, done.
    Category,
    /// People, by their accounts.
    Account,
    /// Groups, by their names.
    Group,
    /// Other issues, by id.
    Issue,
    /// The issue's own id.
    OwnId,
    /// The issue's own key.
    OwnKey,
    Number,
    Date,
    /// A moment; the flag tells whether milliseconds are taken.
    Moment(bool),
    /// One line of text, searched by words.
    Words,
    /// Freely chosen words.
    Label,
    /// Text that is compared as a whole.
    Whole,
    /// Nothing but that there is no value.
    Loose,
}

impl Asked {
    /// How a field is asked for; `None` where the answer would not be certain. Documents are among those: what of
    /// their Markdown stands in an index is not documented.
    fn of(wire: &WireField) -> Option<Self> {
        let custom = wire.schema.custom.as_deref();
        let plugin = custom.map(|custom| custom.rsplit(':').next().unwrap_or_default());
        Some(match wire.kind {
            Kind::Id => Self::OwnId,
            Kind::Key => Self::OwnKey,
            Kind::Text if wire.id == "summary" || plugin == Some("textfield") => Self::Words,
            Kind::Text if plugin == Some("url") => Self::Whole,
            // The numbers of Jira itself are durations and counts, each with rules of its own.
            Kind::Number if custom.is_some() => Self::Number,
            Kind::Date => Self::Date,
            Kind::Instant if matches!(wire.id.as_str(), "created" | "updated") => Self::Moment(true),
            Kind::Instant if wire.id == "resolutiondate" || plugin == Some("datetime") => Self::Moment(false),
            Kind::Option
            | Kind::Options
            | Kind::Project
            | Kind::Version
            | Kind::Versions
            | Kind::Components
            | Kind::Priority
            | Kind::IssueType
            | Kind::Status
            | Kind::Resolution
            | Kind::SecurityLevel => Self::Choice,
            Kind::Cascade => Self::Trunk,
            Kind::CascadeChild => Self::Branch,
            Kind::StatusCategory => Self::Category,
            Kind::Labels => Self::Label,
            Kind::User | Kind::Users => Self::Account,
            Kind::Group | Kind::Groups => Self::Group,
            Kind::Parent => Self::Issue,
            Kind::Sprint => Self::Loose,
            _ => return None,
        })
    }
}

/// Whether conditions on a field can be sent at all.
pub(super) fn is_asked(wire: &WireField) -> bool {
    !wire.clauses.is_empty() && Asked::of(wire).is_some()
}

/// Judges the conditions of one filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) resolved: &'a Resolved,
    pub(super) wires: &'a Wires,
    /// The zone of the caller's profile.
    pub(super) zone: Option<&'a TimeZone>,
    /// Whether values may be named that exist or not: Jira may refuse a whole query for one that does not.
    pub(super) naming: bool,
    /// Longest condition that is sent.
    pub(super) longest: usize,
}

/// What a value is in JQL.
enum Literal {
    /// Finds the issues that hold the value.
    Sent {
        text: String,
        /// Whether it finds no others.
        only: bool,
        /// Whether Jira is sure to know it.
        known: bool,
    },
    /// No issue can hold the value.
    Never,
    /// Cannot be looked for.
    Open,
}

const ID: &str = "Jira compares ids exactly";
const EMPTY: &str = "Jira tells whether there is a value";
const OPEN: &str = "Jira leaves out issues without a value; the comparison itself is made here";
const NAMED: &str = "Jira looks the value up; it is checked again here";
const SAME: &str = "Jira compares such values exactly";
const MINUTES: &str = "Jira compares moments by minutes, so each record is checked again here";
const WORDS: &str = "Jira searches for words, so each record is checked again here";
const MORE: &str = "Jira finds the issues that have all of them; those with more are left out here";

impl<'a> Judge<'a> {
    /// The verdict on one condition.
    pub(super) fn judge(&self, condition: &Condition) -> Judged {
        let Some(place) = self.place(condition.path.segments()) else {
            return Judged::unsupported(
                "Jira does not filter by this value in a way that could be relied on",
            );
        };
        if self.longest == 0 {
            return Judged::unsupported("the query would be longer than is sent");
        }
        let verdict = match &condition.test {
            Test::CompareField(_, other) => self.fields(&place, other.segments()),
            Test::In { values, .. } if values.is_empty() => {
                Judged::unsupported("an empty list needs no help from Jira")
            }
            Test::In { values, .. } | Test::SameSet { values, .. } if values.len() > LIST_MAX => {
                place.any_value_of(condition)
            }
            _ => place.judge(condition, self.naming),
        };
        match &verdict {
            Judged::Exact { native, .. } | Judged::Superset { native, .. } if native.len() > self.longest => {
                place.any_value_of(condition)
            }
            _ => verdict,
        }
    }

    fn place(&self, path: &[String]) -> Option<Place<'a>> {
        let [name] = path else { return None };
        let wire = self.wires.fields.get(name)?;
        let field = self.resolved.record_type.field(name)?;
        let clause = jql::clause(wire.clauses.first()?);
        field.filterable.then_some(())?;
        Some(Place { asked: Asked::of(wire)?, clause, field, zone: self.zone })
    }

    /// Two fields are compared here, where both have a value.
    fn fields(&self, place: &Place<'_>, other: &[String]) -> Judged {
        let other = self.place(other);
        let parts: Vec<String> =
            std::iter::once(place).chain(other.as_ref()).filter_map(Place::not_empty).collect();
        match parts.as_slice() {
            [] => Judged::unsupported("Jira does not compare two fields"),
            [one] => Judged::superset(one.as_str(), OPEN),
            several => Judged::superset(format!("({})", several.join(" and ")), OPEN),
        }
    }
}

/// A field in a condition.
struct Place<'a> {
    asked: Asked,
    clause: String,
    field: &'a Field,
    zone: Option<&'a TimeZone>,
}

impl Place<'_> {
    fn judge(&self, condition: &Condition, naming: bool) -> Judged {
        match &condition.test {
            Test::IsNull => self.is_null(true),
            Test::IsNotNull => self.is_null(false),
            _ if condition.multi_value => self.several(condition, naming),
            _ => match self.asked {
                Asked::Number => self.number(condition),
                Asked::Date => self.date(condition),
                Asked::Moment(epoch) => self.moment(condition, epoch),
                Asked::Words => self.words(condition),
                _ => self.single(condition, naming),
            },
        }
    }

    /// True of every issue with a value; `None` where that is not certain.
    fn not_empty(&self) -> Option<String> {
        match self.asked {
            Asked::OwnId | Asked::OwnKey | Asked::Category | Asked::Loose => None,
            _ => Some(format!("{} is not EMPTY", self.clause)),
        }
    }

    /// The weakest help: issues without a value cannot fulfil any comparison.
    fn any_value(&self) -> Judged {
        match self.not_empty() {
            Some(native) => Judged::superset(native, OPEN),
            None => Judged::unsupported("Jira does not make this comparison"),
        }
    }

    /// The weakest help for a condition that is not sent itself.
    fn any_value_of(&self, condition: &Condition) -> Judged {
        match condition.test {
            Test::Contains { negated: true, .. } | Test::SameSet { negated: true, .. } => empty_too(),
            _ => self.any_value(),
        }
    }

    fn is_null(&self, null: bool) -> Judged {
        let native = format!("{} is {}EMPTY", self.clause, if null { "" } else { "not " });
        match (self.asked, null) {
            (Asked::OwnId | Asked::OwnKey | Asked::Category, _) => {
                Judged::unsupported("every issue has a value there")
            }
            (Asked::Branch, true) | (Asked::Loose, false) => {
                Judged::unsupported("Jira does not tell this apart")
            }
            (Asked::Branch | Asked::Words | Asked::Whole | Asked::Loose, _) => {
                Judged::superset(native, EMPTY)
            }
            _ => Judged::exact(native, EMPTY),
        }
    }

    fn literal(&self, value: &Value, case_sensitive: bool) -> Literal {
        let Value::Text(text) = value else { return Literal::Open };
        let sent = |text: String, only: bool, known: bool| Literal::Sent { text, only, known };
        match self.asked {
            Asked::Choice | Asked::Trunk | Asked::Branch => self.choice(text),
            Asked::Category => match text.as_str() {
                "new" => sent("2".to_owned(), true, true),
                "done" => sent("3".to_owned(), true, true),
                "indeterminate" => sent("4".to_owned(), true, true),
                _ => Literal::Open,
            },
            Asked::Issue | Asked::OwnId if jql::is_id(text) => sent(text.clone(), true, false),
            Asked::Issue | Asked::OwnId => Literal::Never,
            // A key that an issue once had still finds it.
            Asked::OwnKey if case_sensitive && jql::is_key(text) => sent(jql::quoted(text), false, false),
            Asked::Account if case_sensitive && jql::is_account(text) => sent(jql::quoted(text), true, false),
            // These may be compared without regard to case.
            Asked::Group if case_sensitive && is_plain(text) => sent(jql::quoted(text), false, false),
            Asked::Label | Asked::Whole if case_sensitive && is_plain(text) && !text.contains(' ') => {
                sent(jql::quoted(text), false, true)
            }
            _ => Literal::Open,
        }
    }

    /// An id of a list. Where some value of the list is called like it, that one may be meant.
    fn choice(&self, id: &str) -> Literal {
        let Some(list) = picklist(self.field) else {
            let named = Literal::Sent { text: id.to_owned(), only: true, known: false };
            return if jql::is_id(id) { named } else { Literal::Open };
        };
        let choice = list.values.iter().find(|choice| choice.value.as_str() == Some(id));
        let called = list.values.iter().any(|choice| choice.label.trim() == id);
        let Some(choice) = choice.filter(|_| jql::is_id(id) && !called) else { return Literal::Open };
        let text = match (self.asked, choice.valid_for.as_deref()) {
            (Asked::Trunk, _) => format!("cascadeOption({id})"),
            (Asked::Branch, Some([parent])) => match parent.as_str().filter(|parent| jql::is_id(parent)) {
                Some(parent) => format!("cascadeOption({parent}, {id})"),
                None => return Literal::Open,
            },
            (Asked::Branch, _) => return Literal::Open,
            _ => id.to_owned(),
        };
        Literal::Sent { text, only: true, known: true }
    }

    /// One of these values, or none of them.
    fn listed(&self, values: &[String], negated: bool) -> String {
        let clause = &self.clause;
        let not = if negated { "not " } else { "" };
        let function = matches!(self.asked, Asked::Trunk | Asked::Branch);
        match values {
            [one] if function => format!("{clause} {not}in {one}"),
            several if function => {
                let each: Vec<String> = several.iter().map(|one| format!("{clause} {not}in {one}")).collect();
                format!("({})", each.join(if negated { " and " } else { " or " }))
            }
            [one] => format!("{clause} {}= {one}", if negated { "!" } else { "" }),
            several => format!("{clause} {not}in ({})", several.join(", ")),
        }
    }

    /// One of values that are compared as a whole.
    fn single(&self, condition: &Condition, naming: bool) -> Judged {
        let literal = |value: &Value| self.literal(value, condition.case_sensitive);
        let (literals, negated): (Vec<Literal>, bool) = match &condition.test {
            Test::Compare(Comparison::Equal, value) => (vec![literal(value)], false),
            Test::Compare(Comparison::NotEqual, value) => (vec![literal(value)], true),
            Test::In { values, negated } => (values.iter().map(literal).collect(), *negated),
            _ => return self.any_value(),
        };
        let (mut sent, mut exact, mut open) = (Vec::new(), true, false);
        for literal in literals {
            match literal {
                Literal::Sent { text, only, known } if (only || !negated) && (known || naming) => {
                    exact &= only && known;
                    sent.push(text);
                }
                Literal::Never => {}
                Literal::Sent { .. } | Literal::Open => {
                    exact = false;
                    open = true;
                }
            }
        }
        // What is not excluded by name only makes the condition weaker; what is not looked for would be lost.
        if sent.is_empty() || (open && !negated) {
            return match self.not_empty() {
                Some(native) if exact && negated => Judged::exact(native, EMPTY),
                _ => self.any_value(),
            };
        }
        let listed = self.listed(&sent, negated);
        // An issue without a second option has none of them, which is not told from having another.
        let exact = exact && !(negated && self.asked == Asked::Branch);
        let native = match self.not_empty() {
            Some(not_empty) if negated => format!("({listed} and {not_empty})"),
            _ => listed,
        };
        if exact { Judged::exact(native, ID) } else { Judged::superset(native, NAMED) }
    }

    /// Several values that are compared as a whole.
    fn several(&self, condition: &Condition, naming: bool) -> Judged {
        let one = |value: &Value, negated: bool| match self.literal(value, condition.case_sensitive) {
            Literal::Sent { text, only, known } if (only || !negated) && (known || naming) => {
                Some((self.listed(&[text], negated), only && known))
            }
            _ => None,
        };
        match &condition.test {
            Test::Contains { value, negated: false } => match one(value, false) {
                Some((native, true)) => Judged::exact(native, ID),
                Some((native, false)) => Judged::superset(native, NAMED),
                None => self.any_value(),
            },
            // Whether `!=` is fulfilled by an issue that has the value beside others is not told clearly.
            Test::Contains { value, negated: true } => match one(value, true) {
                Some((native, _)) => {
                    Judged::superset(format!("({native} or {} is EMPTY)", self.clause), NAMED)
                }
                None => empty_too(),
            },
            Test::SameSet { values, negated } if values.is_empty() => self.is_null(!*negated),
            Test::SameSet { values, negated: false } => {
                let each: Vec<String> =
                    values.iter().filter_map(|value| one(value, false)).map(|(native, _)| native).collect();
                match each.as_slice() {
                    [] => self.any_value(),
                    [one] => Judged::superset(one.as_str(), MORE),
                    all => Judged::superset(format!("({})", all.join(" and ")), MORE),
                }
            }
            Test::SameSet { .. } => empty_too(),
            _ => self.any_value(),
        }
    }

    fn number(&self, condition: &Condition) -> Judged {
        let number = |value: &Value| match value {
            Value::Number(number) => jql::number(number),
            _ => None,
        };
        self.ordered(condition, SAME, |comparison, value| {
            let found = number(value)?;
            let (clause, exact) = (&self.clause, found.is_exact());
            Some(match comparison {
                Comparison::Equal if exact => (format!("{clause} = {}", found.low), true),
                Comparison::NotEqual if exact => (format!("{clause} != {}", found.low), true),
                Comparison::Equal => {
                    (format!("({clause} > {} and {clause} < {})", found.low, found.high), false)
                }
                Comparison::NotEqual => return None,
                Comparison::Less | Comparison::LessOrEqual if !exact => {
                    (format!("{clause} < {}", found.high), false)
                }
                Comparison::Greater | Comparison::GreaterOrEqual if !exact => {
                    (format!("{clause} > {}", found.low), false)
                }
                other => (format!("{clause} {} {}", other.symbol(), found.low), true),
            })
        })
    }

    fn date(&self, condition: &Condition) -> Judged {
        self.ordered(condition, SAME, |comparison, value| {
            let Value::Date(date) = value else { return None };
            Some((format!("{} {} {}", self.clause, comparison.symbol(), jql::date(*date)?), true))
        })
    }

    fn moment(&self, condition: &Condition, epoch: bool) -> Judged {
        let clock = match (epoch, self.zone) {
            (true, _) => Clock::Epoch,
            (false, Some(zone)) => Clock::Profile(zone),
            (false, None) => Clock::Anywhere,
        };
        let clause = &self.clause;
        self.ordered(condition, MINUTES, |comparison, value| {
            let Value::Instant(moment) = value else { return None };
            let low = || clock.not_after(*moment).map(|low| format!("{clause} >= {low}"));
            let high = || clock.not_before(*moment).map(|high| format!("{clause} <= {high}"));
            let native = match comparison {
                Comparison::Equal => format!("({} and {})", low()?, high()?),
                Comparison::NotEqual => return None,
                Comparison::Less | Comparison::LessOrEqual => high()?,
                Comparison::Greater | Comparison::GreaterOrEqual => low()?,
            };
            Some((native, false))
        })
    }

    /// Values that have an order. `one` writes a comparison with a value and tells whether it is exact.
    fn ordered(
        &self,
        condition: &Condition,
        why: &str,
        one: impl Fn(Comparison, &Value) -> Option<(String, bool)>,
    ) -> Judged {
        let joined = |parts: Option<Vec<(String, bool)>>, word: &str| {
            let parts = parts?;
            let exact = parts.iter().all(|(_, exact)| *exact);
            let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
            Some((
                if texts.len() == 1 { texts[0].to_owned() } else { format!("({})", texts.join(word)) },
                exact,
            ))
        };
        let each = |comparison: Comparison, values: &[Value]| -> Option<Vec<(String, bool)>> {
            values.iter().map(|value| one(comparison, value)).collect()
        };
        let found = match &condition.test {
            Test::Compare(comparison, value) => one(*comparison, value),
            Test::In { values, negated: false } => joined(each(Comparison::Equal, values), " or "),
            Test::In { values, negated: true } => joined(each(Comparison::NotEqual, values), " and "),
            Test::Between { low, high, negated: false } => joined(
                one(Comparison::GreaterOrEqual, low)
                    .zip(one(Comparison::LessOrEqual, high))
                    .map(|(low, high)| vec![low, high]),
                " and ",
            ),
            Test::Between { low, high, negated: true } => joined(
                one(Comparison::Less, low)
                    .zip(one(Comparison::Greater, high))
                    .map(|(low, high)| vec![low, high]),
                " or ",
            ),
            _ => None,
        };
        // What becomes of an issue without a value matters only where nobody looks again.
        let safe = matches!(
            condition.test,
            Test::Compare(Comparison::Equal, _)
                | Test::In { negated: false, .. }
                | Test::Between { negated: false, .. }
        );
        match (found, self.not_empty()) {
            (Some((native, false)), _) => Judged::superset(native, why),
            (Some((native, true)), _) if safe => Judged::exact(native, why),
            (Some((native, true)), Some(not_empty)) => {
                Judged::exact(format!("({native} and {not_empty})"), why)
            }
            _ => self.any_value(),
        }
    }

    /// Text of one line: words that surely stand in it as such are looked for.
    fn words(&self, condition: &Condition) -> Judged {
        let whole = |value: &Value| match value {
            Value::Text(text) => Some(text_words(text, true, true, condition.case_sensitive)),
            _ => None,
        };
        let found = match &condition.test {
            Test::Compare(Comparison::Equal, value) => whole(value).map(|words| vec![words]),
            Test::In { values, negated: false } => values.iter().map(whole).collect(),
            Test::Like { pattern, negated: false } => {
                Some(vec![pattern_words(pattern, condition.case_sensitive)])
            }
            _ => None,
        };
        let branches = found.filter(|branches| branches.iter().all(|words| !words.is_empty()));
        let Some(branches) = branches else { return self.any_value() };
        let each: Vec<String> = branches
            .iter()
            .map(|words| {
                let parts: Vec<String> =
                    words.iter().map(|word| format!("{} ~ {}", self.clause, jql::quoted(word))).collect();
                if parts.len() == 1 { parts[0].clone() } else { format!("({})", parts.join(" and ")) }
            })
            .collect();
        let native = if each.len() == 1 { each[0].clone() } else { format!("({})", each.join(" or ")) };
        Judged::superset(native, WORDS)
    }
}

/// The values that a field may have.
fn picklist(field: &Field) -> Option<&Picklist> {
    match &field.field_type {
        FieldType::Picklist(list) | FieldType::MultiPicklist { picklist: list, .. } => Some(list),
        _ => None,
    }
}

fn empty_too() -> Judged {
    Judged::unsupported("issues without any value fulfil it too")
}

/// Whether a text is looked for as it stands: two words mean that there is no value.
fn is_plain(text: &str) -> bool {
    let keyword = text.eq_ignore_ascii_case("empty") || text.eq_ignore_ascii_case("null");
    !text.is_empty()
        && !keyword
        && text.chars().count() <= TEXT_MAX
        && text.trim() == text
        && !text.contains(|letter: char| (letter.is_whitespace() && letter != ' ') || letter.is_control())
}

/// Words of a pattern that stand between blanks, or at an end that the pattern holds fast.
fn pattern_words(pattern: &Pattern, case_sensitive: bool) -> Vec<String> {
    let last = pattern.0.len().saturating_sub(1);
    let mut out = Vec::new();
    for (at, part) in pattern.0.iter().enumerate() {
        if let PatternPart::Literal(text) = part {
            out.extend(text_words(text, at == 0, at == last, case_sensitive));
        }
    }
    out
}

/// Words of a text that every way of cutting texts into words leaves whole and looks for: plain letters and digits
/// between blanks, longer than any word that searches pass over. `begins` and `ends` tell whether the text's own ends
/// are those of what is searched.
fn text_words(text: &str, begins: bool, ends: bool, case_sensitive: bool) -> Vec<String> {
    let pieces: Vec<&str> = text.split(' ').collect();
    let last = pieces.len() - 1;
    let whole = |(at, piece): (usize, &&str)| {
        let plain = piece.len() >= WORD_MIN
            && piece.len() <= WORD_MAX
            && piece.bytes().all(|byte| byte.is_ascii_alphanumeric())
            // Letters that others outside ASCII fold to.
            && (case_sensitive || !piece.contains(['k', 'K', 's', 'S']));
        (plain && (at > 0 || begins) && (at < last || ends)).then(|| (*piece).to_owned())
    };
    pieces.iter().enumerate().filter_map(whole).collect()
}
