//! Who calls: a bearer token names its principal, compared in constant time.
//!
//! Without configured principals everybody who reaches a loopback listener is the one principal `local`. A token goes
//! no further than here: it is not kept, forwarded or logged.

use crate::Caller;
use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, HeaderMap};
use policy::Principal;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use vocab::Name;

/// The principals, replaceable while the gateway runs.
pub struct Auth {
    principals: ArcSwap<Vec<Principal>>,
    local: Caller,
}

/// Why a request speaks for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("authenticate: send `Authorization: Bearer <token>`")]
    Missing,
    #[error("authenticate: the token is unknown")]
    Unknown,
}

impl Auth {
    #[must_use]
    pub fn new(principals: Vec<Principal>) -> Self {
        let local = Caller { tenant: Name::from("default"), principal: Name::from("local") };
        Self { principals: ArcSwap::from_pointee(principals), local }
    }

    /// Takes over the principals of a new policy. A token that is gone is refused from the next request on.
    pub fn replace(&self, principals: Vec<Principal>) {
        self.principals.store(principals.into());
    }

    /// Does nobody need a token?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.principals.load().is_empty()
    }

    /// `loopback`: only neighbours on this machine can have sent it.
    pub(super) fn caller(&self, headers: &HeaderMap, loopback: bool) -> Result<Caller, Denied> {
        let principals = self.principals.load();
        if principals.is_empty() {
            return if loopback { Ok(self.local.clone()) } else { Err(Denied::Missing) };
        }
        let token = bearer(headers).ok_or(Denied::Missing)?;
        // All are compared, so that the time says nothing about which one came close.
        let mut found = u64::MAX;
        for (at, principal) in (0_u64..).zip(principals.iter()) {
            let equal: Choice = principal.token.expose().as_bytes().ct_eq(token);
            found.conditional_assign(&at, equal);
        }
        let principal = usize::try_from(found).ok().and_then(|at| principals.get(at)).ok_or(Denied::Unknown)?;
        Ok(Caller { tenant: principal.tenant.clone(), principal: principal.name.clone() })
    }
}

/// The token of the one `Authorization` header; two of them name nobody.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).into_iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use policy::Secret;

    fn two() -> Auth {
        let principal = |name: &str| Principal {
            name: name.into(),
            tenant: "shop".into(),
            token: Secret::of(format!("token-of-{name}")),
        };
        Auth::new(vec![principal("ann"), principal("bob")])
    }

    fn ask(auth: &Auth, values: &[&'static str]) -> Result<String, Denied> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        auth.caller(&headers, true).map(|caller| format!("{}/{}", caller.tenant, caller.principal))
    }

    #[test]
    fn a_token_names_its_principal_whatever_the_case_of_the_scheme() {
        assert_eq!(ask(&two(), &["Bearer token-of-bob"]).as_deref(), Ok("shop/bob"));
        assert_eq!(ask(&two(), &["bearer  token-of-ann "]).as_deref(), Ok("shop/ann"));
    }

    #[test]
    fn no_token_and_a_wrong_one_are_told_apart_and_both_refused() {
        assert_eq!(ask(&two(), &[]), Err(Denied::Missing));
        assert_eq!(ask(&two(), &["Basic YTpi"]), Err(Denied::Missing));
        assert_eq!(ask(&two(), &["Bearer "]), Err(Denied::Missing));
        assert_eq!(ask(&two(), &["Bearer token-of-an"]), Err(Denied::Unknown));
        assert_eq!(ask(&two(), &["Bearer token-of-annn"]), Err(Denied::Unknown));
        assert_eq!(ask(&two(), &["Bearer token-of-ann", "Bearer token-of-bob"]), Err(Denied::Missing));
    }

    #[test]
    fn without_principals_neighbours_are_local_and_others_nobody() {
        let auth = Auth::new(Vec::new());
        assert_eq!(ask(&auth, &["Bearer anything"]).as_deref(), Ok("default/local"));
        assert_eq!(auth.caller(&HeaderMap::new(), false), Err(Denied::Missing));
    }

    #[test]
    fn a_removed_principal_is_refused_at_once() {
        let auth = two();
        auth.replace(vec![Principal { name: "bob".into(), tenant: "shop".into(), token: Secret::of("new".into()) }]);
        assert_eq!(ask(&auth, &["Bearer token-of-bob"]), Err(Denied::Unknown));
        assert_eq!(ask(&auth, &["Bearer new"]).as_deref(), Ok("shop/bob"));
    }
}
