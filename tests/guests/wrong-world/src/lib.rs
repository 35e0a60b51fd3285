//! A sound component of some other world: it exports `elsewhere:shop/till`, and nothing of Gristmill's.
//! The host must refuse it at upload: the exports that are missing, by name, and what it found instead.

wit_bindgen::generate!({
    inline: "
        package elsewhere:shop;
        interface till { total: func(prices: list<u32>) -> u64; }
        world shop { export till; }
    ",
});

struct WrongWorld;

impl exports::elsewhere::shop::till::Guest for WrongWorld {
    fn total(prices: Vec<u32>) -> u64 {
        prices.into_iter().map(u64::from).sum()
    }
}

export!(WrongWorld);
