//! Who may speak to the host.
//!
//! With a token, whoever knows it. Without one the host listens at loopback only, and the one stranger left is a web
//! page in a browser on the same machine: what a browser sends on behalf of a foreign page is refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::options::ServerOptions;
use crate::problem::{Code, Refused};

/// Paths that a load balancer may ask without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Who is let in.
pub(crate) enum Door {
    /// Whoever sends the token with this hash. Hashes are compared, in constant time, so that neither the length nor
    /// the beginning of the token can be found by measuring.
    Token(blake3::Hash),
    /// Whoever is on this machine and not a foreign web page.
    Loopback,
}

impl Door {
    pub(crate) fn new(options: &ServerOptions) -> Arc<Self> {
        Arc::new(match &options.token {
            Some(token) => Self::Token(blake3::hash(token.as_bytes())),
            None => Self::Loopback,
        })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match self {
            Self::Token(expected) => match bearer(headers) {
                // `blake3::Hash` compares in constant time.
                Some(token) if blake3::hash(token.as_bytes()) == *expected => Ok(()),
                Some(_) => Err(Refused::new(Code::Unauthorized, "the token is not the host's")
                    .hint("send the token that the host was started with")),
                None => Err(Refused::new(Code::Unauthorized, "this host answers only to those who know its token")
                    .hint("send the header `Authorization: Bearer TOKEN`")),
            },
            Self::Loopback => {
                for (name, what) in [(header::HOST, "the host name"), (header::ORIGIN, "the origin")] {
                    let Some(value) = headers.get(&name) else { continue };
                    let text = value.to_str().unwrap_or_default();
                    if !is_loopback(text) {
                        return Err(Refused::new(Code::ForeignOrigin, format!("{what} `{text}` is not this machine"))
                            .hint("a host without a token answers requests to 127.0.0.1 or localhost only"));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Middleware: only those who may go on.
pub(crate) async fn let_in(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match door.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether `localhost:7171`, `http://127.0.0.1:80` and the like name this machine.
fn is_loopback(authority_or_origin: &str) -> bool {
    let Ok(uri) = authority_or_origin.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for own in
            ["localhost", "localhost:7171", "127.0.0.1:80", "[::1]:7171", "http://localhost:3000", "http://[::1]"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for foreign in ["evil.example", "https://evil.example", "10.0.0.1:7171", "null", "", "localhost.evil.example"] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_token_is_taken_whole_and_only_whole() {
        let door = Door::Token(blake3::hash(b"0123456789abcdef"));
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            door.check(&headers).is_ok()
        };
        assert!(with("Bearer 0123456789abcdef"));
        assert!(with("bearer 0123456789abcdef"));
        for wrong in
            ["Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(door.check(&HeaderMap::new()).is_err());
    }
}
