//! Who is there: passwords, public keys, one-time codes, tokens, and the limiter in front of all of them.
//!
//! * [`Authenticator::begin`] opens a [`LoginFlow`]; the machine that decides is `policy::login::Login`, the work it
//!   asks for (hashing, counting, sealing, writing evidence) is done here.
//! * [`Authenticator::issue_token`] and [`Authenticator::identify`]: credentials for the API.
//! * Setup link, password change, unlock: [`Authenticator`] too.
//! * [`keys`], [`totp`], [`qr_text`]: the formats.
//!
//! INVARIANT: an attempt is on record before its answer is known to the person; if it cannot be recorded nobody gets in.
//! INVARIANT: login names are compared in one way only, [`model::User::canonical`].

mod flow;
mod hash;
pub mod keys;
mod limiter;
mod passwords;
mod qr;
mod second;
mod tokens;
pub mod totp;

use std::{net::IpAddr, sync::Arc};

use model::{Clock, LoginType, MessagePair, Time};
use parking_lot::RwLock;
use policy::{Authority, login::MfaPolicy, password::PasswordRules, password::Violation};
use store::{Backend, Store, StoreError};
use vault::{Vault, VaultError};

pub use flow::LoginFlow;
pub use limiter::Lockout;
pub use passwords::PasswordChange;
pub use qr::{qr_text, qr_text_inverted};
pub use second::Enrolment;
pub use tokens::IssuedToken;

/// Longest password that is looked at, in bytes; a longer one is wrong.
pub(crate) const MAX_PASSWORD: usize = 1024;
/// Longest login name that is looked at, in characters.
pub(crate) const MAX_USERNAME: usize = 128;

/// What an installation chooses about logins.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When failures lock.
    pub lockout: Lockout,
    /// Whose second factor is asked for, beside what a person's row says.
    pub mfa: MfaPolicy,
    /// What a new password must be.
    pub rules: PasswordRules,
    /// The name authenticator apps show.
    pub issuer: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lockout: Lockout::default(), mfa: MfaPolicy::default(), rules: PasswordRules::default(), issuer: "Rampart".into() }
    }
}

/// Failures of authentication work. What a person may see of them is [`AuthnError::message`].
#[derive(Debug, thiserror::Error)]
pub enum AuthnError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The new password breaks rules.
    #[error("the new password breaks {} rules", .0.len())]
    Weak(Vec<Violation>),
    /// Refused, with the sentence for the person.
    #[error("refused: {}", .0.detail)]
    Refused(MessagePair),
    /// Hashing failed or is overloaded.
    #[error("password hashing: {0}")]
    Hash(&'static str),
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
}

impl AuthnError {
    /// The sentence for the person.
    pub fn message(&self) -> MessagePair {
        match self {
            AuthnError::Weak(v) => v.first().map_or_else(|| MessagePair::new("system.unavailable", "empty list"), |v| v.message()),
            AuthnError::Refused(m) => m.clone(),
            AuthnError::Store(_) | AuthnError::Vault(_) | AuthnError::Hash(_) | AuthnError::Random => MessagePair::new("system.unavailable", self.to_string()),
        }
    }
}

/// Result of every call here.
pub type Result<T> = std::result::Result<T, AuthnError>;

/// Authenticates people. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authority: Authority,
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) hasher: hash::Hasher,
    pub(crate) gates: limiter::Gates,
}

impl Authenticator {
    /// Over a store and its vault.
    pub fn new(store: Store, vault: Arc<Vault>, clock: Arc<dyn Clock>, settings: Settings, authority: Authority) -> Self {
        let inner = Inner {
            store,
            vault,
            clock,
            authority,
            settings: RwLock::new(Arc::new(settings)),
            hasher: hash::Hasher::default(),
            gates: limiter::Gates::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Begins a login. `client` is the address of the socket (or what a trusted proxy said, decided elsewhere),
    /// `user_agent` the client program as it calls itself; both are cut and cleaned for the logs.
    pub fn begin(&self, username: &str, client: IpAddr, via: LoginType, user_agent: &str) -> LoginFlow {
        LoginFlow::new(self.clone(), username, client, via, user_agent)
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.inner.settings.read().clone()
    }

    /// Puts other settings in force, for logins that begin from now on and the next step of running ones.
    pub fn set_settings(&self, settings: Settings) {
        *self.inner.settings.write() = Arc::new(settings);
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        self.inner.store.node(self.inner.authority)
    }

    pub(crate) fn now(&self) -> Time {
        self.inner.clock.now()
    }
}

/// Text from outside for a log: control characters out, at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

/// 32 random bytes from the operating system.
pub(crate) fn random32() -> Result<zeroize::Zeroizing<[u8; 32]>> {
    let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| AuthnError::Random)?;
    Ok(bytes)
}
