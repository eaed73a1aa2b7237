//! Signatures of recording heads: Ed25519 (RFC 8032).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::RecordError;

/// Signs heads with the node's key.
pub trait Signer: Send + Sync {
    /// The public key, lower-case hex.
    fn public_key(&self) -> &str;
    /// An Ed25519 signature of `message`, lower-case hex.
    fn sign(&self, message: &[u8]) -> String;
}

/// An Ed25519 key in memory.
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    public: String,
}

impl Ed25519Signer {
    /// From a 32-byte seed (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`RecordError::Sign`] if the seed has another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, RecordError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| RecordError::Sign)?;
        let public = hex::encode(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }
}

impl Signer for Ed25519Signer {
    fn public_key(&self) -> &str {
        &self.public
    }
    fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.pair.sign(message).as_ref())
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Whether `signature` (hex) of `message` was made by the owner of `key` (hex).
pub fn check_signature(key: &str, message: &[u8], signature: &str) -> bool {
    let (Ok(key), Ok(signature)) = (hex::decode(key), hex::decode(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(message, &signature).is_ok()
}
