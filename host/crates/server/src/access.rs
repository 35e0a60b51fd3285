//! What each role may do: one rule by method, and the paths that are exceptions to it.

use std::fmt;
use std::str::FromStr;

use axum::http::Method;

/// What whoever sends a token may do. Each role may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks at everything but the audit log.
    Viewer,
    /// Runs jobs and changes them.
    Operator,
    /// Deletes, and reads the audit log.
    Admin,
}

impl Role {
    /// As users write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// It is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: write viewer, operator or admin")]
pub struct NotARole(String);

impl FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        let all = [Self::Viewer, Self::Operator, Self::Admin];
        all.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NotARole(text.to_owned()))
    }
}

/// The route of posted events.
pub(crate) const EVENTS: &str = "/v1/jobs/{job}/sources/{source}/events";

/// Routes that need another role than their method says.
const EXCEPTIONS: [(Method, &str, Role); 3] = [
    (Method::GET, "/v1/audit", Role::Admin),
    // Nothing is deleted that anybody could miss: whoever began a shadow or a canary may end it.
    (Method::DELETE, "/v1/jobs/{job}/operators/{operator}/shadow", Role::Operator),
    (Method::DELETE, "/v1/jobs/{job}/operators/{operator}/canary", Role::Operator),
];

/// The role that a route needs, written as in the API's description.
pub(crate) fn needed(method: &Method, route: &str) -> Role {
    // A HEAD is answered as a GET is.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let exception = EXCEPTIONS.iter().find(|(of, path, _)| of == method && *path == route);
    match exception {
        Some((_, _, role)) => *role,
        None if *method == Method::GET => Role::Viewer,
        None if *method == Method::DELETE => Role::Admin,
        None => Role::Operator,
    }
}

/// Whether a request stands in the audit log: all that may change the host do. Posted events do not, they are what flows
/// through it.
pub(crate) fn is_audited(method: &Method, route: &str) -> bool {
    *method != Method::GET && *method != Method::HEAD && route != EVENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_needs_the_role_of_its_method_unless_it_is_an_exception() {
        for (method, route, role) in [
            (Method::GET, "/v1/jobs", Role::Viewer),
            (Method::HEAD, "/v1/jobs", Role::Viewer),
            (Method::POST, "/v1/jobs", Role::Operator),
            (Method::PATCH, "/v1/what/comes/later", Role::Operator),
            (Method::DELETE, "/v1/modules/{module}", Role::Admin),
            (Method::GET, "/v1/audit", Role::Admin),
            (Method::HEAD, "/v1/audit", Role::Admin),
        ] {
            assert_eq!(needed(&method, route), role, "{method} {route}");
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
