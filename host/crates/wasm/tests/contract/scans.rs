//! Scans of lists and maps, page by page, as a guest sees them.

use gristmill_ports::module_registry::PrepareOptions;
use gristmill_types::{Column, EventBatch, Rows, StateIndex};

use super::fixture::{NOW, Running, options, start};
use super::guest::{Guest, HONEST, Said, le};

const SCANS: &str = r#"
    (import "gristmill:operator/state@0.1.0" "list-scan"
        (func $list-scan (param i32 i32 i32 i32 i32 i32 i32)))
    (import "gristmill:operator/state@0.1.0" "map-scan"
        (func $map-scan (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
"#;

/// A list and a map, and a guest that asks for the first 4 GiB of one of them.
fn asking_for_4_gib(scan: &str) -> Running {
    let said = Said { states: &[("list", 1, 0), ("map", 2, 0)], ..HONEST };
    let mut guest = Guest::new(&said).importing(SCANS);
    let page = guest.image.put(&[0; 60]);
    let [rows, _] = guest.image.words(&[0]);
    let [ends, _] = guest.image.words(&[60]);
    let emission = guest.image.put(&le(&[0, 2, rows, 1, ends, 1, page, 60, 0, 0, 0, 0, 0, 0, 0, 0]));
    let outcome = guest.image.put(&le(&[0, emission, 1, 0, 0]));
    let bytes = guest.process(&format!("({scan} (i32.const -1) (i32.const {page})) (i32.const {outcome})")).build();
    start(&bytes, &PrepareOptions { memory_bytes: MEMORY, ..options() }).expect("it opens")
}

const MEMORY: u64 = 4 << 20;
const ITEM: usize = 10_000;
const ITEMS: usize = 100;

fn one() -> EventBatch {
    let mut batch = EventBatch::default();
    batch.push(1, Some(b"a"), None);
    batch
}

/// Puts a mebibyte into the list and into the map of the key.
fn fill(running: &mut Running) {
    let item = vec![b'x'; ITEM];
    let values: Column = (0..ITEMS).map(|_| Some(&item[..])).collect();
    let names: Vec<String> = (0..ITEMS).map(|name| format!("{name:04}")).collect();
    let keys: Column = names.iter().map(|name| Some(name.as_bytes())).collect();
    running.state.begin(&one(), NOW);
    running.state.list_append(StateIndex(0), &[0; ITEMS], &values).expect("appended");
    running.state.map_put(StateIndex(1), &[0; ITEMS], &keys, &values).expect("put");
    running.state.commit().expect("memory commits");
}

// Rule 11: what is handed to a guest must find room there, whatever it asks for.
#[test]
fn a_page_takes_an_eighth_of_the_guests_memory_at_most() {
    for scan in [
        "call $list-scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        "call $map-scan (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
    ] {
        let mut running = asking_for_4_gib(scan);
        fill(&mut running);
        let outcome = running.call(&one()).expect("an outcome");
        let Rows::Mapped { values, .. } = &outcome.emissions[0].rows else { panic!("not mapped: {outcome:?}") };
        let page: Vec<u32> =
            values.bytes_of(0).chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("a word"))).collect();
        let (data_bytes, has_next) = (page[9] as usize, page[12]);
        assert!((ITEM..=MEMORY as usize / 8).contains(&data_bytes), "{scan}: {data_bytes} bytes");
        assert_eq!(has_next, 1, "{scan}: the page says that there is more");
    }
}
