//! The name that somebody probably meant.

/// The known name that is nearest to a wanted one, if any is near: equal but for case, or few edits away.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wanted.to_lowercase();
    known
        .into_iter()
        .map(|name| {
            let other = name.to_lowercase();
            let score = if other == folded {
                2.0
            } else if folded.chars().count() > 2 && strsim::damerau_levenshtein(&folded, &other) == 1 {
                // One slip of the finger weighs more in a short name than the measure for long ones says.
                1.0
            } else {
                strsim::jaro_winkler(&folded, &other)
            };
            (name, score)
        })
        .filter(|(_, score)| *score >= 0.8)
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

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
}
