//! Setting passwords: at login, by oneself, by an administrator, by the setup link, by the local administrator.

use std::net::IpAddr;

use model::{AuditEvent, Id, MessagePair, PasswordChangeLog, User, UserSecrets, UserSource};
use policy::{
    Identity,
    login::{Counter, Factor},
    password::Violation,
};
use sha2::{Digest as _, Sha256};
use store::{Change, UnitOfWork};
use vault::Secret;

use crate::{Authenticator, AuthnError, Result, flow::display, limiter::Subject, random32};

/// A new password, hashed and judged, as data for a unit of work.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The person's row with `need_update_password` as asked, and his secrets with hash, history and date.
    pub changes: Vec<Change>,
    /// The row for the password log.
    pub log: PasswordChangeLog,
    /// The entry for the audit chain.
    pub audit: AuditEvent,
}

impl PasswordChange {
    /// Puts all of it into a unit of work.
    pub fn add_to(self, work: &mut UnitOfWork) {
        work.changes.extend(self.changes);
        work.password.push(self.log);
        work.audit.push(self.audit);
    }
}

/// On whose behalf a password is set.
struct Setter<'a> {
    display: String,
    id: Option<Id<User>>,
    client: &'a str,
}

impl Authenticator {
    /// The PHC string of a password, for rows that are made with one. Judge it with `PasswordRules::check` first.
    ///
    /// # Errors
    /// Hashing is overloaded or the password is longer than 1 KiB.
    pub async fn hash_password(&self, password: &Secret<String>) -> Result<String> {
        self.inner.hasher.hash(password.expose()).await
    }

    /// The secrets of a person who is made with a password, after judging it.
    ///
    /// # Errors
    /// [`AuthnError::Weak`].
    pub async fn first_secrets(&self, username: &str, password: &Secret<String>) -> Result<UserSecrets> {
        let broken = self.settings().rules.check(password.expose(), username);
        if !broken.is_empty() {
            return Err(AuthnError::Weak(broken));
        }
        Ok(UserSecrets { password_hash: Some(self.hash_password(password).await?), password_set: Some(self.now()), ..Default::default() })
    }

    /// What setting `user`'s password by `who` changes. The caller commits it, then calls [`Self::end_credentials`].
    /// `user` must be the row as it is to be written (its other changes are kept); its revision is compared.
    ///
    /// # Errors
    /// [`AuthnError::Weak`] with every broken rule; `login.failed` for people whose password is kept elsewhere.
    pub async fn password_change(&self, who: &Identity, user: &User, new: &Secret<String>, must_change: bool) -> Result<PasswordChange> {
        let setter = Setter { display: who.display().to_owned(), id: Some(who.user()), client: who.client() };
        self.prepare(user, new, must_change, &setter).await
    }

    /// Whether this is the person's password already, so that declaring it again changes nothing. Not a login: nothing is
    /// counted, so it must only be asked for somebody who may set the password anyway.
    ///
    /// # Errors
    /// The store failed; hashing is overloaded.
    pub async fn password_is(&self, user: Id<User>, password: &Secret<String>) -> Result<bool> {
        let hash = self.backend().user_secrets(user).await?.password_hash;
        self.inner.hasher.verify(password.expose(), hash.as_deref()).await
    }

    /// A person changes his own password, proving the old one. API tokens of his end.
    ///
    /// # Errors
    /// [`AuthnError::Refused`] for a wrong old password (it counts), [`AuthnError::Weak`].
    pub async fn change_own_password(&self, who: &Identity, old: Secret<String>, new: &Secret<String>, client: IpAddr) -> Result<()> {
        self.confirm(who, Factor::Password(old.expose().clone()), client).await?;
        let user = self.own_row(who).await?;
        let change = self.password_change(who, &user, new, false).await?;
        self.commit_change(user.id, change).await
    }

    /// Ends everything that a person's old credentials opened.
    ///
    /// # Errors
    /// The store failed.
    pub async fn end_credentials(&self, user: Id<User>) -> Result<()> {
        Ok(self.backend().delete_tokens_of(user).await?)
    }

    /// The local administrator sets a password (`rampart admin reset-password`); the person must change it at the next
    /// login if `must_change`. Locks are lifted. An open setup link ends. `false` if there is no such user.
    ///
    /// # Errors
    /// [`AuthnError::Weak`]; the store failed.
    pub async fn reset_password(&self, username: &str, new: &Secret<String>, must_change: bool) -> Result<bool> {
        let Some(user) = self.backend().user_by_username(&User::canonical(username)).await? else { return Ok(false) };
        let setter = Setter { display: "Administrator(local)".into(), id: None, client: "local" };
        let change = self.prepare(&user, new, must_change, &setter).await?;
        self.commit_change(user.id, change).await?;
        self.unlock(username).await?;
        Ok(true)
    }

    /// Opens a one-time setup link for the first administrator and returns its token, shown once. An earlier link ends.
    /// `None` if the administrator has a password or does not exist.
    ///
    /// # Errors
    /// The store failed; no randomness.
    pub async fn create_setup_link(&self) -> Result<Option<Secret<String>>> {
        let mut secrets = self.backend().user_secrets(User::ADMIN).await?;
        if secrets.password_hash.is_some() {
            return Ok(None);
        }
        let token = Secret::new(hex::encode(*random32()?));
        secrets.setup_token_hash = Some(setup_hash(token.expose()));
        self.backend().set_user_secrets(User::ADMIN, secrets).await?;
        Ok(Some(token))
    }

    /// Whether the setup token would be accepted; for showing the form. Not rate limited: the token has 256 bits.
    ///
    /// # Errors
    /// The store failed.
    pub async fn setup_is_open(&self, token: &str) -> Result<bool> {
        Ok(token.len() <= 128 && self.backend().user_by_setup_token(&setup_hash(token)).await?.is_some())
    }

    /// Uses the setup link: sets the password; the link is void from then on. A weak password does not use it up.
    ///
    /// # Errors
    /// `login.failed` for a wrong or used token, `login.locked` after too many of them from one address,
    /// [`AuthnError::Weak`].
    pub async fn redeem_setup(&self, token: &Secret<String>, new: &Secret<String>, client: IpAddr) -> Result<()> {
        // no login name belongs to a wrong token: strangers with wrong ones must only lock themselves out. A space is in
        // no login name that is counted.
        let address = client.to_canonical().to_string();
        let subject = Subject::new(&format!("setup link from {address}"), client);
        if let Some(minutes) = self.lock_left(&subject, Counter::First).await? {
            return Err(AuthnError::Refused(MessagePair::new("login.locked", "locked out").with("minutes", minutes.to_string())));
        }
        let hash = setup_hash(token.expose());
        let user = if token.expose().len() <= 128 { self.backend().user_by_setup_token(&hash).await? } else { None };
        let Some(user) = user else {
            self.count(&subject, Counter::First, &address).await?;
            return Err(AuthnError::Refused(MessagePair::new("login.failed", "unknown or used setup token")));
        };
        // two requests with the same token: the update of the user's row below compares revisions, so one of them fails
        let setter = Setter { display: display(&user), id: Some(user.id), client: &address };
        let change = self.prepare(&user, new, false, &setter).await?;
        self.commit_change(user.id, change).await
    }

    pub(crate) async fn change_at_login(&self, user: &User, new: &str, client: &str) -> Result<()> {
        let setter = Setter { display: display(user), id: Some(user.id), client };
        let change = self.prepare(user, &Secret::new(new.to_owned()), false, &setter).await?;
        self.commit_change(user.id, change).await
    }

    async fn commit_change(&self, user: Id<User>, change: PasswordChange) -> Result<()> {
        let mut work = UnitOfWork::global(self.inner.authority.global());
        change.add_to(&mut work);
        self.inner.store.commit(work).await?;
        self.end_credentials(user).await
    }

    async fn prepare(&self, user: &User, new: &Secret<String>, must_change: bool, by: &Setter<'_>) -> Result<PasswordChange> {
        if user.source != UserSource::Local || user.is_service_account {
            return Err(AuthnError::Refused(MessagePair::new("login.failed", "this user's password is not kept here")));
        }
        let rules = &self.settings().rules;
        let mut secrets = self.backend().user_secrets(user.id).await?;
        let mut broken = rules.check(new.expose(), &user.username);
        if broken.is_empty() && self.is_reused(new, &secrets, rules.history).await? {
            broken.push(Violation::Reused(rules.history));
        }
        if !broken.is_empty() {
            return Err(AuthnError::Weak(broken));
        }
        let now = self.now();
        let hash = self.hash_password(new).await?;
        if let Some(old) = secrets.password_hash.replace(hash) {
            secrets.password_history.insert(0, old);
        }
        secrets.password_history.truncate(rules.history.saturating_sub(1));
        secrets.password_set = Some(now);
        secrets.setup_token_hash = None;
        let mut row = user.clone();
        row.need_update_password = must_change;
        row.meta.updated_by.clone_from(&by.display);
        row.meta.date_updated = now;
        let log =
            PasswordChangeLog { id: Id::generate(), user: display(user), change_by: by.display.clone(), remote_addr: by.client.to_owned(), datetime: now };
        let audit = AuditEvent {
            kind: "user.password_changed".into(),
            org: None,
            actor: by.display.clone(),
            actor_id: by.id,
            target: user.username.clone(),
            target_id: user.id.to_string(),
            session: None,
            remote_addr: by.client.to_owned(),
            at: now,
            data: serde_json::json!({ "must_change": must_change }),
        };
        let changes = vec![Change::Update(Box::new(row.into())), Change::SetUserSecrets(user.id, Box::new(secrets))];
        Ok(PasswordChange { changes, log, audit })
    }

    /// The current password and the last ones before it, `count` in all.
    async fn is_reused(&self, new: &Secret<String>, secrets: &UserSecrets, count: usize) -> Result<bool> {
        for old in secrets.password_hash.iter().chain(&secrets.password_history).take(count) {
            if self.inner.hasher.verify(new.expose(), Some(old)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn setup_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
