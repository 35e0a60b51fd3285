//! The tokens that a host knows, and the file in which they stand.
//!
//! A line is `NAME ROLE TOKEN`; in the place of the token its hash may stand, as `blake3:` and 64 hexadecimal digits. Empty
//! lines and lines that begin with `#` mean nothing.

use std::fmt;
use std::sync::Arc;

use crate::access::Role;

/// Shortest token that is accepted: short ones are guessed.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;
/// Longest name of a token.
const MAX_NAME_BYTES: usize = 64;
/// Who somebody is on a host without tokens.
pub(crate) const LOCAL: &str = "local";
/// Who sends the one token that stands in no file.
const UNNAMED: &str = "token";
/// What stands before a hash.
const HASHED: &str = "blake3:";

/// A token that a host knows: whose it is, and what it is good for. Only its hash is kept.
#[derive(Debug, Clone)]
pub struct KnownToken {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    hash: blake3::Hash,
}

impl KnownToken {
    /// The token that may do everything.
    pub(crate) fn admin(token: &str) -> Self {
        Self { name: UNNAMED.into(), role: Role::Admin, hash: blake3::hash(token.as_bytes()) }
    }

    /// Whether a text with this hash is the token. In constant time, so that neither its length nor its beginning can be
    /// found by measuring.
    pub(crate) fn has(&self, hash: &blake3::Hash) -> bool {
        self.hash == *hash
    }

    /// The tokens of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, with numbers of lines.
    pub fn parse(text: &str) -> Result<Vec<Self>, BadTokens> {
        let (mut tokens, mut wrong) = (Vec::<Self>::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            match Self::of_line(line) {
                Ok(token) if tokens.iter().any(|other| other.name == token.name) => {
                    wrong.push((number, format!("the name `{}` stands in a line before", token.name)));
                }
                Ok(token) if tokens.iter().any(|other| other.has(&token.hash)) => {
                    wrong.push((number, format!("the token of `{}` stands in a line before", token.name)));
                }
                Ok(token) => tokens.push(token),
                Err(reason) => wrong.push((number, reason)),
            }
        }
        if wrong.is_empty() && tokens.is_empty() {
            wrong.push((1, "there is no token; write lines such as `alice operator TOKEN`".to_owned()));
        }
        if wrong.is_empty() { Ok(tokens) } else { Err(BadTokens(wrong)) }
    }

    fn of_line(line: &str) -> Result<Self, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        // What stands there may be a secret: it is not repeated.
        let &[name, role, token] = words.as_slice() else {
            return Err(format!("it has {} words; write `NAME ROLE TOKEN`", words.len()));
        };
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
        if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_good) {
            return Err("the name has up to 64 letters, digits, and . - _ @".to_owned());
        }
        if [LOCAL, UNNAMED].contains(&name) {
            return Err(format!("the name `{name}` means somebody who has no name; choose another"));
        }
        let role = role.parse().map_err(|error: crate::access::NotARole| error.to_string())?;
        let hash = match token.strip_prefix(HASHED) {
            Some(digits) => blake3::Hash::from_hex(digits)
                .map_err(|_| format!("behind `{HASHED}` stand the 64 hexadecimal digits of the token's hash"))?,
            None => {
                check(token)?;
                blake3::hash(token.as_bytes())
            }
        };
        Ok(Self { name: name.into(), role, hash })
    }
}

fn check(token: &str) -> Result<(), String> {
    let advice = "make one with `openssl rand -hex 32`";
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token may hold printable ASCII only: {advice}"));
    }
    if token.len() < MIN_TOKEN_BYTES {
        return Err(format!("the token has {} bytes, it needs at least {MIN_TOKEN_BYTES}: {advice}", token.len()));
    }
    Ok(())
}

/// What is wrong with a file of tokens: lines, counted from one, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTokens(Vec<(usize, String)>);

impl fmt::Display for BadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, reason)) in self.0.iter().enumerate() {
            write!(f, "{}line {line}: {reason}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for BadTokens {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_itself_or_by_its_hash() {
        let hash = blake3::hash(b"fedcba9876543210");
        let text = format!("# who may\n\nalice viewer 0123456789abcdef\n  ci-1\toperator  blake3:{hash}\n");
        let tokens = KnownToken::parse(&text).expect("a file");
        let known = |token: &str| {
            let found = tokens.iter().find(|known| known.has(&blake3::hash(token.as_bytes())));
            found.map(|known| (&*known.name, known.role))
        };
        assert_eq!(known("0123456789abcdef"), Some(("alice", Role::Viewer)));
        assert_eq!(known("fedcba9876543210"), Some(("ci-1", Role::Operator)));
        assert_eq!(known(&format!("blake3:{hash}")), None, "a hash opens nothing");
    }

    #[test]
    fn a_bad_file_is_refused_with_the_lines_and_without_secrets() {
        let text = "alice viewer 0123456789abcdef\nalice admin secret-too-short\nbob admin\nbob chief 0123456789abcdefg\n\
                    bob admin short\nbob admin blake3:12\nlocal admin 0123456789abcdefg\nb,b admin 0123456789abcdefg\n\
                    carol admin 0123456789abcdef\n";
        let told = KnownToken::parse(text).expect_err("bad").to_string();
        let expected = [
            "line 2: the name `alice` stands in a line before",
            "line 3: it has 2 words; write `NAME ROLE TOKEN`",
            "line 4: `chief` is not a role: write viewer, operator or admin",
            "line 5: the token has 5 bytes, it needs at least 16",
            "line 6: behind `blake3:` stand the 64 hexadecimal digits",
            "line 7: the name `local` means",
            "line 8: the name has up to 64 letters",
            "line 9: the token of `carol` stands in a line before",
        ];
        assert_eq!(told.lines().count(), expected.len(), "{told}");
        for (line, expected) in told.lines().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(!told.contains("secret"), "{told}");
        let twice = "alice viewer 0123456789abcdef\nalice admin 0123456789abcdefg";
        let told = KnownToken::parse(twice).expect_err("bad").to_string();
        assert_eq!(told, "line 2: the name `alice` stands in a line before");
        assert!(KnownToken::parse("# none\n").expect_err("empty").to_string().contains("there is no token"));
    }
}
