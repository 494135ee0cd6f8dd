//! What the names of fields say: words, put in one form.

/// Words that services write as one, and what they are.
const COMPOUNDS: &[(&str, &[&str])] = &[
    ("emailaddress", &["email"]),
    ("firstname", &["first", "name"]),
    ("givenname", &["first", "name"]),
    ("lastname", &["last", "name"]),
    ("surname", &["last", "name"]),
    ("fullname", &["full", "name"]),
    ("jobtitle", &["job", "title"]),
    ("telephone", &["phone"]),
    ("mobilephone", &["mobile", "phone"]),
    ("websiteurl", &["website"]),
    ("homepage", &["website"]),
    ("postalcode", &["zip"]),
    ("zipcode", &["zip"]),
    ("stateorprovince", &["state"]),
    ("numberofemployees", &["employees"]),
    ("birthday", &["birth", "date"]),
    ("birthdate", &["birth", "date"]),
    ("duedate", &["due", "date"]),
    ("accountnumber", &["account", "number"]),
    ("tickersymbol", &["ticker", "symbol"]),
    ("estimatedvalue", &["estimated", "amount"]),
    ("actualvalue", &["actual", "amount"]),
];

/// Several words that say one thing.
const PHRASES: &[(&str, &str)] = &[
    ("e mail", "email"),
    ("zip postal code", "zip"),
    ("postal code", "zip"),
    ("state province", "state"),
    ("country region", "country"),
    ("number of employees", "employees"),
];

/// Words that mean the same; the last is taken.
const SYNONYMS: &[(&str, &str)] = &[
    ("mail", "email"),
    ("tel", "phone"),
    ("cell", "mobile"),
    ("postal", "zip"),
    ("province", "state"),
    ("region", "country"),
    ("family", "last"),
    ("given", "first"),
    ("web", "website"),
    ("url", "website"),
    ("subject", "title"),
    ("topic", "title"),
    ("summary", "title"),
    ("stage", "phase"),
    ("est", "estimated"),
    ("asst", "assistant"),
    ("company", "organisation"),
    ("organization", "organisation"),
    ("line", "street"),
    ("comment", "note"),
    ("comments", "note"),
    ("notes", "note"),
    ("begin", "start"),
    ("finish", "end"),
    ("created", "creation"),
    ("born", "birth"),
    ("escalation", "escalated"),
    ("desc", "description"),
    ("qty", "quantity"),
    ("employee", "employees"),
    ("calls", "call"),
    ("value", "amount"),
    ("addr", "address"),
];

/// Words that qualify and hardly ever tell fields apart.
const WEAK: &[&str] = &[
    "business",
    "main",
    "primary",
    "work",
    "code",
    "of",
    "is",
    "the",
    "number",
    "id",
    "address",
    "mailing",
    "billing",
    "no",
    "field",
    "value",
    "type",
    "default",
    "1",
    "text",
    "supplied",
    "name",
    "pipeline",
    "allow",
    "estimated",
];

/// Words that a sameness of all others does not make up for.
const TELLING: &[&str] = &[
    "other",
    "shipping",
    "home",
    "mobile",
    "assistant",
    "parent",
    "account",
    "actual",
    "managed",
    "photo",
    "first",
    "last",
    "full",
    "not",
    "out",
    "latitude",
    "longitude",
    "reason",
    "currency",
    "system",
    "fax",
    "sic",
    "naics",
];

/// The words of a name or label, in small letters and one form.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut raw: Vec<String> = Vec::new();
    let mut last: Option<char> = None;
    for letter in text.chars() {
        if letter == '\'' || letter == '’' {
            continue;
        }
        if !letter.is_alphanumeric() {
            last = None;
            continue;
        }
        let breaks = match last {
            None => true,
            Some(before) => {
                (before.is_lowercase() && letter.is_uppercase())
                    || (before.is_numeric() != letter.is_numeric())
            }
        };
        if breaks {
            raw.push(String::new());
        }
        if let Some(word) = raw.last_mut() {
            word.extend(letter.to_lowercase());
        }
        last = Some(letter);
    }
    // A custom field's ending, and the prefix of whoever published it.
    if text.ends_with("__c") || text.ends_with("__r") {
        raw.pop();
    }
    if raw.len() > 1 && matches!(raw[0].as_str(), "new" | "msdyn" | "ns") {
        raw.remove(0);
    }
    let mut words: Vec<String> = Vec::new();
    // "e-mail" falls apart, "zip/postal code" says one thing three times.
    let mut joined = raw.join(" ");
    for (said, word) in PHRASES {
        joined = joined.replace(said, word);
    }
    for word in joined.split(' ') {
        let compound = COMPOUNDS.iter().find(|(known, _)| *known == word);
        match compound {
            Some((_, parts)) => words.extend(parts.iter().map(|part| (*part).to_owned())),
            None => {
                let same = SYNONYMS.iter().find(|(known, _)| *known == word).map_or(word, |(_, one)| one);
                words.push(same.to_owned());
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| !word.is_empty() && seen.insert(word.clone()));
    words
}

fn weight(word: &str) -> u32 {
    if TELLING.contains(&word) {
        12
    } else if WEAK.contains(&word) {
        3
    } else {
        10
    }
}

/// How much of two names is the same, in percent: shared words among all words, by weight. Words of the types'
/// own names are weak on their side (the `Account Name` of an account is its name).
pub(super) fn likeness(one: &[String], other: &[String], own: [&[String]; 2]) -> u32 {
    if one.is_empty() || other.is_empty() {
        return 0;
    }
    if one.concat() == other.concat() {
        return 100;
    }
    let weighed = |word: &String, own: &[String]| if own.contains(word) { 2 } else { weight(word) };
    let mut shared = 0;
    let mut all = 0;
    for word in one {
        let weight = weighed(word, own[0]);
        all += weight;
        if other.contains(word) {
            shared += weight;
        }
    }
    for word in other.iter().filter(|word| !one.contains(word)) {
        all += weighed(word, own[1]);
    }
    100 * shared / all.max(1)
}

#[cfg(test)]
mod tests {
    use super::{likeness, words};

    #[test]
    fn names_become_the_same_words() {
        for (text, expected) in [
            ("MailingPostalCode", "mailing zip"),
            ("Mailing Zip/Postal Code", "mailing zip"),
            ("E-mail", "email"),
            ("emailaddress1", "email 1"),
            ("First_Name__c", "first name"),
            ("new_firstname", "first name"),
            ("Address 1: Country/Region", "address 1 country"),
            ("Assistant's Name", "assistants name"),
            ("numberofemployees", "employees"),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_tells_fields_apart_weighs_more_than_what_does_not() {
        let like = |one: &str, other: &str| likeness(&words(one), &words(other), [&[], &[]]);
        assert_eq!(like("First Name", "firstname"), 100);
        assert!(like("Business Phone", "Phone") > 70);
        assert!(like("Mobile Phone", "Phone") < 50);
        assert!(like("First Name", "Last Name") < 20);
        assert!(like("Billing City", "Address 1: City") > 40);
    }
}
