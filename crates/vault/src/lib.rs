//! Envelope encryption: secrets are sealed with data keys, data keys are wrapped by a master key that is never in the
//! database.
//!
//! * [`Secret`]: clear text that wipes itself and cannot be printed or serialised.
//! * [`MasterKey`]: 32 bytes from the environment or a file; wraps the data keys.
//! * [`Vault`]: seals for an [`Aad`] and opens, an account's secret only for a `Granted` that names the account.
//!
//! INVARIANT: every sealed text is bound to the row and field it was sealed for (associated data), so a sealed text
//! that is moved to another row, field or version does not open.

mod cipher;
mod envelope;
mod keyring;
mod master;
mod reseal;
mod secret;
mod vault;

pub use cipher::Algorithm;
pub use envelope::{Aad, Field};
pub use master::MasterKey;
pub use reseal::{Progress, Resealed};
pub use secret::Secret;
pub use vault::{Credential, Own, Vault};

/// Longest clear text that is sealed, in bytes. An RSA-16384 key in PEM form has about 13 KiB.
pub const MAX_SECRET: usize = 64 * 1024;

/// Failures of the vault. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not 32 bytes in hex or base64.
    #[error("the master key must be 32 bytes, written as 64 hex digits or as base64")]
    MasterKeyFormat,
    /// The master key file cannot be read or written.
    #[error("master key file {path}: {why}")]
    MasterKeyFile {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Others can read the master key file.
    #[error("master key file {path} is open to others (mode {mode:o}); allow only its owner (chmod 600)")]
    MasterKeyOpen {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The data was sealed with another master key.
    #[error(
        "wrong master key: the data keys were wrapped by master key {expected}, the configured one is {found}; restore the right key (RAMPART_MASTER_KEY or the key file)"
    )]
    WrongMasterKey {
        /// Public id of the key the data needs.
        expected: String,
        /// Public id of the key that was given.
        found: String,
    },
    /// A stored data key cannot be unwrapped though it names our master key.
    #[error("data key {0} is damaged")]
    DamagedKey(i64),
    /// The text is not a sealed text of a known version.
    #[error("not a sealed secret")]
    Format,
    /// The text was changed, or belongs to another row or field.
    #[error("a sealed secret does not open: changed, or moved from another place")]
    Integrity,
    /// It was sealed with a data key that is not here.
    #[error("data key {0} is missing")]
    UnknownKey(i64),
    /// The clear text is longer than [`MAX_SECRET`].
    #[error("the secret is longer than {MAX_SECRET} bytes")]
    TooLong,
    /// The grant is for a virtual account: nothing is stored.
    #[error("no stored account behind this grant")]
    Virtual,
    /// The account has no stored secret.
    #[error("the account has no stored secret")]
    NoSecret,
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
    /// The cipher refused to work.
    #[error("encryption failed")]
    Cipher,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// Result of every vault call.
pub type Result<T> = std::result::Result<T, VaultError>;
