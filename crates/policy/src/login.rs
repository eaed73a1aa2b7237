//! The login state machine as a type. Steps cannot be skipped or replayed; the only way out is an [`Identity`].
//!
//! ```text
//! First ──key or password──▶ Second ──code──▶ NewPassword ──▶ in
//!                              │  (no factor bound: Enrol)      (only after a password that must change)
//! ```
//!
//! The machine asks its [`Checks`] (hashes, clocks, counters and rows live there) and decides what an answer means.
//! Facts about the person are read again at every step, so somebody who is switched off between the password and the
//! code does not get in.
//!
//! INVARIANT: an identity is minted in exactly one place ([`Login::finish`]), after the evidence was written.
//! INVARIANT: while a step runs the state is `Over`; a step that is dropped half-way ends the login.

mod checks;

use std::fmt;

use model::{Id, MessagePair, MfaLevel, PublicKey, Time, User, UserSource};
use zeroize::{Zeroize as _, Zeroizing};

use crate::Identity;

use checks::Answer;
pub use checks::{Attempt, Checks, Counted, Counter, LoginFacts, MfaPolicy, Trouble};

/// Wrong first factors in one login before it is over.
pub const FIRST_TRIES: u32 = 6;
/// Wrong codes in one login before it is over.
pub const OTP_TRIES: u32 = 3;
/// Refused new passwords in one login before it is over.
pub const PASSWORD_TRIES: u32 = 6;

/// What somebody presents to get in.
pub enum Factor {
    /// A public key in OpenSSH form whose signature over this very connection was verified by the transport.
    /// An *offer* of a key is never a factor.
    ProvedKey(String),
    /// A password, in clear; wiped when the factor is dropped.
    Password(String),
    /// A one-time code.
    Otp(String),
    /// The first code of a new authenticator, closing an enrolment that [`Need::EnrolOtp`] opened.
    EnrolOtp(String),
    /// A new password, where [`Need::NewPassword`] asks for one.
    NewPassword(String),
}

impl Drop for Factor {
    fn drop(&mut self) {
        let (Factor::ProvedKey(text) | Factor::Password(text) | Factor::Otp(text) | Factor::EnrolOtp(text) | Factor::NewPassword(text)) = self;
        text.zeroize();
    }
}

/// What is still missing. `Debug` shows no seed.
#[derive(Clone, PartialEq, Eq)]
pub enum Need {
    /// A first factor: password.
    Password,
    /// A first factor: public key.
    PublicKey,
    /// A one-time code.
    Otp,
    /// Bind an authenticator: show `uri` as a QR code (and `secret` as text), ask for its first code.
    EnrolOtp {
        /// `otpauth://totp/…`
        uri: String,
        /// Base32, for typing.
        secret: String,
    },
    /// Set a new password; the text names the rules.
    NewPassword {
        /// Stable code of the reason: `login.password_expired`, `login.password_must_change`, ….
        reason: &'static str,
    },
}

impl fmt::Debug for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Password => f.write_str("Password"),
            Need::PublicKey => f.write_str("PublicKey"),
            Need::Otp => f.write_str("Otp"),
            Need::EnrolOtp { .. } => f.write_str("EnrolOtp([secret])"),
            Need::NewPassword { reason } => write!(f, "NewPassword({reason})"),
        }
    }
}

/// Where a login stands after a step.
#[derive(Debug)]
pub enum Step {
    /// In.
    Done(Identity),
    /// One of these is needed next. `retry` says why the last factor was not accepted, if it was not.
    Need {
        /// Alternatives.
        any_of: Vec<Need>,
        /// Message about the last factor.
        retry: Option<MessagePair>,
    },
    /// Over; the connection should close.
    Refused(MessagePair),
}

/// What was proved so far. Only the machine makes one.
#[derive(Debug, Clone)]
struct Proved {
    /// INVARIANT: every later step is about this very person, even if the name is given to another one meanwhile.
    user: Id<User>,
    backend: &'static str,
    by_password: bool,
    key: Option<Id<PublicKey>>,
    mfa: bool,
}

enum At {
    First,
    Otp(Proved),
    Enrol(Proved, Seed),
    NewPassword(Proved, &'static str),
    Over,
}

/// URI and base32 of an authenticator that is being bound.
struct Seed {
    uri: Zeroizing<String>,
    secret: Zeroizing<String>,
}

/// One login. See the module.
pub struct Login {
    at: At,
    client: String,
    wrong: u32,
}

impl Login {
    /// Begins a login from that client address; the identity will be bound to it.
    pub fn new(client: &str) -> Self {
        Self { at: At::First, client: client.to_owned(), wrong: 0 }
    }

    /// What is missing now. The same for every name, known or not, until a first factor was right.
    pub fn needs(&self) -> Vec<Need> {
        match &self.at {
            At::First => vec![Need::PublicKey, Need::Password],
            At::Otp(_) => vec![Need::Otp],
            At::Enrol(_, seed) => vec![Need::EnrolOtp { uri: seed.uri.to_string(), secret: seed.secret.to_string() }],
            At::NewPassword(_, reason) => vec![Need::NewPassword { reason }],
            At::Over => Vec::new(),
        }
    }

    /// Whether it is finished, one way or the other.
    pub fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }

    /// Presents a factor.
    pub async fn step<C: Checks>(&mut self, factor: Factor, checks: &mut C) -> Step {
        let at = std::mem::replace(&mut self.at, At::Over);
        let done = match (at, &factor) {
            (At::Over, _) => Ok(refused("login.failed", "the login is over")),
            (At::First, Factor::Password(p)) => self.first(Shown::Password(p), checks).await,
            (At::First, Factor::ProvedKey(k)) => self.first(Shown::Key(k), checks).await,
            (At::Otp(proved), Factor::Otp(code)) => self.second(proved, None, code, checks).await,
            (At::Enrol(proved, seed), Factor::EnrolOtp(code)) => self.second(proved, Some(seed), code, checks).await,
            (At::NewPassword(proved, reason), Factor::NewPassword(p)) => self.new_password(proved, reason, p, checks).await,
            (at, _) => Ok(self.out_of_turn(at)),
        };
        match done {
            Ok(step) => step,
            Err(Trouble(m)) => {
                self.at = At::Over;
                Step::Refused(m)
            }
        }
    }

    /// A factor that was not asked for: nothing is checked, but it is not free.
    fn out_of_turn(&mut self, at: At) -> Step {
        self.wrong += 1;
        if self.wrong >= FIRST_TRIES {
            return refused("login.failed", "too many factors out of turn");
        }
        self.at = at;
        Step::Need { any_of: self.needs(), retry: Some(MessagePair::new("login.failed", "factor out of turn")) }
    }

    async fn first<C: Checks>(&mut self, shown: Shown<'_>, checks: &mut C) -> Answer<Step> {
        let facts = checks.facts().await?;
        let user = facts.as_ref().map(|f| f.user.clone());
        let attempt = |reason| Attempt { user: user.clone(), backend: shown.backend(), key: None, mfa: MfaLevel::Off, reason };
        if let Some(minutes) = checks.locked(Counter::First).await? {
            checks.record(attempt("login.locked")).await?;
            return Ok(locked(minutes));
        }
        let (right, key) = match shown {
            Shown::Password(p) => {
                let comparable = facts.as_ref().filter(|f| may_use_password(f)).map(|f| &f.user);
                (checks.password(comparable, p).await? && comparable.is_some(), None)
            }
            Shown::Key(k) => match facts.as_ref().filter(|f| may_use_key(f)) {
                Some(f) => {
                    let key = checks.key(&f.user, k).await?;
                    (key.is_some(), key)
                }
                None => (false, None),
            },
        };
        let Some(facts) = facts.filter(|_| right) else {
            return self.wrong_first(attempt("login.failed"), checks).await;
        };
        // only somebody who proved a factor learns that the account is off
        if let Some(reason) = barred(&facts.user, checks.now()) {
            checks.record(attempt(reason)).await?;
            return Ok(refused(reason, "right factor, but the user may not log in"));
        }
        checks.passed(Counter::First).await?;
        let by_password = matches!(shown, Shown::Password(_));
        let proved = Proved { user: facts.user.id, backend: shown.backend(), by_password, key, mfa: false };
        self.wrong = 0;
        if needs_mfa(&facts, checks.mfa_policy()) {
            return self.ask_second(proved, &facts, None, checks).await;
        }
        self.after_factors(proved, &facts, checks).await
    }

    async fn wrong_first<C: Checks>(&mut self, attempt: Attempt, checks: &mut C) -> Answer<Step> {
        let counted = checks.failed(Counter::First).await?;
        checks.record(attempt).await?;
        self.wrong += 1;
        if counted.left == 0 {
            return Ok(locked(counted.minutes));
        }
        if self.wrong >= FIRST_TRIES {
            return Ok(refused("login.failed", "too many wrong first factors in one connection"));
        }
        self.at = At::First;
        let retry = match counted.left {
            left @ 1..=2 => MessagePair::new("login.failed_last", "wrong first factor").with("left", left.to_string()),
            _ => MessagePair::new("login.failed", "wrong first factor"),
        };
        Ok(Step::Need { any_of: self.needs(), retry: Some(retry) })
    }

    async fn ask_second<C: Checks>(&mut self, proved: Proved, facts: &LoginFacts, retry: Option<MessagePair>, checks: &mut C) -> Answer<Step> {
        if let Some(minutes) = checks.locked(Counter::Second).await? {
            checks.record(proved.attempt(&facts.user, "login.locked")).await?;
            return Ok(locked(minutes));
        }
        self.at = if facts.has_otp {
            At::Otp(proved)
        } else {
            let (uri, secret) = checks.new_seed(&facts.user).await?;
            At::Enrol(proved, Seed { uri: Zeroizing::new(uri), secret: Zeroizing::new(secret) })
        };
        Ok(Step::Need { any_of: self.needs(), retry })
    }

    async fn second<C: Checks>(&mut self, mut proved: Proved, seed: Option<Seed>, code: &str, checks: &mut C) -> Answer<Step> {
        let facts = match self.still(&proved, checks).await? {
            Ok(facts) => facts,
            Err(step) => return Ok(step),
        };
        if let Some(minutes) = checks.locked(Counter::Second).await? {
            checks.record(proved.attempt(&facts.user, "login.locked")).await?;
            return Ok(locked(minutes));
        }
        let enrolling = seed.is_some();
        if enrolling && facts.has_otp {
            // bound by another login meanwhile: a second authenticator may not replace it with only the first factor
            return self.ask_second(proved, &facts, None, checks).await;
        }
        let right = if enrolling { checks.enrol(&facts.user, code).await? } else { checks.otp(&facts.user, code).await? };
        if right {
            checks.passed(Counter::Second).await?;
            proved.mfa = true;
            self.wrong = 0;
            return self.after_factors(proved, &facts, checks).await;
        }
        let counted = checks.failed(Counter::Second).await?;
        checks.record(proved.attempt(&facts.user, "login.otp_wrong")).await?;
        self.wrong += 1;
        if counted.left == 0 {
            return Ok(locked(counted.minutes));
        }
        if self.wrong >= OTP_TRIES {
            return Ok(refused("login.otp_wrong", "too many wrong codes in one login"));
        }
        self.at = match seed {
            Some(seed) => At::Enrol(proved, seed),
            None => At::Otp(proved),
        };
        Ok(Step::Need { any_of: self.needs(), retry: Some(MessagePair::new("login.otp_wrong", "wrong or used code")) })
    }

    async fn after_factors<C: Checks>(&mut self, proved: Proved, facts: &LoginFacts, checks: &mut C) -> Answer<Step> {
        let reason = match () {
            () if !proved.by_password => None,
            () if facts.user.need_update_password => Some("login.password_must_change"),
            () if facts.password_expired => Some("login.password_expired"),
            () => None,
        };
        if let Some(reason) = reason {
            self.at = At::NewPassword(proved, reason);
            return Ok(Step::Need { any_of: self.needs(), retry: None });
        }
        self.finish(proved, facts, checks).await
    }

    async fn new_password<C: Checks>(&mut self, proved: Proved, reason: &'static str, password: &str, checks: &mut C) -> Answer<Step> {
        let facts = match self.still(&proved, checks).await? {
            Ok(facts) => facts,
            Err(step) => return Ok(step),
        };
        match checks.set_password(&facts.user, password).await? {
            Ok(()) => self.finish(proved, &facts, checks).await,
            Err(broken) => {
                self.wrong += 1;
                if self.wrong >= PASSWORD_TRIES {
                    checks.record(proved.attempt(&facts.user, reason)).await?;
                    return Ok(refused(reason, "too many refused new passwords in one login"));
                }
                self.at = At::NewPassword(proved, reason);
                Ok(Step::Need { any_of: self.needs(), retry: broken.first().map(|v| v.message()) })
            }
        }
    }

    /// The person of the earlier steps, read again: still there, still the same, still allowed.
    async fn still<C: Checks>(&self, proved: &Proved, checks: &mut C) -> Answer<std::result::Result<LoginFacts, Step>> {
        let Some(facts) = checks.facts().await?.filter(|f| f.user.id == proved.user) else {
            return Ok(Err(refused("login.failed", "the user is gone since the first factor")));
        };
        if let Some(reason) = barred(&facts.user, checks.now()) {
            checks.record(proved.attempt(&facts.user, reason)).await?;
            return Ok(Err(refused(reason, "switched off during the login")));
        }
        Ok(Ok(facts))
    }

    /// The one place where a person's identity is minted: evidence first.
    async fn finish<C: Checks>(&mut self, proved: Proved, facts: &LoginFacts, checks: &mut C) -> Answer<Step> {
        checks.record(proved.attempt(&facts.user, "")).await?;
        Ok(Step::Done(Identity::mint(&facts.user, &self.client, proved.mfa)))
    }
}

impl Proved {
    fn attempt(&self, user: &User, reason: &'static str) -> Attempt {
        let mfa = if self.mfa { MfaLevel::On } else { MfaLevel::Off };
        Attempt { user: Some(user.clone()), backend: self.backend, key: self.key, mfa, reason }
    }
}

/// A first factor, borrowed.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Password(&'a str),
    Key(&'a str),
}

impl Shown<'_> {
    fn backend(self) -> &'static str {
        match self {
            Shown::Password(_) => "password",
            Shown::Key(_) => "publickey",
        }
    }
}

/// Machines use API credentials; identities from elsewhere are verified there.
fn may_use_password(f: &LoginFacts) -> bool {
    f.has_password && f.user.source == UserSource::Local && !f.user.is_service_account
}

/// While the setup link is open and no password is set, the first administrator cannot log in at all.
fn may_use_key(f: &LoginFacts) -> bool {
    !f.user.is_service_account && (f.has_password || !f.setup_open)
}

fn barred(user: &User, now: Time) -> Option<&'static str> {
    match () {
        () if !user.is_active => Some("login.user_inactive"),
        () if !user.is_valid(now) => Some("login.user_expired"),
        () => None,
    }
}

fn needs_mfa(f: &LoginFacts, policy: MfaPolicy) -> bool {
    f.user.mfa_level != MfaLevel::Off
        || match policy {
            MfaPolicy::PerUser => false,
            MfaPolicy::Admins => f.is_admin,
            MfaPolicy::Everybody => true,
        }
}

fn refused(code: &'static str, detail: &str) -> Step {
    Step::Refused(MessagePair::new(code, detail))
}

fn locked(minutes: u32) -> Step {
    Step::Refused(MessagePair::new("login.locked", "locked out").with("minutes", minutes.max(1).to_string()))
}
