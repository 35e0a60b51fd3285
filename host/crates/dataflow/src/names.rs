//! The nearest known name to a wrong one, for the ends of sentences.

/// How many names a sentence lists before it says `…`.
const LISTED: usize = 12;

/// The known name that the author most likely meant: few slips of the finger away, measured by the name's length.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (wrong.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// ``did you mean `from`?`` or, where nothing is near, ``known here: `from`, `key_by` ``; nothing if nothing is known.
pub(crate) fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    match nearest(wrong, known.clone()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None => {
            let names = list(known);
            (!names.is_empty()).then(|| format!("known here: {names}"))
        }
    }
}

/// Names in backticks, separated by commas; a long list is cut.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut text = names.by_ref().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.next().is_some() {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_a_stranger_is_not() {
        let known = ["from", "key_by", "partition"];
        for (wrong, meant) in [("form", Some("from")), ("keyby", Some("key_by")), ("parition", Some("partition"))] {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
        assert_eq!(nearest("window", known), None);
        assert_eq!(suggest("window", known).as_deref(), Some("known here: `from`, `key_by`, `partition`"));
        assert_eq!(suggest("window", []), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        assert!(list(std::iter::repeat_n("a", 13)).ends_with("`a`, …"));
    }
}
