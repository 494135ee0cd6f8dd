//! Tokens: bought with codes and other grants, renewed, revoked, looked at and checked.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};

use super::{
    Access, BearerFault, Client, Family, GrantFault, Granted, Grants, Issued, Refresh, State, Token,
    TokenInfo, s256,
};

/// Live access tokens, beyond which expired ones are forgotten.
const PRUNE_AT: usize = 50_000;

impl Grants {
    /// Exchanges a code. Any attempt uses it up; a second one revokes what the first gave (RFC 6749 section
    /// 4.1.2).
    ///
    /// # Errors
    /// Why the code buys nothing.
    pub fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        with_refresh: impl FnOnce(&[String]) -> bool,
        now: Timestamp,
    ) -> Result<Issued, GrantFault> {
        let mut state = self.state();
        let entry = state.codes.get_mut(code).ok_or(GrantFault::Unknown)?;
        if entry.asked.client_id != client_id {
            return Err(GrantFault::WrongClient);
        }
        if let Some(family) = entry.used {
            if let Some(family) = family.and_then(|family| state.families.get_mut(family)) {
                family.revoked = true;
            }
            return Err(GrantFault::Reused);
        }
        entry.used = Some(None);
        let entry = entry.clone();
        if now.duration_since(entry.issued) >= self.code_lifetime {
            return Err(GrantFault::Expired);
        }
        if redirect_uri != Some(entry.asked.redirect_uri.as_str()) {
            return Err(GrantFault::RedirectMismatch);
        }
        match (&entry.asked.challenge, verifier) {
            (None, _) => {}
            (Some(_), None) => return Err(GrantFault::VerifierMissing),
            (Some(challenge), Some(verifier)) => {
                if *challenge != s256(verifier) {
                    return Err(GrantFault::VerifierWrong);
                }
            }
        }
        if !state.is_active(&entry.username) {
            return Err(GrantFault::Inactive);
        }
        let refresh = with_refresh(&entry.asked.scopes);
        let family = state.family(client_id, &entry.username, entry.asked.scopes);
        if let Some(used) = state.codes.get_mut(code) {
            used.used = Some(Some(family));
        }
        Ok(self.hand_out(&mut state, family, refresh, now))
    }

    /// Tokens for a grant that needs no code: client credentials, JWT bearer, password.
    pub fn issue(
        &self,
        client_id: &str,
        username: &str,
        scopes: Vec<String>,
        with_refresh: bool,
        now: Timestamp,
    ) -> Issued {
        let mut state = self.state();
        let family = state.family(client_id, username, scopes);
        self.hand_out(&mut state, family, with_refresh, now)
    }

    /// Exchanges a refresh token. With rotation the answer carries a new one; a replaced one that comes back
    /// revokes its family.
    ///
    /// # Errors
    /// Why the token buys nothing.
    pub fn refresh(&self, token: &str, client_id: &str, now: Timestamp) -> Result<Issued, GrantFault> {
        let mut state = self.state();
        let refresh = state.refresh.get(token).ok_or(GrantFault::Unknown)?.clone();
        let family = state.families.get(refresh.family).ok_or(GrantFault::Unknown)?;
        if family.client_id != client_id {
            return Err(GrantFault::WrongClient);
        }
        if family.revoked {
            return Err(GrantFault::Revoked);
        }
        let username = family.username.clone();
        if let Some(replaced) = refresh.replaced
            && now.duration_since(replaced) >= self.reuse_leeway
        {
            if let Some(family) = state.families.get_mut(refresh.family) {
                family.revoked = true;
            }
            return Err(GrantFault::Reused);
        }
        if refresh.expires.is_some_and(|expires| expires <= now) {
            return Err(GrantFault::Expired);
        }
        if !state.is_active(&username) {
            return Err(GrantFault::Inactive);
        }
        let rotates = state.clients.iter().any(|client| client.client_id == client_id && client.rotation);
        if rotates && let Some(old) = state.refresh.get_mut(token) {
            old.replaced.get_or_insert(now);
        }
        Ok(self.hand_out(&mut state, refresh.family, rotates, now))
    }

    /// Revokes the family of an access or refresh token; false when nobody issued it.
    pub fn revoke(&self, token: &str) -> bool {
        let mut state = self.state();
        let family = state
            .access
            .get(token)
            .map(|access| access.family)
            .or_else(|| state.refresh.get(token).map(|refresh| refresh.family));
        match family.and_then(|family| state.families.get_mut(family)) {
            Some(family) => {
                family.revoked = true;
                true
            }
            None => false,
        }
    }

    /// What is known about a token.
    #[must_use]
    pub fn introspect(&self, token: &str, now: Timestamp) -> Option<TokenInfo> {
        let state = self.state();
        if let Some(access) = state.access.get(token) {
            let family = state.families.get(access.family)?;
            return Some(TokenInfo {
                granted: family.granted(),
                kind: Token::Access,
                issued_at: access.issued,
                expires_at: Some(access.expires),
                active: !family.revoked && !access.expired_by_force && access.expires > now,
            });
        }
        let refresh = state.refresh.get(token)?;
        let family = state.families.get(refresh.family)?;
        Some(TokenInfo {
            granted: family.granted(),
            kind: Token::Refresh,
            issued_at: refresh.issued,
            expires_at: refresh.expires,
            active: !family.revoked
                && refresh.replaced.is_none()
                && refresh.expires.is_none_or(|expires| expires > now),
        })
    }

    /// Makes every access token issued so far expire; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        for access in self.state().access.values_mut() {
            access.expired_by_force = true;
        }
    }

    /// Accepts or refuses the bearer token in the Authorization header.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<Granted, BearerFault> {
        let header = headers.get(AUTHORIZATION).ok_or(BearerFault::Missing)?;
        let text = header.to_str().map_err(|_| BearerFault::Malformed)?;
        let (scheme, token) = text.trim().split_once(' ').ok_or(BearerFault::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("oauth") {
            return Err(BearerFault::Malformed);
        }
        let state = self.state();
        let access = state.access.get(token.trim()).ok_or(BearerFault::Unknown)?;
        let family = state.families.get(access.family).ok_or(BearerFault::Unknown)?;
        if family.revoked {
            return Err(BearerFault::Revoked);
        }
        if access.expired_by_force || access.expires <= now {
            return Err(BearerFault::Expired);
        }
        if !state.is_active(&family.username) {
            return Err(BearerFault::Inactive);
        }
        Ok(family.granted())
    }

    fn hand_out(&self, state: &mut State, family: usize, with_refresh: bool, now: Timestamp) -> Issued {
        let granted = state.families.get(family).map_or_else(
            || Granted { client_id: String::new(), username: String::new(), scopes: Vec::new() },
            Family::granted,
        );
        let client = state.clients.iter().find(|client| client.client_id == granted.client_id);
        let access_seconds = client.map_or(Client::ACCESS_SECONDS, |client| client.access_seconds);
        let refresh_seconds = client.and_then(|client| client.refresh_seconds);
        let expires_in = SignedDuration::from_secs(access_seconds);
        let expires = now.saturating_add(expires_in).unwrap_or(Timestamp::MAX);
        if state.access.len() >= PRUNE_AT {
            state.access.retain(|_, access| !access.expired_by_force && access.expires > now);
        }
        let access_token = (self.mint)(&mut state.rng, Token::Access);
        let access = Access { family, issued: now, expires, expired_by_force: false };
        state.access.insert(access_token.clone(), access);
        let refresh_token = with_refresh.then(|| {
            let text = (self.mint)(&mut state.rng, Token::Refresh);
            let expires = refresh_seconds.map(|seconds| {
                now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
            });
            state.refresh.insert(text.clone(), Refresh { family, issued: now, expires, replaced: None });
            text
        });
        Issued { access_token, refresh_token, granted, issued_at: now, expires_in }
    }
}
