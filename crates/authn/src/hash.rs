//! Argon2id (RFC 9106) with the parameters OWASP recommends, off the async threads and not more at once than there
//! are processors: each run takes 19 MiB and some 20 ms.

use std::{sync::Arc, thread, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::{sync::Semaphore, task, time};
use zeroize::Zeroizing;

use crate::{AuthnError, MAX_PASSWORD, Result};

/// KiB of memory, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// What names that do not exist are compared with: it costs the same, and what it answers is not looked at.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdCBvZiBub2JvZHkhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Longest wait for a processor; a flood of attempts must not pile up for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hashes and verifies passwords.
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        let slots = thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 8));
        Self { slots: Arc::new(Semaphore::new(slots)) }
    }
}

impl Hasher {
    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        if password.len() > MAX_PASSWORD {
            return Err(AuthnError::Hash("password too long"));
        }
        let mut salt = [0u8; 16];
        getrandom::fill(&mut salt).map_err(|_| AuthnError::Random)?;
        let password = Zeroizing::new(password.to_owned());
        self.run(move || {
            let hash = argon2id()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| AuthnError::Hash("argon2"))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password belongs to the hash. With no hash it takes as long and answers `false`.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some() && password.len() <= MAX_PASSWORD;
        let hash = hash.unwrap_or(NOBODY).to_owned();
        let password = Zeroizing::new(password.bytes().take(MAX_PASSWORD).collect::<Vec<u8>>());
        let same = self.run(move || Ok(argon2id()?.verify_password(&password, hash.as_str()).is_ok())).await?;
        Ok(same && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = time::timeout(PATIENCE, self.slots.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| AuthnError::Hash("too many attempts at once"))?.map_err(|_| AuthnError::Hash("closed"))?;
        // the permit moves into the work: when the caller goes away the work goes on, and must still count
        let task = task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|_| AuthnError::Hash("the hashing task failed"))?
    }
}

fn argon2id() -> Result<Argon2<'static>> {
    let (m, t, p) = COST;
    let params = Params::new(m, t, p, None).map_err(|_| AuthnError::Hash("parameters"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let hasher = Hasher::default();
        let hash = hasher.hash("correct horse").await.unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hasher.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct horsf", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct horse", None).await.unwrap());
        assert!(!hasher.verify("correct horse", Some("not a hash")).await.unwrap());
        assert_ne!(hash, hasher.hash("correct horse").await.unwrap());
    }

    #[test]
    fn nobody_is_hashed_with_the_cost_of_everybody() {
        let hash = argon2::PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&hash).unwrap();

        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), COST);
        assert!(argon2id().unwrap().verify_password(b"", NOBODY).is_err());
    }

    #[tokio::test]
    async fn an_endless_password_is_wrong_and_not_hashed_whole() {
        let hasher = Hasher::default();
        let long = "x".repeat(MAX_PASSWORD);
        let hash = hasher.hash(&long).await.unwrap();

        assert!(hasher.verify(&long, Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&format!("{long}x"), Some(&hash)).await.unwrap());
        assert!(hasher.hash(&format!("{long}x")).await.is_err());
    }
}
