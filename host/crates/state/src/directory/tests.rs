use super::*;

fn batch(keys: impl Iterator<Item = u32>) -> EventBatch {
    let mut batch = EventBatch::default();
    keys.for_each(|key| batch.push(0, Some(&key.to_be_bytes()), None));
    batch
}

#[test]
fn rows_of_one_key_share_a_place_with_and_without_hashes() {
    let (mut directory, mut call) = (Directory::new(), Call::default());
    for events in [batch([1, 2, 1].into_iter()), batch([1, 2, 1].into_iter()).hashed()] {
        directory.open(&mut call, &events);
        assert_eq!(call.places(), 2);
        assert_eq!(call.place_of(0), call.place_of(2));
        assert_ne!(call.place_of(0), call.place_of(1));
        assert_eq!(directory.bytes_of(call.key_at(Place(1))), 2u32.to_be_bytes());
    }
}

#[test]
fn keys_that_nothing_holds_are_forgotten_and_their_ids_used_again() {
    let (mut directory, mut call) = (Directory::new(), Call::default());
    for round in 0..50 {
        directory.open(&mut call, &batch(round * 1000..round * 1000 + 1000));
        let kept = call.key_at(Place(0));
        directory.hold(kept);
        directory.forget_unheld();
        assert_eq!(directory.bytes_of(kept), (round * 1000).to_be_bytes());
    }
    assert_eq!(directory.shards.iter().map(HashTable::len).sum::<usize>(), 50);
    assert!(directory.records.len() <= 1050, "{} records for 50 keys", directory.records.len());
}

#[test]
fn the_keys_of_one_key_group_spread_over_all_shards() {
    let (mut directory, mut call) = (Directory::new(), Call::default());
    let group = |key: &u32| key_hash(&key.to_be_bytes()) % 128 < 2;
    directory.open(&mut call, &batch((0..2_000_000).filter(group)));
    let fullest = directory.shards.iter().map(HashTable::len).max();
    assert!(fullest < Some(4 * call.places() / SHARDS), "{fullest:?} of {} in one shard", call.places());
}
