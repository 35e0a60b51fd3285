//! Keeps the state `count` and shows it, but what it shows goes by the value. Each value is a text.
//! The host must say, of `trap`: the trap; of `spin`: past the deadline; of `giant`: past its output; of `nothing`: a value
//! was given, and none returned; of `prose`: what was returned is not JSON; of `refuse`: the guest's words. All others are
//! shown as JSON strings, and taken as such.

use contract::{Descriptor, Operator, Shown, StateKind, Stored, count};

struct InspectStrange;

impl Operator for InspectStrange {
    fn describe() -> Descriptor {
        count::descriptor(1, StateKind::Value)
    }
}

impl contract::Inspection for InspectStrange {
    fn render(entry: Stored) -> Result<Shown, String> {
        let value = String::from_utf8(entry.value.unwrap_or_default()).map_err(|error| error.to_string())?;
        let shown = match value.as_str() {
            "trap" => std::process::abort(),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "giant" => Some(format!("\"{}\"", "x".repeat(4 << 20))),
            "nothing" => None,
            "prose" => Some("a plain text".to_owned()),
            "refuse" => return Err("it is not to be shown".to_owned()),
            other => Some(format!("{other:?}")),
        };
        Ok(Shown { name: None, value: shown })
    }

    fn parse(entry: Shown) -> Result<Stored, String> {
        let text = entry.value.unwrap_or_default();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = text.ok_or_else(|| "it is no text".to_owned())?;
        Ok(Stored { name: Some(vec![]).filter(|_| text == "named"), value: Some(text.as_bytes().to_vec()) })
    }
}

contract::export!(InspectStrange);
contract::export_inspection!(InspectStrange);
