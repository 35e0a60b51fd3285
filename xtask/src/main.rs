//! Repository chores that need more than a line of shell.

mod toolchain;
mod guests;
mod flights;

use std::path::Path;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask guests [--only NAME…] | flights-answer FLIGHTS CARRIERS ROUTES

guests   builds the Rust guests of guest-examples and tests/guests for wasm32-unknown-unknown, and puts them
         into the `target/modules` of each, as NAME.wasm
flights-answer   prints the answer of the demo from the two files that it wrote; there must be so many FLIGHTS in it";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository's root");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["guests"] => guests::build_all(root, &[]),
        ["guests", "--only", names @ ..] => guests::build_all(root, names),
        ["flights-answer", flights, carriers, routes] => {
            flights::answer(flights.parse()?, Path::new(carriers), Path::new(routes))
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("`cargo xtask {}` is not a chore\n\n{USAGE}", arguments.join(" ")),
    }
}
