//! What the process holds in memory without need.

/// Lets go of the program's code in memory: compiling a module runs through tens of megabytes of it that nobody needs
/// once the module is compiled. What is needed again comes back from the page cache as it is touched.
///
/// Does nothing where there is no `/proc`.
#[expect(unsafe_code, reason = "the standard library cannot advise the kernel")]
pub(crate) fn let_go_of_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let own = std::env::current_exe().unwrap_or_default();
    for (start, length) in maps.lines().filter_map(|line| code(line, &own)) {
        // SAFETY: the range is a mapping of this process, of the file that it runs from, private, readable and executable
        // and never writable: nothing in it differs from the file. The kernel unmaps its pages and maps the same bytes
        // again at the next access, which the file cannot lose meanwhile, since a running program's is busy.
        unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Start and length of a mapping, if it is code of this file: `from-to r-xp offset device inode path`.
fn code(line: &str, own: &std::path::Path) -> Option<(usize, usize)> {
    let mut parts = line.split_ascii_whitespace();
    let (range, rights, path) = (parts.next()?, parts.next()?, parts.nth(3)?);
    if rights != "r-xp" || std::path::Path::new(path) != own {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    Some((from, to.checked_sub(from)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_code_of_the_program_itself_is_let_go() {
        let own = Path::new("/usr/bin/gristmill");
        let line = |rights: &str, path: &str| format!("1000-3000 {rights} 00001000 fe:00 42          {path}");
        assert_eq!(code(&line("r-xp", "/usr/bin/gristmill"), own), Some((0x1000, 0x2000)));
        assert_eq!(code(&line("r--p", "/usr/bin/gristmill"), own), None);
        assert_eq!(code(&line("rwxp", "/usr/bin/gristmill"), own), None);
        assert_eq!(code(&line("r-xp", "/lib/libc.so.6"), own), None);
        assert_eq!(code("1000-3000 r-xp 00000000 00:00 0", own), None);
    }

    #[test]
    fn the_program_goes_on_after_it_let_go() {
        let before: u64 = (0..1000u64).map(|number| number * number).sum();
        let_go_of_code();
        assert_eq!((0..1000u64).map(|number| number * number).sum::<u64>(), before);
    }
}
