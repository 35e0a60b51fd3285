//! How RocksDB is set up, and why.

use ::rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, Env, IngestExternalFileOptions, LogLevel, Options, ReadOptions,
};

use super::clock::Expired;

/// Bytes of a block: cold reads are of single entries, so a small one; a smaller one would double the index.
const BLOCK_BYTES: usize = 8 << 10;

/// Bits of a filter for each entry: one lookup in a hundred of something absent reads a block for nothing.
const FILTER_BITS: f64 = 10.0;

/// The options of the database and of the files that it takes in.
pub(super) fn database(cache_bytes: usize, expired: Expired) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK_BYTES);
    // Most keys that are looked up are new ones, and stand nowhere.
    table.set_bloom_filter(FILTER_BITS, false);
    // One bound for everything: filters and indices of a large state would otherwise grow beside the budget.
    table.set_block_cache(&Cache::new_lru_cache(cache_bytes));
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // The newest layout, and the checksum that is cheapest where there is no instruction for CRC.
    table.set_format_version(6);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    // The only codec that is compiled in. It costs a tenth of what reading a block from disk does.
    options.set_compression_type(DBCompressionType::Lz4);
    // Whatever is found is read again from the tables: a cache of rows would hold the same a second time.
    options.set_max_open_files(256);
    // Everything comes by ingestion; only deletions of whole maps go through the write buffer.
    options.set_write_buffer_size(1 << 20);
    options.set_max_write_buffer_number(2);
    // The truth is in checkpoint storage: nothing here must survive a crash. RocksDB synchronises what it takes in all the
    // same; at least without the times of the files.
    options.set_use_fsync(false);
    options.set_wal_size_limit_mb(0);
    // One thread flushes and compacts, at the lowest priority: the task must not feel it.
    options.set_max_background_jobs(2);
    if let Ok(mut env) = Env::new() {
        env.lower_thread_pool_cpu_priority();
        env.lower_thread_pool_io_priority();
        env.lower_high_priority_thread_pool_cpu_priority();
        options.set_env(&env);
    }
    // Entries whose time to live is over leave with the next compaction.
    options.set_compaction_filter("expired", move |_level, place: &[u8], stored: &[u8]| expired.decide(place, stored));
    // Its own log is of use to nobody: one small file.
    options.set_log_level(LogLevel::Error);
    options.set_keep_log_file_num(1);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// How a file is taken in.
pub(super) fn ingestion() -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    // The file is ours and becomes the database's: a link, not a copy. Its sequence number is kept beside it, in the
    // manifest (`write_global_seqno` is off by default): the file is not written to again.
    options.set_move_files(true);
    // No snapshots are held; without them, an ingestion need not be ordered against any.
    options.set_snapshot_consistency(false);
    // Newer files stand above older ones with the same places.
    options.set_allow_global_seqno(true);
    // Deletions of whole maps may lie in the write buffer.
    options.set_allow_blocking_flush(true);
    options
}

/// How single entries are read.
pub(super) fn lookup() -> ReadOptions {
    let mut options = ReadOptions::default();
    // What is found goes into the tables; its block is likely to be wanted for its neighbours all the same.
    options.fill_cache(true);
    options
}

/// How a map is scanned, up to a place.
pub(super) fn scan(end: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    // A scan of a large map must not push everything else out of the cache.
    options.fill_cache(false);
    options
}
