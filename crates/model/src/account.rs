//! Accounts on assets and their sealed secrets (jb §1.7).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Asset, Connectivity, Id, Meta, Org, Time};

/// An opaque, sealed secret: base64 of a versioned envelope that only `vault` can open. Safe to store and to
/// copy; shows nothing when printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

/// What kind of secret an account logs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum SecretType {
    /// A password.
    #[default]
    Password,
    /// A private key, with an optional passphrase.
    SshKey,
    /// An access key pair.
    AccessKey,
    /// A bearer token.
    Token,
    /// An API key.
    ApiKey,
}

impl SecretType {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            SecretType::Password => "password",
            SecretType::SshKey => "ssh_key",
            SecretType::AccessKey => "access_key",
            SecretType::Token => "token",
            SecretType::ApiKey => "api_key",
        }
    }
}

/// A login on an asset. Unique per (asset, username, secret type) and per (asset, name).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Id.
    pub id: Id<Account>,
    /// Owner.
    pub org: Id<Org>,
    /// Where it logs in.
    pub asset: Id<Asset>,
    /// Display name.
    pub name: String,
    /// Login name on the target; may be empty for password-only services.
    pub username: String,
    /// Kind of secret.
    pub secret_type: SecretType,
    /// Whether a secret is kept at all.
    pub has_secret: bool,
    /// Used by automation to log in and change others.
    pub privileged: bool,
    /// Inactive accounts cannot be used.
    pub is_active: bool,
    /// If off, rotation skips it.
    pub secret_reset: bool,
    /// Log in as that account first, then switch.
    pub su_from: Option<Id<Account>>,
    /// `local`, `template` or `collected`.
    pub source: String,
    /// Version of the secret, grows with each change of secret or secret type.
    pub version: i64,
    /// Result of the last verification.
    pub connectivity: Connectivity,
    /// When it was last verified.
    pub date_verified: Option<Time>,
    /// When its secret last changed.
    pub date_change_secret: Option<Time>,
    /// Free text.
    pub comment: String,
    /// Bookkeeping.
    pub meta: Meta,
}

/// One version of an account's secret. The newest is the current one; older ones are the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSecret {
    /// Of which account.
    pub account: Id<Account>,
    /// Owner of the account.
    pub org: Id<Org>,
    /// Version, from 1.
    pub version: i64,
    /// Kind at that time.
    pub secret_type: SecretType,
    /// The secret itself; bound to account id and field `secret` as associated data.
    pub secret: Option<Sealed>,
    /// Passphrase of a private key; field `passphrase`.
    pub passphrase: Option<Sealed>,
    /// Who set it.
    pub created_by: String,
    /// When.
    pub date_created: Time,
}
