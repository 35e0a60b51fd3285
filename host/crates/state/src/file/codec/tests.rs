//! The bytes are what they were.

use super::*;

fn stored(written: Option<i64>, bytes: &[u8]) -> Stored<'_> {
    Stored { written, bytes }
}

/// One entry of each sort, in order.
fn entries() -> Vec<Entry<'static>> {
    let entry = |state, group, key: &'static str, change| Entry {
        state,
        group: KeyGroup(group),
        key: key.as_bytes(),
        version: 200,
        change,
    };
    vec![
        entry(0, 5, "a", Change::PutValue(stored(None, b"one"))),
        entry(0, 5, "b", Change::DeleteValue),
        entry(0, 300, "", Change::PutValue(stored(Some(-2), b""))),
        entry(1, 300, "l", Change::ClearList),
        entry(1, 300, "l", Change::Item(128, stored(Some(1), b"x"))),
        entry(2, 300, "m", Change::ClearMap),
        entry(2, 300, "m", Change::PutEntry(b"n", stored(None, b"y"))),
        entry(2, 300, "m", Change::DeleteEntry(b"o")),
    ]
}

fn block() -> Vec<u8> {
    let (mut out, mut before) = (Vec::new(), None);
    for entry in &entries() {
        push_entry(&mut out, entry, before);
        before = Some((entry.state, entry.group, entry.key));
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_entries() {
    let golden = concat!(
        "70",
        "00000000",
        "0500",
        "0161",
        "c801",
        "036f6e65",
        "11",
        "0162",
        "c801",
        "38",
        "2c01",
        "00",
        "c801",
        "feffffffffffffff",
        "00",
        "72",
        "01000000",
        "2c01",
        "016c",
        "c801",
        "0b",
        "c801",
        "8001",
        "0100000000000000",
        "0178",
        "74",
        "02000000",
        "2c01",
        "016d",
        "c801",
        "05",
        "c801",
        "016e",
        "0179",
        "06",
        "c801",
        "016f",
    );
    assert_eq!(hex(&block()), golden);
}

#[test]
fn entries_read_back_and_a_cut_one_is_noticed() {
    let block = block();
    let (mut rest, mut before) = (&block[..], None);
    for entry in entries() {
        assert_eq!(take_entry(&mut rest, before), Some(entry));
        before = Some((entry.state, entry.group, entry.key));
    }
    assert!(rest.is_empty());
    assert_eq!(take_entry(&mut &block[..9], None), None);
    assert_eq!(take_entry(&mut &block[14..], None), None, "the first entry of a block names its state");
}

#[test]
fn golden_frame() {
    assert_eq!(hex(&header()), "474d535401000000");
    assert_eq!(hex(&block_header(b"stored", 9)), "0600000009000000fd8405cb");
    let mut index = Vec::new();
    let at = BlockAt { state: 1, group: KeyGroup(2), offset: 3, entries: 4 };
    at.encode(&mut index);
    assert_eq!(hex(&index), "010000000200030000000000000004000000");
    assert_eq!((index.len(), BlockAt::decode(&index)), (INDEX_ENTRY_BYTES, Some(at)));
    let footer = Footer { index_offset: 1, blocks: 2, index_crc: 3, entries: 4, groups: (5, 6) };
    let golden = "01000000000000000200000003000000040000000000000005000600010063d3f48b474d5354";
    assert_eq!(hex(&footer.encode()), golden);
    assert_eq!((footer.encode().len(), Footer::decode(&footer.encode())), (FOOTER_BYTES, Ok(footer)));
}

#[test]
fn a_footer_of_a_newer_version_is_told_from_a_damaged_one() {
    let footer = Footer { index_offset: 1, blocks: 2, index_crc: 3, entries: 4, groups: (5, 6) }.encode();
    let mut newer = footer.clone();
    newer[28..30].copy_from_slice(&9_u16.to_le_bytes());
    assert_eq!(Footer::decode(&newer), Err(NoFooter::Damaged));
    let crc = crc32c::crc32c(&newer[..30]);
    newer[30..34].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Footer::decode(&newer), Err(NoFooter::Newer(9)));
    assert_eq!(Footer::decode(&footer[1..]), Err(NoFooter::Damaged));
}
