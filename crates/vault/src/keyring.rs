//! The data keys in memory.

use std::collections::BTreeMap;

use model::Time;
use store::KeyMaterial;
use zeroize::Zeroizing;

use crate::{Algorithm, MasterKey, Result, VaultError};

/// One data key in clear.
pub(crate) struct DataKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) date_created: Time,
}

/// All data keys, and which one seals.
pub(crate) struct Keyring {
    pub(crate) keys: BTreeMap<i64, DataKey>,
    pub(crate) active: i64,
    pub(crate) master: MasterKey,
}

impl Keyring {
    /// Unwraps what the store holds. Keys wrapped by the master key's successor open too. `None` when there are none.
    pub(crate) fn unwrap(stored: &[KeyMaterial], master: &MasterKey) -> Result<Option<Self>> {
        let mut keys = BTreeMap::new();
        for k in stored {
            let algorithm = Algorithm::parse(&k.algorithm).ok_or(VaultError::DamagedKey(k.id))?;
            let by = MasterKey::wrapped_by(&k.wrapped).unwrap_or_default();
            let with = master.next().filter(|n| n.id() == by).unwrap_or(master);
            let bytes = with.unwrap(k.id, algorithm, &k.wrapped)?;
            keys.insert(k.id, DataKey { algorithm, bytes, date_created: k.date_created });
        }
        let active = stored.iter().filter(|k| k.active).map(|k| k.id).max().or_else(|| keys.keys().next_back().copied());
        Ok(active.map(|active| Self { keys, active, master: master.clone() }))
    }

    pub(crate) fn get(&self, id: i64) -> Result<&DataKey> {
        self.keys.get(&id).ok_or(VaultError::UnknownKey(id))
    }

    /// A new random key of that kind, wrapped for the store.
    pub(crate) fn make(id: i64, algorithm: Algorithm, master: &MasterKey, now: Time) -> Result<(DataKey, KeyMaterial)> {
        let mut bytes = Zeroizing::new(vec![0u8; algorithm.key_len()]);
        getrandom::fill(&mut bytes).map_err(|_| VaultError::Random)?;
        let key = DataKey { algorithm, bytes, date_created: now };
        let material = key.wrapped(id, true, master)?;
        Ok((key, material))
    }
}

impl DataKey {
    /// For the store, wrapped by `master`.
    pub(crate) fn wrapped(&self, id: i64, active: bool, master: &MasterKey) -> Result<KeyMaterial> {
        let wrapped = master.wrap(id, self.algorithm, &self.bytes)?;
        Ok(KeyMaterial { id, wrapped, algorithm: self.algorithm.as_str().to_owned(), active, date_created: self.date_created })
    }
}
