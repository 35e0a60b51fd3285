//! What a job has committed, and how one job's differs from another's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// Place → key → its lines, in the order of the place. The order between keys means nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Outcome {
    /// Adds lines of a place: JSON objects with a `key`, or text that begins with it.
    pub(crate) fn add(&mut self, place: &str, text: &str) {
        let keys = self.0.entry(place.to_owned()).or_default();
        text.lines().for_each(|line| keys.entry(key_of(line)).or_default().push(line.to_owned()));
    }

    /// Adds a file.
    pub(crate) fn add_file(&mut self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        self.add(name, &text);
        Ok(())
    }

    /// Adds the files of a folder, in the order of their names, as one place. A hidden file is what nobody should find
    /// when a job is over, but for locks.
    pub(crate) fn add_folder(&mut self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for entry in folder.join(name).read_dir().with_context(|| format!("reading {name}"))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        for file in names {
            if file.ends_with(".staged") {
                self.add("left behind", &file);
            } else if !file.starts_with('.') {
                let text = std::fs::read_to_string(folder.join(name).join(&file))?;
                self.add(name, &text);
            }
        }
        Ok(())
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    /// What is wrong here if `undisturbed` is right, in words; `None` if nothing is.
    pub(crate) fn differs_from(&self, undisturbed: &Self) -> Option<String> {
        let places = undisturbed.0.keys().chain(self.0.keys());
        let nothing = BTreeMap::new();
        let mut wrong = Vec::new();
        for place in places.collect::<std::collections::BTreeSet<_>>() {
            let right = undisturbed.0.get(place).unwrap_or(&nothing);
            let found = self.0.get(place).unwrap_or(&nothing);
            let keys: std::collections::BTreeSet<_> = right.keys().chain(found.keys()).collect();
            let counted = keys.into_iter().map(|key| Wrong::of(right.get(key), found.get(key)));
            let sum = counted.fold(Wrong::default(), Wrong::and);
            if let Some(words) = sum.in_words() {
                wrong.push(format!("`{place}`: {words}"));
            }
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}

fn key_of(line: &str) -> String {
    let json = serde_json::from_str::<Value>(line).ok();
    let key = json.as_ref().and_then(|value| value["key"].as_str());
    key.or_else(|| line.split([' ', ',']).next()).unwrap_or_default().to_owned()
}

/// What is wrong with the lines of some keys.
#[derive(Default)]
struct Wrong {
    lost: usize,
    /// There twice, or there and never written.
    doubled: usize,
    reordered: usize,
    example: Option<String>,
}

impl Wrong {
    fn of(right: Option<&Vec<String>>, found: Option<&Vec<String>>) -> Self {
        let (right, found) = (right.map_or(&[][..], Vec::as_slice), found.map_or(&[][..], Vec::as_slice));
        if right == found {
            return Self::default();
        }
        let mut balance = BTreeMap::<&str, i64>::new();
        right.iter().for_each(|line| *balance.entry(line).or_default() -= 1);
        found.iter().for_each(|line| *balance.entry(line).or_default() += 1);
        let count = |is: fn(i64) -> bool| balance.values().filter(|count| is(**count)).count();
        let (lost, doubled) = (count(|count| count < 0), count(|count| count > 0));
        let at = right.iter().zip(found).take_while(|(right, found)| right == found).count();
        let example = format!("line {at} of a key is {:?} and should be {:?}", found.get(at), right.get(at));
        Self { lost, doubled, reordered: usize::from(lost == 0 && doubled == 0), example: Some(example) }
    }

    fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
            example: self.example.or(other.example),
        }
    }

    fn in_words(&self) -> Option<String> {
        let Self { lost, doubled, reordered, example } = self;
        let example = example.as_ref()?;
        Some(format!("{lost} lost, {doubled} too many, {reordered} keys out of order, such as: {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.add("out", text);
        outcome
    }

    #[test]
    fn what_is_lost_doubled_or_out_of_order_is_told_and_the_order_between_keys_is_not() {
        let undisturbed = of("a 1\nb 1\na 2\n{\"key\":\"c\",\"n\":1}");
        for (found, told) in [
            ("a 1\na 2\n{\"key\":\"c\",\"n\":1}\nb 1", None),
            ("a 1\na 2\n{\"key\":\"c\",\"n\":1}", Some("`out`: 1 lost, 0 too many, 0 keys out of order")),
            ("a 1\nb 1\na 2\na 2\n{\"key\":\"c\",\"n\":1}", Some("`out`: 0 lost, 1 too many, 0 keys out of order")),
            ("a 2\nb 1\na 1\n{\"key\":\"c\",\"n\":1}", Some("`out`: 0 lost, 0 too many, 1 keys out of order")),
            ("a 1\nb 1\na 2\n{\"key\":\"c\",\"n\":2}", Some("`out`: 1 lost, 1 too many, 0 keys out of order")),
        ] {
            let difference = of(found).differs_from(&undisturbed);
            match told {
                None => assert_eq!(difference, None, "{found}"),
                Some(told) => assert!(difference.as_ref().expect("a difference").starts_with(told), "{difference:?}"),
            }
        }
    }
}
