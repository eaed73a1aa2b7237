//! Key rotation while the server runs.
//!
//! * Master key: every data key is wrapped anew; sealed secrets do not change. The new key is kept beside the old one
//!   until the last data key is done, so a crash in between loses nothing and the next start goes on.
//! * Data key: a new one becomes active, then every stored secret is sealed with it, window by window. Old data keys
//!   stay, so both old and new texts open at every moment; starting again skips what is done.

use model::{AccountSecret, AuditEvent, Clock as _, Entity as _, Id, Query, SystemClock, Time, User};
use store::{Change, KeyMaterial, StoreError, UnitOfWork};

use crate::{
    Aad, Algorithm, Field, MasterKey, Result, Vault, VaultError,
    keyring::{DataKey, Keyring},
};

/// Rows per window: small enough that a commit does not hold up the server.
const WINDOW: u64 = 200;
/// Rows may come and go while windows move, so passes are repeated until one finds nothing to do.
const PASSES: u32 = 8;

/// How far a re-sealing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows looked at.
    pub seen: u64,
    /// Rows sealed anew.
    pub resealed: u64,
    /// Rows that do not open (damaged); they stay as they are.
    pub damaged: u64,
}

/// The result of a re-sealing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Totals.
    pub total: Progress,
    /// What does not open, for the administrator: `account <id> version <n>` or `one-time seed of user <id>`.
    pub damaged: Vec<String>,
}

impl Vault {
    /// Wraps every data key with `new`, which replaces the master key (and its file, if it came from one). For a key
    /// from the environment the caller sees to it that the next start gets the new one.
    ///
    /// # Errors
    /// The store or the key file failed; both keys are then still needed, see [`MasterKey::with_next`].
    pub async fn rotate_master(&self, new: MasterKey) -> Result<()> {
        let _only_one = self.changing.lock().await;
        let backend = self.store.node(self.authority);
        let old = self.ring().master.clone();
        if new.id() == old.id() {
            return Ok(());
        }
        old.announce(&new)?;
        let both = old.clone().with_next(new.clone());
        let stored = backend.key_material().await?;
        let ring = Keyring::unwrap(&stored, &both)?.ok_or(VaultError::UnknownKey(1))?;
        let new_id = new.id();
        // the active key last: put_key_material of an active key decides which one is active
        let mut order: Vec<&KeyMaterial> = stored.iter().filter(|k| MasterKey::wrapped_by(&k.wrapped) != Some(new_id.as_str())).collect();
        order.sort_by_key(|k| (k.active, k.id));
        for k in order {
            backend.put_key_material(ring.get(k.id)?.wrapped(k.id, k.active, &new)?).await?;
        }
        let master = old.succeed(&new)?;
        let stored = backend.key_material().await?;
        self.install(Keyring::unwrap(&stored, &master)?.ok_or(VaultError::UnknownKey(1))?);
        self.evidence("vault.master_rotated", &master.id(), serde_json::json!({ "from": old.id(), "to": master.id(), "data_keys": stored.len() })).await
    }

    /// Makes a new data key the active one and returns its id. Secrets sealed before stay readable; call
    /// [`Self::reseal_all`] to move them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn rotate_data_key(&self, algorithm: Algorithm) -> Result<i64> {
        let _only_one = self.changing.lock().await;
        let backend = self.store.node(self.authority);
        let id = backend.key_material().await?.iter().map(|k| k.id).max().unwrap_or(0).saturating_add(1);
        let (_, material): (DataKey, _) = Keyring::make(id, algorithm, &self.ring().master, SystemClock.now())?;
        backend.put_key_material(material).await?;
        self.refresh().await?;
        self.evidence("vault.data_key_rotated", &id.to_string(), serde_json::json!({ "key": id, "algorithm": algorithm.as_str() })).await?;
        Ok(id)
    }

    /// Seals every stored secret with the active data key, in windows, while the server runs. May be stopped and
    /// started again at any time. `progress` is called after each window.
    ///
    /// # Errors
    /// The store failed. Damaged rows are not an error; they are counted and named.
    pub async fn reseal_all(&self, mut progress: impl FnMut(Progress) + Send) -> Result<Resealed> {
        let mut done = Resealed::default();
        for _ in 0..PASSES {
            let before = done.total.resealed;
            done.damaged.clear();
            done.total.damaged = 0;
            done.total.seen = 0;
            self.reseal_accounts(&mut done, &mut progress).await?;
            self.reseal_seeds(&mut done, &mut progress).await?;
            if done.total.resealed == before {
                break;
            }
        }
        let data = serde_json::json!({ "key": self.active_key().0, "resealed": done.total.resealed, "damaged": done.damaged });
        self.evidence("vault.resealed", &self.active_key().0.to_string(), data).await?;
        Ok(done)
    }

    async fn reseal_accounts(&self, done: &mut Resealed, progress: &mut (impl FnMut(Progress) + Send)) -> Result<()> {
        let mut offset = 0;
        loop {
            let rows = self.store.node(self.authority).all_account_secrets(offset, WINDOW).await?;
            let count = rows.len() as u64;
            let mut changed = Vec::new();
            for row in rows {
                match self.reseal_row(&row).await {
                    Ok(Some(new)) => changed.push(new),
                    Ok(None) => {}
                    Err(VaultError::Store(e)) => return Err(e.into()),
                    Err(_) => {
                        done.total.damaged += 1;
                        done.damaged.push(format!("account {} version {}", row.account, row.version));
                    }
                }
            }
            done.total.resealed += self.commit_rows(changed).await?;
            done.total.seen += count;
            progress(done.total);
            if count < WINDOW {
                return Ok(());
            }
            offset += count;
        }
    }

    /// The row sealed with the active key, if it is not yet.
    async fn reseal_row(&self, row: &AccountSecret) -> Result<Option<AccountSecret>> {
        let mut new = row.clone();
        let mut any = false;
        for (field, sealed) in [(Field::Secret, &mut new.secret), (Field::Passphrase, &mut new.passphrase)] {
            if let Some(old) = sealed
                && self.is_outdated(old)?
            {
                *old = self.reseal(&Aad::account(row.account, row.version, field), old).await?;
                any = true;
            }
        }
        Ok(any.then_some(new))
    }

    /// One commit for the window; if a row of it has gone meanwhile, row by row.
    async fn commit_rows(&self, rows: Vec<AccountSecret>) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let work = |rows: &[AccountSecret]| {
            let mut work = UnitOfWork::global(self.authority.global());
            work.changes.extend(rows.iter().map(|r| Change::ResealAccountSecret(Box::new(r.clone()))));
            work
        };
        match self.store.commit(work(&rows)).await {
            Ok(_) => return Ok(rows.len() as u64),
            Err(StoreError::Missing(_) | StoreError::Reference(_)) => {}
            Err(e) => return Err(e.into()),
        }
        let mut count = 0;
        for row in &rows {
            match self.store.commit(work(std::slice::from_ref(row))).await {
                Ok(_) => count += 1,
                Err(StoreError::Missing(_) | StoreError::Reference(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(count)
    }

    async fn reseal_seeds(&self, done: &mut Resealed, progress: &mut (impl FnMut(Progress) + Send)) -> Result<()> {
        let backend = self.store.node(self.authority);
        let mut offset = 0;
        loop {
            let users = self.store.read(self.authority.global()).list::<User>(&Query::default().page(offset, WINDOW)).await?;
            let count = users.rows.len() as u64;
            for user in users.rows.iter().map(|u| u.id()) {
                let Some(old) = backend.user_secrets(user).await?.otp else { continue };
                let new = match self.is_outdated(&old) {
                    Ok(false) => continue,
                    Ok(true) => self.reseal(&Aad::otp_seed(user), &old).await,
                    Err(e) => Err(e),
                };
                match new {
                    Ok(new) => done.total.resealed += u64::from(backend.reseal_otp(user, &old, new).await?),
                    Err(VaultError::Store(e)) => return Err(e.into()),
                    Err(_) => {
                        done.total.damaged += 1;
                        done.damaged.push(format!("one-time seed of user {user}"));
                    }
                }
            }
            done.total.seen += count;
            progress(done.total);
            if count < WINDOW {
                return Ok(());
            }
            offset += count;
        }
    }

    async fn evidence(&self, kind: &str, target: &str, data: serde_json::Value) -> Result<()> {
        let at: Time = SystemClock.now();
        let event = AuditEvent {
            kind: kind.to_owned(),
            org: None,
            actor: "System".to_owned(),
            actor_id: None::<Id<User>>,
            target: "vault".to_owned(),
            target_id: target.to_owned(),
            session: None,
            remote_addr: String::new(),
            at,
            data,
        };
        self.store.node(self.authority).log(store::LogBatch { audit: vec![event], ..Default::default() }).await?;
        Ok(())
    }
}
