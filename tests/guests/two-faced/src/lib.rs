//! Names its output port by a random number, so that `describe` answers differently in two fresh instances.
//! The host must refuse it at upload: the descriptor differs. To find out, it must ask two instances with differently
//! seeded random.

use contract::{Descriptor, Operator};

wit_bindgen::generate!({
    inline: "
        package wasi:random@0.2.0;
        interface random { get-random-u64: func() -> u64; }
        world dice { import random; }
    ",
});

struct TwoFaced;

impl Operator for TwoFaced {
    fn describe() -> Descriptor {
        let mut descriptor = contract::descriptor();
        descriptor.outputs[0].name = format!("out-{:x}", wasi::random::random::get_random_u64());
        descriptor
    }
}

contract::export!(TwoFaced);
