//! Which paths name something in a store.

use gristmill_ports::PortError;

/// Takes a path as it is, if it names a place within the store: parts between single slashes, none of which begins with
/// a dot. Names that begin so are the stores' own.
///
/// # Errors
/// `Fatal` if it does not.
pub(crate) fn checked(path: &str) -> Result<&str, PortError> {
    let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    if path.split('/').all(is_name) {
        return Ok(path);
    }
    Err(PortError::fatal(format!(
        "`{path}` is no path in checkpoint storage: its parts stand between single slashes and do not begin with a dot"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_the_store() {
        checked("jobs/orders/0001/chain/00000000000000000007").unwrap();
        for bad in ["", "/etc/passwd", "a//b", "a/", "../a", "a/../../b", "a/.incoming", "a\\b", "a\0b"] {
            assert!(checked(bad).unwrap_err().message.contains("is no path in checkpoint storage"), "{bad:?}");
        }
    }
}
