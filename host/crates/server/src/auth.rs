//! Who may speak to the host, and whether what they ask is for their role.
//!
//! With tokens, whoever knows one. Without one the host listens at loopback only, and the one stranger left is a web
//! page in a browser on the same machine: what a browser sends on behalf of a foreign page is refused.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::{Role, needed};
use crate::options::ServerOptions;
use crate::problem::{Code, Refused};
use crate::tokens::{KnownToken, LOCAL};

/// Paths that a load balancer may ask without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Who is let in.
pub(crate) enum Door {
    /// Whoever sends one of these.
    Tokens(Vec<KnownToken>),
    /// Whoever is on this machine and not a foreign web page; everything is allowed there.
    Loopback,
}

/// Whoever has sent a request. Stands among its extensions behind the door.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The name of the token.
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
}

impl Door {
    pub(crate) fn new(options: &ServerOptions) -> Arc<Self> {
        let unnamed = options.token.as_deref().map(KnownToken::admin);
        let tokens: Vec<_> = options.tokens.iter().cloned().chain(unnamed).collect();
        Arc::new(if tokens.is_empty() { Self::Loopback } else { Self::Tokens(tokens) })
    }

    fn check(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        match self {
            Self::Tokens(known) => {
                let token = bearer(headers).ok_or_else(|| {
                    Refused::new(Code::Unauthorized, "this host answers only to those who know a token of it")
                        .hint("send the header `Authorization: Bearer TOKEN`")
                })?;
                let hash = blake3::hash(token.as_bytes());
                // All are compared, whichever it is.
                let found = known.iter().fold(None, |found, token| if token.has(&hash) { Some(token) } else { found });
                let found = found.ok_or_else(|| {
                    Refused::new(Code::Unauthorized, "the token is not one of the host's")
                        .hint("send a token that the host was started with")
                })?;
                Ok(Caller { name: Arc::clone(&found.name), role: found.role })
            }
            Self::Loopback => {
                for (name, what) in [(header::HOST, "the host name"), (header::ORIGIN, "the origin")] {
                    let Some(value) = headers.get(&name) else { continue };
                    let text = value.to_str().unwrap_or_default();
                    if !is_loopback(text) {
                        return Err(Refused::new(Code::ForeignOrigin, format!("{what} `{text}` is not this machine"))
                            .hint("a host without a token answers requests to 127.0.0.1 or localhost only"));
                    }
                }
                Ok(Caller { name: LOCAL.into(), role: Role::Admin })
            }
        }
    }
}

impl Caller {
    /// Whether the role is enough for what a request asks for besides its route.
    pub(crate) fn must_be(&self, needed: Role, what: &str) -> Result<(), Refused> {
        if self.role >= needed {
            return Ok(());
        }
        let Self { name, role } = self;
        Err(Refused::new(Code::Forbidden, format!("you are `{name}` with the role {role}; {what} needs {needed}"))
            .hint(format!("send a token with the role {needed}")))
    }

    /// Whether the role is enough for a route.
    fn may(&self, method: &Method, route: &str) -> Result<(), Refused> {
        let needed = needed(method, route);
        if self.role >= needed {
            return Ok(());
        }
        let Self { name, role } = self;
        Err(Refused::new(
            Code::Forbidden,
            format!("you are `{name}` with the role {role}; {method} {route} needs {needed}"),
        )
        .hint(format!("send a token with the role {needed}")))
    }
}

/// Middleware: only those who may go on. What comes behind it finds the [`Caller`].
pub(crate) async fn let_in(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let allowed = door.check(request.headers()).and_then(|caller| {
        // Where there is no route, there is nothing to be kept from.
        let route = request.extensions().get::<MatchedPath>();
        route.map_or(Ok(()), |route| caller.may(request.method(), route.as_str())).map(|()| caller)
    });
    match allowed {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
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
        let door = Door::Tokens(vec![KnownToken::admin("0123456789abcdef")]);
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
