//! From what libraries report to what a person can act on.

use std::fmt::Display;
use std::path::Path;

use gristmill_ports::PortError;

/// Says what could not be done with which file, and why.
pub(crate) fn cannot<E: Display>(action: &'static str, path: &Path) -> impl Fn(E) -> PortError {
    let path = path.to_owned();
    move |error| PortError::fatal(format!("cannot {action} `{}`: {error}", path.display()))
}
