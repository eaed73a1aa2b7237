//! The vault itself: seal for a place, open for a proof.

use std::sync::{Arc, PoisonError, RwLock};

use model::{Account, AccountSecret, Id, Sealed, SecretType, Time, User};
use policy::{Authority, Granted, OpensSecret, action::Reveal};
use store::Store;
use tokio::sync::Mutex;

use crate::{
    Aad, Algorithm, Field, MAX_SECRET, MasterKey, Result, Secret, VaultError,
    envelope::Parts,
    keyring::{DataKey, Keyring},
};

/// What an account logs in with, in clear, opened for one grant.
#[derive(Debug)]
pub struct Credential {
    /// Kind.
    pub secret_type: SecretType,
    /// Which version of the secret this is.
    pub version: i64,
    /// The password, private key or token.
    pub secret: Secret<String>,
    /// Passphrase of the private key.
    pub passphrase: Option<Secret<String>>,
}

/// A secret that belongs to a person's login or to the node, not to an account on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// The person's TOTP seed.
    OtpSeed(Id<User>),
    /// A secret setting or piece of node state.
    Setting(String),
}

impl Own {
    fn aad(&self) -> Aad {
        match self {
            Own::OtpSeed(user) => Aad::otp_seed(*user),
            Own::Setting(name) => Aad::setting(name),
        }
    }
}

/// Seals and opens secrets. One per process; share it in an `Arc`.
pub struct Vault {
    pub(crate) store: Store,
    pub(crate) authority: Authority,
    ring: RwLock<Arc<Keyring>>,
    /// Held by whoever changes keys.
    pub(crate) changing: Mutex<()>,
}

impl Vault {
    /// Loads and unwraps the data keys; makes the first one (AES-256-GCM) when there are none. Finishes a master-key
    /// rotation that was interrupted.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] when the keys were wrapped by another master key; the store failed.
    pub async fn open_store(store: Store, authority: Authority, master: MasterKey) -> Result<Self> {
        Self::open_store_at(store, authority, master, Algorithm::default(), model::Clock::now(&model::SystemClock)).await
    }

    /// As [`Self::open_store`]; the first data key is of that algorithm and carries that date.
    ///
    /// # Errors
    /// As [`Self::open_store`].
    pub async fn open_store_at(store: Store, authority: Authority, master: MasterKey, first: Algorithm, now: Time) -> Result<Self> {
        let backend = store.node(authority);
        if backend.key_material().await?.is_empty() {
            let (_, material) = Keyring::make(1, first, master.next().unwrap_or(&master), now)?;
            backend.put_key_material(material).await?;
        }
        // read back what is stored: another node may have made the first key at the same time
        let ring = Keyring::unwrap(&backend.key_material().await?, &master)?.ok_or(VaultError::UnknownKey(1))?;
        let next = master.next().cloned();
        let vault = Self { store, authority, ring: RwLock::new(Arc::new(ring)), changing: Mutex::new(()) };
        if let Some(next) = next {
            vault.rotate_master(next).await?;
        }
        Ok(vault)
    }

    /// Seals a secret for the place it will be kept in.
    ///
    /// # Errors
    /// [`VaultError::TooLong`]; no randomness.
    pub fn seal_for(&self, aad: &Aad, secret: &Secret<String>) -> Result<Sealed> {
        self.seal_bytes(aad, secret.expose().as_bytes())
    }

    /// A new version of an account's secret, sealed, ready for `Change::AddAccountSecret`. `account.version` is not
    /// touched. An empty text is "no secret".
    ///
    /// # Errors
    /// As [`Self::seal_for`].
    pub fn seal_account(
        &self,
        account: &Account,
        version: i64,
        secret: Option<&Secret<String>>,
        passphrase: Option<&Secret<String>>,
        (created_by, now): (&str, Time),
    ) -> Result<AccountSecret> {
        let seal =
            |s: Option<&Secret<String>>, field| s.filter(|s| !s.is_empty()).map(|s| self.seal_for(&Aad::account(account.id, version, field), s)).transpose();
        Ok(AccountSecret {
            account: account.id,
            org: account.org,
            version,
            secret_type: account.secret_type,
            secret: seal(secret, Field::Secret)?,
            passphrase: seal(passphrase, Field::Passphrase)?,
            created_by: created_by.to_owned(),
            date_created: now,
        })
    }

    /// Opens the newest secret of the account that the grant names, and of no other.
    ///
    /// # Errors
    /// [`VaultError::Virtual`] when the grant names no stored account, [`VaultError::NoSecret`] when nothing is stored,
    /// [`VaultError::Integrity`] when what is stored was changed.
    pub async fn open<A: OpensSecret>(&self, granted: &Granted<A>) -> Result<Credential> {
        let account = A::account(granted.on()).ok_or(VaultError::Virtual)?;
        self.open_newest(granted.scope(), account, None).await
    }

    /// Opens an earlier version for "reveal".
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_version(&self, granted: &Granted<Reveal>, version: i64) -> Result<Credential> {
        self.open_newest(granted.scope(), granted.on(), Some(version)).await
    }

    async fn open_newest(&self, scope: policy::OrgScope, account: &Account, version: Option<i64>) -> Result<Credential> {
        let stored = self.store.read(scope).account_secrets(account.id).await?;
        // INVARIANT: the row must be of the very account in the proof, whatever the store answered.
        let newest = stored
            .into_iter()
            .filter(|s| s.account == account.id && s.org == account.org && s.org == scope.id())
            .filter(|s| version.is_none_or(|v| s.version == v))
            .max_by_key(|s| s.version)
            .ok_or(VaultError::NoSecret)?;
        let sealed = newest.secret.as_ref().ok_or(VaultError::NoSecret)?;
        let secret = self.open_text(&Aad::account(account.id, newest.version, Field::Secret), sealed).await?;
        let passphrase = match &newest.passphrase {
            Some(p) => Some(self.open_text(&Aad::account(account.id, newest.version, Field::Passphrase), p).await?),
            None => None,
        };
        Ok(Credential { secret_type: newest.secret_type, version: newest.version, secret, passphrase })
    }

    /// Seals a secret of a login or of the node.
    ///
    /// # Errors
    /// As [`Self::seal_for`].
    pub fn seal_own(&self, place: &Own, secret: &Secret<String>) -> Result<Sealed> {
        self.seal_for(&place.aad(), secret)
    }

    /// Opens a secret of a login or of the node. Accounts' secrets do not open here: they are bound to another place.
    ///
    /// # Errors
    /// [`VaultError::Integrity`] when it was changed or belongs elsewhere.
    pub async fn open_own(&self, place: &Own, sealed: &Sealed) -> Result<Secret<String>> {
        self.open_text(&place.aad(), sealed).await
    }

    /// The algorithm and id of the key that seals now.
    pub fn active_key(&self) -> (i64, Algorithm) {
        let ring = self.ring();
        (ring.active, ring.get(ring.active).map(|k| k.algorithm).unwrap_or_default())
    }

    /// The public id of the master key in use.
    pub fn master_id(&self) -> String {
        self.ring().master.id()
    }

    /// Whether the master key came from a file: only then can a rotation keep the new one by itself.
    pub fn master_is_file(&self) -> bool {
        self.ring().master.is_file()
    }

    /// Whether the sealed text was sealed with a key other than the active one.
    pub(crate) fn is_outdated(&self, sealed: &Sealed) -> Result<bool> {
        Ok(Parts::key_of(sealed)? != self.ring().active)
    }

    /// Seals again with the active key; the clear text is checked against the place on the way.
    pub(crate) async fn reseal(&self, aad: &Aad, sealed: &Sealed) -> Result<Sealed> {
        let clear = self.open_bytes(aad, sealed).await?;
        self.seal_bytes(aad, &clear)
    }

    fn seal_bytes(&self, aad: &Aad, clear: &[u8]) -> Result<Sealed> {
        if clear.len() > MAX_SECRET {
            return Err(VaultError::TooLong);
        }
        let ring = self.ring();
        let key = ring.get(ring.active)?;
        let body = key.algorithm.seal(&key.bytes, aad.as_bytes(), clear)?;
        Ok(Parts::format(key.algorithm, ring.active, &body))
    }

    async fn open_text(&self, aad: &Aad, sealed: &Sealed) -> Result<Secret<String>> {
        Secret::from_utf8(self.open_bytes(aad, sealed).await?).ok_or(VaultError::Integrity)
    }

    async fn open_bytes(&self, aad: &Aad, sealed: &Sealed) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        let parts = Parts::parse(sealed)?;
        if self.ring().get(parts.key).is_err() {
            // another node may have made a key since we looked
            self.refresh().await?;
        }
        let ring = self.ring();
        let DataKey { algorithm, bytes, .. } = ring.get(parts.key)?;
        if *algorithm != parts.algorithm {
            return Err(VaultError::Integrity);
        }
        algorithm.open(bytes, aad.as_bytes(), &parts.body)
    }

    /// Reads the data keys again.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let master = self.ring().master.clone();
        let stored = self.store.node(self.authority).key_material().await?;
        if let Some(ring) = Keyring::unwrap(&stored, &master)? {
            self.install(ring);
        }
        Ok(())
    }

    pub(crate) fn ring(&self) -> Arc<Keyring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn install(&self, ring: Keyring) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("master", &self.master_id()).field("active", &self.active_key()).finish_non_exhaustive()
    }
}
