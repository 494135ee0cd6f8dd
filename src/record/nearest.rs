//! The names that somebody probably meant.

/// Names that are offered at most.
const OFFERED: usize = 3;

/// The known name that is nearest to a wanted one, if any is near: equal but for case, or few edits away.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_few(wanted, known.into_iter().map(|name| (name, name))).first().copied()
}

/// The few names nearest to a wanted one, the nearest first and each once. Every name comes with a text that it
/// may be known by: itself, a label, an alias.
#[must_use]
pub fn nearest_few<'a>(wanted: &str, known: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|(text, name)| (likeness(&wanted, &text.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in near {
        if !names.contains(&name) && names.len() < OFFERED {
            names.push(name);
        }
    }
    names
}

/// The question that offers names, when there are any.
#[must_use]
pub fn did_you_mean(names: &[&str]) -> Option<String> {
    (!names.is_empty()).then(|| format!("Did you mean {}?", names.join(" or ")))
}

fn likeness(one: &str, other: &str) -> f64 {
    if one == other {
        2.0
    } else if one.chars().count() > 2 && strsim::damerau_levenshtein(one, other) == 1 {
        // One slip of the finger weighs more in a short name than the measure for long ones says.
        1.0
    } else {
        strsim::jaro_winkler(one, other)
    }
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, nearest, nearest_few};

    #[test]
    fn the_nearest_name_is_near_or_none() {
        let known = ["Name", "LastName", "FirstName", "Email", "AccountId"];
        assert_eq!(nearest("lastname", known), Some("LastName"));
        assert_eq!(nearest("LastNmae", known), Some("LastName"));
        assert_eq!(nearest("Emial", known), Some("Email"));
        assert_eq!(nearest("Nwe", ["New", "Done"]), Some("New"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("", []), None);
    }

    #[test]
    fn a_name_is_offered_once_also_when_its_label_is_near_too() {
        let known = [("Contact", "Contact"), ("Contacts", "Contact"), ("Contract", "Contract")];
        let names = nearest_few("Contcat", known);
        assert_eq!(names, ["Contact", "Contract"]);
        assert_eq!(did_you_mean(&names).as_deref(), Some("Did you mean Contact or Contract?"));
        assert_eq!(did_you_mean(&[]), None);
    }
}
