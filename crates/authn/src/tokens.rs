//! Credentials for the API: 256 random bits shown once, SHA-256 kept (a hash without salt is enough for a value nobody
//! can guess).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use model::{Id, Time, Token, TokenKind, User};
use policy::Identity;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use vault::Secret;

use crate::{Authenticator, AuthnError, Result, clean, random32};

/// A credential in clear. Shown once, kept nowhere.
#[derive(Debug)]
pub struct IssuedToken {
    /// Goes into `Authorization` or the cookie.
    pub token: Secret<String>,
    /// For sessions: what a browser sends back beside the cookie with every change.
    pub csrf: Option<Secret<String>>,
}

impl Authenticator {
    /// How long a credential of that kind lives if nothing else is asked.
    pub fn default_life(kind: TokenKind) -> TimeDelta {
        match kind {
            TokenKind::Bearer | TokenKind::Session => TimeDelta::hours(24),
            TokenKind::Private => TimeDelta::days(3650),
        }
    }

    /// Issues a credential for whoever the identity stands for. `client` is the address it is issued to.
    ///
    /// # Errors
    /// The store failed; no randomness.
    pub async fn issue_token(&self, who: &Identity, kind: TokenKind, client: &str, life: TimeDelta) -> Result<(Token, IssuedToken)> {
        let now = self.now();
        let text = random_text()?;
        let csrf = if kind == TokenKind::Session { Some(random_text()?) } else { None };
        let token = Token {
            id: Id::generate(),
            user: who.user(),
            kind,
            hash: digest(text.expose()),
            csrf_hash: csrf.as_ref().map(|c| digest(c.expose())).unwrap_or_default(),
            date_created: now,
            date_expired: now.checked_add_signed(life).unwrap_or(Time::MAX_UTC),
            client: clean(client, 64),
            date_confirmed: who.with_mfa().then_some(now),
        };
        self.backend().put_token(token.clone()).await?;
        Ok((token, IssuedToken { token: text, csrf }))
    }

    /// Whose credential this is, if it is one, is not expired, and its owner is still there, active and not expired.
    /// The identity is bound to `client`, where it is used now.
    ///
    /// # Errors
    /// The store failed. An unknown credential is `None`, never an error.
    pub async fn identify(&self, kind: TokenKind, text: &str, client: &str) -> Result<Option<(Identity, Token)>> {
        if text.is_empty() || text.len() > 256 {
            return Ok(None);
        }
        let now = self.now();
        let found = self.backend().token(kind, &digest(text), now).await?;
        let Some(token) = found.filter(|t| t.kind == kind && now < t.date_expired) else { return Ok(None) };
        let Some(owner) = self.user(token.user).await?.filter(|u| u.is_valid(now)) else { return Ok(None) };
        let identity = self.inner.authority.credential_holder(&owner, &clean(client, 64), token.date_confirmed.is_some());
        Ok(Some((identity, token)))
    }

    /// [`Self::identify`] for `Authorization: Bearer`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn identify_bearer(&self, text: &str, client: &str) -> Result<Option<Identity>> {
        Ok(self.identify(TokenKind::Bearer, text, client).await?.map(|(who, _)| who))
    }

    /// [`Self::identify`] for the session cookie; the token is needed for [`Self::csrf_matches`].
    ///
    /// # Errors
    /// The store failed.
    pub async fn identify_session(&self, text: &str, client: &str) -> Result<Option<(Identity, Token)>> {
        self.identify(TokenKind::Session, text, client).await
    }

    /// Whether the CSRF value belongs to the session.
    pub fn csrf_matches(session: &Token, value: &str) -> bool {
        let same = digest(value).as_bytes().ct_eq(session.csrf_hash.as_bytes());
        session.kind == TokenKind::Session && !session.csrf_hash.is_empty() && value.len() <= 256 && bool::from(same)
    }

    /// Ends a credential.
    ///
    /// # Errors
    /// The store failed.
    pub async fn revoke(&self, token: Id<Token>) -> Result<()> {
        Ok(self.backend().delete_token(token).await?)
    }

    async fn user(&self, id: Id<User>) -> Result<Option<User>> {
        self.inner.store.read(self.inner.authority.every_org()).get(id).await.map_err(AuthnError::from)
    }
}

fn random_text() -> Result<Secret<String>> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*random32()?)))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
