//! The sealed text `v1:<algorithm>:<data key id>:<base64 of nonce ‖ ciphertext ‖ tag>` and what it is bound to.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use model::{Account, Id, Sealed, User};

use crate::{Algorithm, MAX_SECRET, Result, VaultError, cipher};

/// Which part of an account's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The password, private key or token.
    Secret,
    /// The passphrase of a private key.
    Passphrase,
}

/// What a sealed text is bound to: the row and field it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aad(String);

impl Aad {
    /// One version of an account's secret.
    pub fn account(account: Id<Account>, version: i64, field: Field) -> Self {
        let field = match field {
            Field::Secret => "secret",
            Field::Passphrase => "passphrase",
        };
        Self(format!("account:{account}:{version}:{field}"))
    }
    /// A person's TOTP seed.
    pub fn otp_seed(user: Id<User>) -> Self {
        Self(format!("user:{user}:otp"))
    }
    /// A secret setting or piece of node state.
    pub fn setting(name: &str) -> Self {
        Self(format!("setting:{name}"))
    }
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A sealed text taken apart.
pub(crate) struct Parts {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: i64,
    pub(crate) body: Vec<u8>,
}

impl Parts {
    /// Reads the text; bounds its length before decoding.
    pub(crate) fn parse(sealed: &Sealed) -> Result<Self> {
        let (head, body) = Self::split(sealed)?;
        let (algorithm, key) = head;
        let body = STANDARD_NO_PAD.decode(body).map_err(|_| VaultError::Format)?;
        Ok(Self { algorithm, key, body })
    }

    /// Only the data key's id, without decoding the body.
    pub(crate) fn key_of(sealed: &Sealed) -> Result<i64> {
        Ok(Self::split(sealed)?.0.1)
    }

    fn split(sealed: &Sealed) -> Result<((Algorithm, i64), &str)> {
        let text = sealed.0.as_str();
        if text.len() > 64 + (MAX_SECRET + cipher::NONCE + cipher::TAG).div_ceil(3) * 4 {
            return Err(VaultError::TooLong);
        }
        let mut parts = text.splitn(4, ':');
        let (Some("v1"), Some(algorithm), Some(key), Some(body)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(VaultError::Format);
        };
        let algorithm = Algorithm::parse(algorithm).ok_or(VaultError::Format)?;
        // the canonical form only: `+1` and `01` also parse as 1, and a text has exactly one spelling
        let id: i64 = key.parse().map_err(|_| VaultError::Format)?;
        if id.to_string() != key {
            return Err(VaultError::Format);
        }
        Ok(((algorithm, id), body))
    }

    /// The text form.
    pub(crate) fn format(algorithm: Algorithm, key: i64, body: &[u8]) -> Sealed {
        Sealed(format!("v1:{}:{key}:{}", algorithm.as_str(), STANDARD_NO_PAD.encode(body)))
    }
}
