use proptest::prelude::*;

use crate::bindings::gristmill::operator::types::Rows;
use crate::prelude::*;
use crate::testing::{Emitted, Given, Harness, event};

/// Each event says by its letters what is to be sent for it; `!` rejects it after that.
#[operator]
struct Spelled {
    out: RekeyedOutput,
    #[output(name = "copy")]
    kept: Output,
}

impl PerEvent for Spelled {
    fn on_event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        for letter in event.bytes() {
            match letter {
                b'p' => self.out.pass(event),
                b'm' => self.out.map(event, "mapped"),
                b't' => self.out.tombstone(event),
                b'c' => self.out.emit(event, 7, None, Some(b"created")),
                b'k' => self.kept.pass(event),
                _ => return Err(bad_record("a strange letter")),
            }
        }
        Ok(())
    }
}

fn expected(row: usize, text: &str) -> Vec<Emitted> {
    let key = Some(vec![row as u8]);
    let emitted = |letter| match letter {
        'p' => Emitted { timestamp: row as i64, key: key.clone(), value: Some(text.into()) },
        'm' => Emitted { timestamp: row as i64, key: key.clone(), value: Some("mapped".into()) },
        't' => Emitted { timestamp: row as i64, key: key.clone(), value: None },
        _ => Emitted { timestamp: 7, key: None, value: Some("created".into()) },
    };
    text.chars().filter(|letter| *letter != 'k').map(emitted).collect()
}

fn given(texts: &[String]) -> Vec<Given> {
    texts.iter().enumerate().map(|(row, text)| event(text).key([row as u8]).at(row as i64)).collect()
}

proptest! {
    #[test]
    fn what_was_sent_leaves_in_order_and_nothing_of_a_rejected_event(
        texts in proptest::collection::vec("[pmtck]{0,4}!?", 1..20)
    ) {
        let done = Harness::<Spelled>::new().process(given(&texts)).expect("rejections fail no call");
        let good = texts.iter().enumerate().filter(|(_, text)| !text.ends_with('!'));
        let sent: Vec<_> = good.flat_map(|(row, text)| expected(row, text)).collect();
        prop_assert_eq!(done.events("out"), sent);
        prop_assert!(done.emissions().len() <= 6, "at most three for each port");
    }
}

fn forms(texts: &[&str]) -> Vec<Rows> {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    let done = Harness::<Spelled>::new().process(given(&texts)).expect("good letters");
    done.emissions().iter().map(|emission| emission.rows.clone()).collect()
}

#[test]
fn events_passed_on_leave_as_row_numbers() {
    assert!(matches!(&forms(&["k", "", "k"])[..], [Rows::Selected(rows)] if *rows == [0, 2]));
    assert!(matches!(&forms(&["k", "k"])[..], [Rows::All]));
}

#[test]
fn new_values_leave_under_the_rows_of_their_keys() {
    assert!(matches!(&forms(&["m", "p", "mm"])[..], [Rows::Mapped(mapped)] if mapped.rows == [0, 1, 2, 2]));
}

#[test]
fn nothing_sent_is_no_emission() {
    assert!(forms(&["", ""]).is_empty());
}
