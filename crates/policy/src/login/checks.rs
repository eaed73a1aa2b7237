//! What the login machine asks: its questions about the present and the facts it looks at.

use std::future::Future;

use model::{Id, MessagePair, MfaLevel, PublicKey, Time, User};

use crate::password::Violation;

/// Who needs a second factor, beside what the person's row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MfaPolicy {
    /// Only those whose row says so.
    #[default]
    PerUser,
    /// Administrators as well.
    Admins,
    /// Everybody.
    Everybody,
}

/// The person as the store knows him now. `None` for the user when there is none of that name.
#[derive(Debug, Clone)]
pub struct LoginFacts {
    /// The row.
    pub user: User,
    /// A password is set.
    pub has_password: bool,
    /// The password is older than the rules allow.
    pub password_expired: bool,
    /// An authenticator is bound.
    pub has_otp: bool,
    /// A setup link is open and nobody has used it.
    pub setup_open: bool,
    /// Holds a role that administers.
    pub is_admin: bool,
}

/// The check could not be made (database down, no randomness). The login ends without an answer.
#[derive(Debug)]
pub struct Trouble(pub MessagePair);

/// Which counter an attempt falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counter {
    /// First factors, by login name and by address.
    First,
    /// Second factors, by login name.
    Second,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Failures left before the lock; 0 = this one locked.
    pub left: u32,
    /// Minutes the lock lasts, when there is one.
    pub minutes: u32,
}

/// One attempt, for the login log and the audit chain.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The person, if there is one.
    pub user: Option<User>,
    /// `password`, `publickey`, `otp`, …: what was presented last.
    pub backend: &'static str,
    /// The key, for a login by public key.
    pub key: Option<Id<PublicKey>>,
    /// Whether a second factor took part.
    pub mfa: MfaLevel,
    /// Stable reason code; empty on success.
    pub reason: &'static str,
}

impl Attempt {
    /// Whether somebody got in.
    pub fn is_success(&self) -> bool {
        self.reason.is_empty()
    }
}

/// An answer, or that it could not be had.
pub(super) type Answer<T> = std::result::Result<T, Trouble>;

/// What the machine needs to have checked. Implemented by `authn`; each method is one question about the present.
pub trait Checks: Send {
    /// The present moment.
    fn now(&self) -> Time;
    /// Whose second factor the installation asks for.
    fn mfa_policy(&self) -> MfaPolicy;
    /// The person as he is now.
    fn facts(&mut self) -> impl Future<Output = Answer<Option<LoginFacts>>> + Send;
    /// Minutes until the lock of this counter ends, if there is one.
    fn locked(&mut self, counter: Counter) -> impl Future<Output = Answer<Option<u32>>> + Send;
    /// Whether the password is the person's. `None`: nobody to compare with, but it must take as long.
    fn password(&mut self, user: Option<&User>, password: &str) -> impl Future<Output = Answer<bool>> + Send;
    /// The person's active key that equals the proved one.
    fn key(&mut self, user: &User, openssh: &str) -> impl Future<Output = Answer<Option<Id<PublicKey>>>> + Send;
    /// Whether the code is right now and was not used before.
    fn otp(&mut self, user: &User, code: &str) -> impl Future<Output = Answer<bool>> + Send;
    /// A fresh seed: `(otpauth URI, base32)`. Kept by the implementation until [`Checks::enrol`]; the same for the whole login.
    fn new_seed(&mut self, user: &User) -> impl Future<Output = Answer<(String, String)>> + Send;
    /// If the code belongs to the fresh seed, binds it and answers `true`.
    fn enrol(&mut self, user: &User, code: &str) -> impl Future<Output = Answer<bool>> + Send;
    /// Sets the new password, or says which rules it breaks.
    fn set_password(&mut self, user: &User, password: &str) -> impl Future<Output = Answer<std::result::Result<(), Vec<Violation>>>> + Send;
    /// Counts a failure.
    fn failed(&mut self, counter: Counter) -> impl Future<Output = Answer<Counted>> + Send;
    /// Forgets failures after the right factor.
    fn passed(&mut self, counter: Counter) -> impl Future<Output = Answer<()>> + Send;
    /// Writes the attempt to the login log and the audit chain; an error means it is not written.
    fn record(&mut self, attempt: Attempt) -> impl Future<Output = Answer<()>> + Send;
}
