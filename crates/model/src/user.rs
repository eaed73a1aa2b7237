//! People, their groups, keys and credentials (jb §1.3, §4).

use serde::{Deserialize, Serialize};

use crate::{Id, Meta, Org, Sealed, Time};

/// Where an identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum UserSource {
    /// Made in Rampart; the only kind whose password Rampart keeps.
    #[default]
    Local,
    /// LDAP or Active Directory.
    Ldap,
    /// OpenID Connect.
    Openid,
    /// SAML 2.0.
    Saml2,
    /// OAuth 2.
    Oauth2,
    /// CAS.
    Cas,
    /// RADIUS.
    Radius,
}

/// Whether a person needs a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum MfaLevel {
    /// No second factor is asked.
    #[default]
    Off,
    /// The person switched it on.
    On,
    /// An administrator requires it; without a bound factor the next login enrols one.
    Forced,
}

/// A person (or, with `is_service_account`, a machine) that can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id.
    pub id: Id<User>,
    /// Login name, unique, compared case-insensitively everywhere, at most 128 characters.
    pub username: String,
    /// Display name.
    pub name: String,
    /// E-mail, unique when not empty.
    pub email: String,
    /// Phone.
    pub phone: String,
    /// Where the identity comes from.
    pub source: UserSource,
    /// An inactive user can do nothing; live sessions are cut.
    pub is_active: bool,
    /// The person's account ends here.
    pub date_expired: Option<Time>,
    /// Second factor requirement.
    pub mfa_level: MfaLevel,
    /// The next login must set a new password.
    pub need_update_password: bool,
    /// Machine identity, never listed with people.
    pub is_service_account: bool,
    /// Preferred language: `zh-CN`, `zh-Hant`, `en` or `ja`; empty means the client's.
    pub lang: String,
    /// Last successful login.
    pub last_login: Option<Time>,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

impl User {
    /// The first administrator. Cannot be deleted or deactivated.
    pub const ADMIN: Id<User> = Id::builtin(1);

    /// One way to compare login names, everywhere: trimmed and lower-cased.
    pub fn canonical(username: &str) -> String {
        username.trim().to_lowercase()
    }

    /// Active and not expired.
    pub fn is_valid(&self, now: Time) -> bool {
        self.is_active && self.date_expired.is_none_or(|e| now < e)
    }
}

/// What Rampart knows of a person to verify him. Apart from [`User`], so that no listing can carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct UserSecrets {
    /// Argon2id PHC string; `None` = no password login.
    pub password_hash: Option<String>,
    /// Earlier hashes, newest first.
    pub password_history: Vec<String>,
    /// When the password was last set.
    pub password_set: Option<Time>,
    /// The TOTP seed, sealed; `None` = not enrolled.
    pub otp: Option<Sealed>,
    /// The last accepted TOTP time step (RFC 6238 T); a step is accepted once.
    pub otp_last_step: i64,
    /// SHA-256 of the one-time setup link, while it is open.
    pub setup_token_hash: Option<String>,
}

/// An SSH public key of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Id.
    pub id: Id<PublicKey>,
    /// Whose.
    pub user: Id<User>,
    /// Comment of the key or a name the person gave.
    pub name: String,
    /// The OpenSSH line, `ssh-ed25519 AAAA… comment`.
    pub public_key: String,
    /// `SHA256:…` as OpenSSH prints it; unique per user.
    pub fingerprint: String,
    /// Inactive keys are not accepted.
    pub is_active: bool,
    /// Last successful login with it.
    pub date_last_used: Option<Time>,
    /// Bookkeeping.
    pub meta: Meta,
}

/// People of one organization who get the same grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroup {
    /// Id.
    pub id: Id<UserGroup>,
    /// Owner.
    pub org: Id<Org>,
    /// Unique in the organization.
    pub name: String,
    /// Members.
    pub users: Vec<Id<User>>,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

/// What a presented token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// `Authorization: Bearer`, 24 h.
    Bearer,
    /// Browser session cookie.
    Session,
    /// `Authorization: Token`, permanent until revoked.
    Private,
}

/// An issued credential for the API. Only the SHA-256 of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Id.
    pub id: Id<Token>,
    /// Whose.
    pub user: Id<User>,
    /// Which kind.
    pub kind: TokenKind,
    /// Lower-case hex SHA-256 of the token.
    pub hash: String,
    /// Lower-case hex SHA-256 of the CSRF value that goes with a session cookie; empty otherwise.
    pub csrf_hash: String,
    /// Issued at.
    pub date_created: Time,
    /// Void from here on.
    pub date_expired: Time,
    /// Address it was issued to.
    pub client: String,
    /// When a second factor was last proved with it ("confirm it's you").
    pub date_confirmed: Option<Time>,
}
