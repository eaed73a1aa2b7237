//! The second factor outside the machine: checking and binding an authenticator, "confirm it's you".

use std::net::IpAddr;

use model::{AuditEvent, Entity as _, Id, MessagePair, User};
use policy::{
    Identity,
    login::{Counter, Factor},
};
use store::{Change, UnitOfWork};
use vault::{Own, Secret};

use crate::{Authenticator, AuthnError, Result, flow::display, limiter::Subject, totp};

/// An authenticator that is being bound. Nothing is kept until its first code came back.
pub struct Enrolment {
    user: Id<User>,
    seed: Secret<String>,
    /// `otpauth://totp/…`, for [`crate::qr_text`].
    pub uri: Secret<String>,
}

impl Enrolment {
    /// The seed in base32, for typing.
    pub fn secret(&self) -> &Secret<String> {
        &self.seed
    }
}

impl Authenticator {
    /// Starts binding an authenticator for oneself.
    ///
    /// # Errors
    /// No randomness.
    pub fn enrolment(&self, who: &Identity) -> Result<Enrolment> {
        let seed = totp::new_seed()?;
        let uri = Secret::new(totp::uri(&self.settings().issuer, who.username(), &seed));
        Ok(Enrolment { user: who.user(), seed, uri })
    }

    /// Goes on with an enrolment whose seed the person's program kept (it was shown to him anyway).
    pub fn enrolment_of(&self, who: &Identity, secret: Secret<String>) -> Enrolment {
        let uri = Secret::new(totp::uri(&self.settings().issuer, who.username(), &secret));
        Enrolment { user: who.user(), seed: secret, uri }
    }

    /// Binds the authenticator if `code` is its code now; `false` if it is not.
    ///
    /// # Errors
    /// `login.failed` when one is bound already (it must be reset first) or the enrolment is another person's.
    pub async fn enrol(&self, who: &Identity, enrolment: &Enrolment, code: &str) -> Result<bool> {
        let user = self.own_row(who).await?;
        if enrolment.user != user.id || self.backend().user_secrets(user.id).await?.otp.is_some() {
            return Err(AuthnError::Refused(MessagePair::new("login.failed", "an authenticator is bound already")));
        }
        self.bind_otp(&user, &enrolment.seed, code, who.client()).await
    }

    /// Proves again that the person at the keyboard is the one who logged in, by password or code. Failures count.
    ///
    /// # Errors
    /// [`AuthnError::Refused`] with `login.failed`, `login.otp_wrong` or `login.locked`.
    pub async fn confirm(&self, who: &Identity, factor: Factor, client: IpAddr) -> Result<()> {
        let user = self.own_row(who).await?;
        let subject = Subject::new(&user.username, client);
        let _turn = self.gate(&subject.username).await?;
        let counter = if matches!(factor, Factor::Otp(_)) { Counter::Second } else { Counter::First };
        let locked = |minutes: u32| AuthnError::Refused(MessagePair::new("login.locked", "locked out").with("minutes", minutes.to_string()));
        if let Some(minutes) = self.lock_left(&subject, counter).await? {
            return Err(locked(minutes));
        }
        let right = match &factor {
            Factor::Password(p) => {
                let hash = self.backend().user_secrets(user.id).await?.password_hash;
                self.inner.hasher.verify(p, hash.as_deref()).await?
            }
            Factor::Otp(code) => self.check_otp(user.id, code).await?,
            _ => return Err(AuthnError::Refused(MessagePair::new("login.failed", "not a factor to confirm with"))),
        };
        if right {
            return self.forget(&subject, counter).await;
        }
        let counted = self.count(&subject, counter, who.client()).await?;
        if counted.left == 0 {
            return Err(locked(counted.minutes));
        }
        let code = if counter == Counter::Second { "login.otp_wrong" } else { "login.failed" };
        Err(AuthnError::Refused(MessagePair::new(code, "confirmation failed")))
    }

    /// The changes that unbind a person's authenticator (reset by an administrator); they go into the caller's unit of
    /// work. The row is updated as given, so that a change of the secrets in between is found by its revision.
    ///
    /// # Errors
    /// The store failed.
    pub async fn otp_reset(&self, user: &User) -> Result<Vec<Change>> {
        let mut secrets = self.backend().user_secrets(user.id).await?;
        secrets.otp = None;
        Ok(vec![Change::Update(Box::new(user.clone().into())), Change::SetUserSecrets(user.id, Box::new(secrets))])
    }

    /// Whether the code is one of the person's now and was not used before.
    pub(crate) async fn check_otp(&self, user: Id<User>, code: &str) -> Result<bool> {
        let Some(sealed) = self.backend().user_secrets(user).await?.otp else { return Ok(false) };
        let seed = self.inner.vault.open_own(&Own::OtpSeed(user), &sealed).await?;
        match totp::matching_step(&seed, code, self.now()) {
            Some(step) => Ok(self.backend().claim_otp_step(user, step).await?),
            None => Ok(false),
        }
    }

    /// Seals and keeps the seed after its first right code, which is used up by that.
    pub(crate) async fn bind_otp(&self, user: &User, seed: &Secret<String>, code: &str, client: &str) -> Result<bool> {
        let Some(step) = totp::matching_step(seed, code, self.now()) else { return Ok(false) };
        let mut secrets = self.backend().user_secrets(user.id).await?;
        secrets.otp = Some(self.inner.vault.seal_own(&Own::OtpSeed(user.id), seed)?);
        secrets.otp_last_step = secrets.otp_last_step.max(step);
        let mut work = UnitOfWork::global(self.inner.authority.global());
        // the row's revision guards the secrets: a password that was changed since `user` was read must not come back
        work.update(user.clone());
        work.changes.push(Change::SetUserSecrets(user.id, Box::new(secrets)));
        work.audit(AuditEvent {
            kind: "user.mfa_bound".into(),
            org: None,
            actor: display(user),
            actor_id: Some(user.id),
            target: user.username.clone(),
            target_id: user.id().to_string(),
            session: None,
            remote_addr: client.to_owned(),
            at: self.now(),
            data: serde_json::json!({ "factor": "otp" }),
        });
        self.inner.store.commit(work).await?;
        Ok(true)
    }

    pub(crate) async fn own_row(&self, who: &Identity) -> Result<User> {
        let gone = || AuthnError::Refused(MessagePair::new("login.failed", "the user is gone"));
        self.inner.store.mine(who).user().await?.ok_or_else(gone)
    }
}
