//! Where the parts of a document stand in its text.
//!
//! A path such as `operators.enrich.inputs.in.from[1]` → line and column. Knows YAML (and so JSON), not what the
//! document means.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, Span};

/// A place in a text; both count from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// All parts of one document and where they stand.
///
/// A text, number or item of a list stands where it is written; a map or list that is the value of a key stands at that
/// key.
#[derive(Debug, Default)]
pub struct Positions {
    by_path: HashMap<String, Position>,
    /// The innermost part for each place where a key or a value begins.
    by_place: HashMap<Position, String>,
}

/// The place of the part with this path, or of the nearest thing around it that is there. `None` if the text is not
/// YAML or holds nothing.
#[must_use]
pub fn locate(text: &str, path: &str) -> Option<Position> {
    Positions::of(text).find(path)
}

impl Positions {
    /// Reads a text once. Of a broken text, what stands before the break is known.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut walk = Walk::default();
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            walk.take(event, &span);
        }
        walk.found
    }

    /// The place of a part, or of the nearest thing around it that is there.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(found) = self.by_path.get(path) {
                return Some(*found);
            }
            path = match path.rfind(['.', '[']) {
                Some(end) => &path[..end],
                None if path.is_empty() => return None,
                None => "",
            };
        }
    }

    /// The path of the part whose key or value begins at exactly this place: the innermost, if several do.
    pub(crate) fn path_at(&self, position: Position) -> Option<&str> {
        self.by_place.get(&position).map(String::as_str)
    }

    /// The map that holds the key at this place, or that begins here: where it stands, and its path.
    pub(crate) fn map_around(&self, position: Position) -> (Position, &str) {
        let here = self.path_at(position).unwrap_or_default();
        let begins_here = self.by_path.get(here).is_some_and(|place| *place != position);
        let around = if begins_here { here } else { here.rfind(['.', '[']).map_or("", |end| &here[..end]) };
        (self.find(around).unwrap_or(position), around)
    }

    /// A node and the place by which it is known.
    fn add(&mut self, path: &str, place: Position, begins: Position) {
        self.by_path.entry(path.to_owned()).or_insert(place);
        self.by_place.insert(place, path.to_owned());
        self.by_place.insert(begins, path.to_owned());
    }
}

/// The parser's events, turned into paths. Deep nesting costs memory, never the stack.
#[derive(Default)]
struct Walk {
    open: Vec<Container>,
    found: Positions,
}

/// A map or list that has not ended yet.
struct Container {
    path: String,
    inside: Inside,
}

enum Inside {
    /// A list, and how many of its items have begun.
    List(usize),
    /// A map before a key.
    BeforeKey,
    /// A map before the value of the key at this place.
    BeforeValue { path: String, key: Position },
}

impl Walk {
    fn take(&mut self, event: Event<'_>, span: &Span) {
        let here = Position { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Scalar(text, ..) => self.scalar(&text, here),
            // What an alias stands for was indexed where it is written; the alias itself is one node.
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.scalar("*", here),
            Event::SequenceStart(..) => self.begin(here, Inside::List(0)),
            Event::MappingStart(..) => self.begin(here, Inside::BeforeKey),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            // Comments, and where stream and document begin and end: no parts of the document.
            _ => {}
        }
    }

    fn scalar(&mut self, text: &str, here: Position) {
        match self.open.last_mut() {
            Some(Container { path, inside: inside @ Inside::BeforeKey }) => {
                let path = if path.is_empty() { text.to_owned() } else { format!("{path}.{text}") };
                self.found.by_place.insert(here, path.clone());
                *inside = Inside::BeforeValue { path, key: here };
            }
            Some(_) | None => {
                let (path, _) = self.next_node(here);
                self.found.add(&path, here, here);
            }
        }
    }

    fn begin(&mut self, here: Position, inside: Inside) {
        let (path, place) = self.next_node(here);
        self.found.add(&path, place, here);
        self.open.push(Container { path, inside });
    }

    /// The path of the node that begins here, and its place: its key's if it has one, otherwise its own.
    fn next_node(&mut self, here: Position) -> (String, Position) {
        let Some(container) = self.open.last_mut() else { return (String::new(), here) };
        match &mut container.inside {
            Inside::List(count) => {
                *count += 1;
                (format!("{}[{}]", container.path, *count - 1), here)
            }
            inside @ Inside::BeforeValue { .. } => match std::mem::replace(inside, Inside::BeforeKey) {
                Inside::BeforeValue { path, key } => (path, key),
                Inside::List(_) | Inside::BeforeKey => (container.path.clone(), here),
            },
            // A map or list as a key: no job document has one.
            inside @ Inside::BeforeKey => {
                *inside = Inside::BeforeValue { path: format!("{}.?", container.path), key: here };
                (format!("{}.?", container.path), here)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
sources:
  orders:
    from: {file: {path: a.jsonl}}   # a comment
operators:
  enrich:
    inputs:
      in:
        from:
          - orders
          - \"more\"
sinks: {out: {inputs: [enrich]}}
";

    #[test]
    fn every_part_has_its_place() {
        for (path, line, column) in [
            ("sources", 1, 1),
            ("sources.orders", 2, 3),
            ("sources.orders.from.file.path", 3, 25),
            ("operators.enrich.inputs.in.from", 8, 9),
            ("operators.enrich.inputs.in.from[0]", 9, 13),
            ("operators.enrich.inputs.in.from[1]", 10, 13),
            ("sinks.out.inputs[0]", 11, 24),
        ] {
            assert_eq!(locate(DOCUMENT, path), Some(Position { line, column }), "{path}");
        }
    }

    #[test]
    fn a_missing_part_stands_where_what_is_around_it_stands() {
        assert_eq!(locate(DOCUMENT, "sources.orders.event_time.path"), Some(Position { line: 2, column: 3 }));
        assert_eq!(locate(DOCUMENT, "job"), Some(Position { line: 1, column: 1 }));
        assert_eq!(locate("", "job"), None);
    }

    #[test]
    fn json_has_places_too() {
        let json = "{\n\t\"sources\": {\n\t\t\"a\": {\"from\": \"stdin\"}}}";
        assert_eq!(locate(json, "sources.a.from"), Some(Position { line: 3, column: 17 }));
    }

    #[test]
    fn a_place_has_its_path() {
        let positions = Positions::of(DOCUMENT);
        assert_eq!(positions.path_at(Position { line: 3, column: 25 }), Some("sources.orders.from.file.path"));
        assert_eq!(positions.path_at(Position { line: 3, column: 26 }), None);
    }
}
