//! Logs a random number and the time on its clock, then traps.
//! The host must keep both with the call: made again elsewhere, it logs the same.

use contract::{Batch, Failure, Operator, Outcome, log};

wit_bindgen::generate!({
    inline: "
        package guest:drawn;
        world drawn { import wasi:random/random@0.2.0; import wasi:clocks/wall-clock@0.2.0; }
        package wasi:random@0.2.0 {
            interface random { get-random-u64: func() -> u64; }
        }
        package wasi:clocks@0.2.0 {
            interface wall-clock {
                record datetime { seconds: u64, nanoseconds: u32 }
                now: func() -> datetime;
            }
        }
    ",
    generate_all,
});

struct TrapDrawn;

impl Operator for TrapDrawn {
    fn process(_: Batch) -> Result<Outcome, Failure> {
        let (drawn, now) = (wasi::random::random::get_random_u64(), wasi::clocks::wall_clock::now());
        log::write(log::Level::Info, None, &format!("drew {drawn:x} at {}.{:09}", now.seconds, now.nanoseconds));
        std::process::abort();
    }
}

contract::export!(TrapDrawn);
