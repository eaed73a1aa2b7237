//! The two AEADs: AES-256-GCM (aws-lc) and SM4-GCM (RFC 8998; SM4 from GB/T 32907, GCM from NIST SP 800-38D).
//!
//! Both use a random 96-bit nonce and a 128-bit tag. One data key seals far fewer than 2^32 secrets, so random nonces
//! stay within the bound of SP 800-38D §8.3.

use aes_gcm::{
    AesGcm, KeyInit,
    aead::{Aead as _, Payload, consts::U12},
};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{Result, VaultError};

/// Bytes of the nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes of the authentication tag.
pub(crate) const TAG: usize = 16;

type Sm4Gcm = AesGcm<sm4::Sm4, U12>;

/// How a data key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// AES with a 256-bit key.
    #[default]
    Aes256Gcm,
    /// SM4, the Chinese national cipher, with a 128-bit key.
    Sm4Gcm,
}

impl Algorithm {
    /// The name in sealed texts, in the store and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Aes256Gcm => "aes-256-gcm",
            Algorithm::Sm4Gcm => "sm4-gcm",
        }
    }
    /// Reads the name.
    pub fn parse(s: &str) -> Option<Self> {
        [Algorithm::Aes256Gcm, Algorithm::Sm4Gcm].into_iter().find(|a| a.as_str() == s)
    }
    /// Bytes of a key.
    pub const fn key_len(self) -> usize {
        match self {
            Algorithm::Aes256Gcm => 32,
            Algorithm::Sm4Gcm => 16,
        }
    }

    /// `nonce ‖ ciphertext ‖ tag` under a fresh random nonce.
    pub(crate) fn seal(self, key: &[u8], aad: &[u8], clear: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        self.seal_with(key, nonce, aad, clear)
    }

    pub(crate) fn seal_with(self, key: &[u8], nonce: [u8; NONCE], aad: &[u8], clear: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(NONCE + clear.len() + TAG);
        out.extend_from_slice(&nonce);
        match self {
            Algorithm::Aes256Gcm => {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::Cipher)?);
                let mut body = Zeroizing::new(clear.to_vec());
                let tag = key
                    .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aws_lc_rs::aead::Aad::from(aad), &mut body)
                    .map_err(|_| VaultError::Cipher)?;
                out.extend_from_slice(&body);
                out.extend_from_slice(tag.as_ref());
            }
            Algorithm::Sm4Gcm => {
                let cipher = Sm4Gcm::new_from_slice(key).map_err(|_| VaultError::Cipher)?;
                out.extend(cipher.encrypt(&nonce.into(), Payload { msg: clear, aad }).map_err(|_| VaultError::Cipher)?);
            }
        }
        Ok(out)
    }

    /// Opens `nonce ‖ ciphertext ‖ tag`.
    pub(crate) fn open(self, key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or(VaultError::Format)?;
        if body.len() < TAG {
            return Err(VaultError::Format);
        }
        match self {
            Algorithm::Aes256Gcm => {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::Cipher)?);
                let mut body = Zeroizing::new(body.to_vec());
                let len = key
                    .open_in_place(Nonce::assume_unique_for_key(*nonce), aws_lc_rs::aead::Aad::from(aad), &mut body)
                    .map_err(|_| VaultError::Integrity)?
                    .len();
                body.truncate(len);
                Ok(body)
            }
            Algorithm::Sm4Gcm => {
                let cipher = Sm4Gcm::new_from_slice(key).map_err(|_| VaultError::Cipher)?;
                cipher.decrypt(&(*nonce).into(), Payload { msg: body, aad }).map(Zeroizing::new).map_err(|_| VaultError::Integrity)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    /// RFC 8998 Appendix A.1.
    #[test]
    fn sm4_gcm_meets_the_vector_of_rfc_8998() {
        let hex = |s: &str| hex::decode(s.replace([' ', '\n'], "")).unwrap();
        let nonce: [u8; 12] = hex("00001234567800000000ABCD").try_into().unwrap();
        let key = hex("0123456789ABCDEFFEDCBA9876543210");
        let clear = hex("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDDEEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA");
        let aad = hex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
        let body = hex("17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D");
        let tag = hex("83DE3541E4C2B58177E065A9BF7B62EC");

        let sealed = Algorithm::Sm4Gcm.seal_with(&key, nonce, &aad, &clear).unwrap();

        assert_eq!(sealed, [&nonce[..], &body, &tag].concat());
        assert_eq!(*Algorithm::Sm4Gcm.open(&key, &aad, &sealed).unwrap(), clear);
    }

    /// Test case 15 and 16 key and nonce of the GCM specification (McGrew and Viega), AES-256.
    #[test]
    fn aes_256_gcm_meets_test_case_16_of_the_specification() {
        let hex = |s: &str| hex::decode(s).unwrap();
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let clear = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let body = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662");
        let tag = hex("76fc6ece0f4e1768cddf8853bb2d551b");

        let sealed = Algorithm::Aes256Gcm.seal_with(&key, nonce, &aad, &clear).unwrap();

        assert_eq!(sealed, [&nonce[..], &body, &tag].concat());
        assert_eq!(*Algorithm::Aes256Gcm.open(&key, &aad, &sealed).unwrap(), clear);
    }
}
