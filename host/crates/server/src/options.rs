//! What the API's owner decides: where it listens, who may speak to it, how large requests may be.

use std::net::SocketAddr;
use std::time::Duration;

use crate::tokens::{KnownToken, MIN_TOKEN_BYTES};

/// Settings of the REST API.
#[derive(Clone)]
pub struct ServerOptions {
    /// Address to listen at. Anything but loopback demands a token.
    pub listen: SocketAddr,
    /// The secret that a client sends as `Authorization: Bearer …` to do everything. Without this one and without named
    /// ones, whoever reaches the address may do everything.
    pub token: Option<String>,
    /// Tokens with names and roles, in place of that one or beside it.
    pub tokens: Vec<KnownToken>,
    /// Bytes of an uploaded module.
    pub max_module_bytes: u64,
    /// Bytes of every other request body.
    pub max_body_bytes: u64,
    /// Bytes of all request bodies that are being taken in at one time; further requests wait for room.
    pub max_bodies_bytes: u64,
    /// How long an answer may take. Streams are answered when they begin.
    pub request_timeout: Duration,
    /// How long a client may be silent in the middle of a request body.
    pub body_idle_timeout: Duration,
}

const MIB: u64 = 1024 * 1024;

impl Default for ServerOptions {
    /// Loopback, port 7171, no token, modules to 64 MiB, other bodies to 16 MiB, 256 MiB in all, answers within 2 min.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7171)),
            token: None,
            tokens: Vec::new(),
            max_module_bytes: 64 * MIB,
            max_body_bytes: 16 * MIB,
            max_bodies_bytes: 256 * MIB,
            request_timeout: Duration::from_secs(120),
            body_idle_timeout: Duration::from_secs(30),
        }
    }
}

/// The token is not shown.
impl std::fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerOptions")
            .field("listen", &self.listen)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("tokens", &self.tokens.len())
            .field("max_module_bytes", &self.max_module_bytes)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_bodies_bytes", &self.max_bodies_bytes)
            .field("request_timeout", &self.request_timeout)
            .field("body_idle_timeout", &self.body_idle_timeout)
            .finish()
    }
}

/// Why the host does not start with these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeOptions {
    /// The whole network could do everything.
    #[error(
        "refusing to listen at {0} without a token: everyone who reaches that address could run code here; \
         set a token, or listen at 127.0.0.1"
    )]
    OpenToTheNetwork(SocketAddr),
    /// The token can be guessed.
    #[error("the token has {0} bytes, it needs at least 16: make one with `openssl rand -hex 32`")]
    ShortToken(usize),
    /// The token cannot stand in a header line.
    #[error("the token may hold printable ASCII without spaces only: make one with `openssl rand -hex 32`")]
    UnprintableToken,
}

impl ServerOptions {
    /// Refuses what would leave the host open to strangers. Call it before listening.
    ///
    /// # Errors
    /// An address beyond loopback without a token; a token that is short or unprintable.
    pub fn check(&self) -> Result<(), UnsafeOptions> {
        match &self.token {
            None if self.listen.ip().is_loopback() || !self.tokens.is_empty() => Ok(()),
            None => Err(UnsafeOptions::OpenToTheNetwork(self.listen)),
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => Err(UnsafeOptions::UnprintableToken),
            Some(token) if token.len() < MIN_TOKEN_BYTES => Err(UnsafeOptions::ShortToken(token.len())),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: &str, token: Option<&str>) -> ServerOptions {
        ServerOptions {
            listen: listen.parse().expect("an address"),
            token: token.map(str::to_owned),
            ..ServerOptions::default()
        }
    }

    #[test]
    fn an_address_beyond_loopback_demands_a_token() {
        for open in ["0.0.0.0:7171", "[::]:7171", "192.168.1.4:80"] {
            let refused = options(open, None).check().expect_err("open to the network");
            assert!(refused.to_string().contains("set a token, or listen at 127.0.0.1"), "{refused}");
            assert_eq!(options(open, Some("0123456789abcdef")).check(), Ok(()));
        }
        for closed in ["127.0.0.1:7171", "[::1]:7171", "127.8.8.8:0"] {
            assert_eq!(options(closed, None).check(), Ok(()));
        }
    }

    #[test]
    fn a_token_that_is_short_or_unprintable_is_refused() {
        assert_eq!(options("127.0.0.1:1", Some("short")).check(), Err(UnsafeOptions::ShortToken(5)));
        assert_eq!(options("127.0.0.1:1", Some("")).check(), Err(UnsafeOptions::ShortToken(0)));
        assert_eq!(options("127.0.0.1:1", Some("a token with spaces")).check(), Err(UnsafeOptions::UnprintableToken));
    }

    #[test]
    fn a_token_is_not_shown() {
        let shown = format!("{:?}", options("127.0.0.1:1", Some("very-secret-indeed")));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
