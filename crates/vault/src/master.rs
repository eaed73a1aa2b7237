//! The master key: where it comes from and how it wraps data keys.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use zeroize::Zeroizing;

use crate::{Algorithm, Result, VaultError};

/// 32 bytes that wrap the data keys. Never in the database, never printed.
///
/// Two keys are derived from it (HMAC-SHA-256 with distinct labels): the one that wraps, and a short public id that
/// tells apart "wrong key" from "damaged data".
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    /// The file it was read from.
    file: Option<PathBuf>,
    /// A rotation to this key was begun and perhaps not finished.
    next: Option<Box<MasterKey>>,
}

impl MasterKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| VaultError::Random)?;
        Ok(Self { bytes, file: None, next: None })
    }

    /// From 64 hex digits or base64 (standard or URL alphabet, padded or not) of 32 bytes.
    ///
    /// # Errors
    /// [`VaultError::MasterKeyFormat`].
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() > 128 {
            return Err(VaultError::MasterKeyFormat);
        }
        let decoded = Zeroizing::new(if text.len() == 64 {
            hex::decode(text).map_err(|_| VaultError::MasterKeyFormat)?
        } else {
            let plain = Zeroizing::new(text.trim_end_matches('=').replace('-', "+").replace('_', "/"));
            STANDARD_NO_PAD.decode(plain.as_bytes()).map_err(|_| VaultError::MasterKeyFormat)?
        });
        let mut bytes = Zeroizing::new([0u8; 32]);
        if decoded.len() != bytes.len() {
            return Err(VaultError::MasterKeyFormat);
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self { bytes, file: None, next: None })
    }

    /// Reads the key file, or makes it (mode 0600, directory 0700) when it is not there. A `<path>.next` left by an
    /// interrupted rotation is read as well; [`crate::Vault::open_store`] then finishes that rotation.
    ///
    /// # Errors
    /// [`VaultError::MasterKeyFile`], [`VaultError::MasterKeyOpen`] when others may read it, [`VaultError::MasterKeyFormat`].
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(VaultError::MasterKeyFile { .. }) if !path.exists() => {}
            other => return other,
        }
        let key = Self::generate()?;
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            let made = !dir.exists();
            fs::create_dir_all(dir).map_err(|e| file_error(dir, &e))?;
            if made {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|e| file_error(dir, &e))?;
            }
        }
        key.write(path)?;
        Ok(Self { file: Some(path.to_owned()), ..key })
    }

    /// Reads the key file; does not make one.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut key = Self::read(path)?;
        let next = next_path(path);
        if next.exists() {
            key.next = Some(Box::new(Self::read(&next)?));
        }
        key.file = Some(path.to_owned());
        Ok(key)
    }

    /// Names the key a rotation was going to, for keys that do not come from a file: data keys wrapped by either
    /// open, and the rotation is finished at the next start.
    #[must_use]
    pub fn with_next(mut self, next: MasterKey) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// A short public id: safe to show, useless to guess the key from.
    pub fn id(&self) -> String {
        hex::encode(self.derive(b"rampart master key id v1").as_ref().get(..6).unwrap_or_default())
    }

    /// Whether it was read from a file, which a rotation can replace.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    pub(crate) fn next(&self) -> Option<&MasterKey> {
        self.next.as_deref()
    }

    fn derive(&self, label: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.bytes), label)
    }

    /// Wraps a data key; the result names this master key.
    pub(crate) fn wrap(&self, id: i64, algorithm: Algorithm, key: &[u8]) -> Result<String> {
        let kek = self.derive(b"rampart key wrap v1");
        let body = Algorithm::Aes256Gcm.seal(kek.as_ref(), &wrap_aad(id, algorithm), key)?;
        Ok(format!("w1:{}:{}", self.id(), STANDARD_NO_PAD.encode(body)))
    }

    /// The id of the master key that wrapped this.
    pub(crate) fn wrapped_by(wrapped: &str) -> Option<&str> {
        wrapped.strip_prefix("w1:")?.split_once(':').map(|(id, _)| id)
    }

    /// Unwraps a data key.
    pub(crate) fn unwrap(&self, id: i64, algorithm: Algorithm, wrapped: &str) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = |_| VaultError::DamagedKey(id);
        let (by, body) = wrapped.strip_prefix("w1:").and_then(|w| w.split_once(':')).ok_or(VaultError::DamagedKey(id))?;
        if by != self.id() {
            return Err(VaultError::WrongMasterKey { expected: by.chars().take(12).collect(), found: self.id() });
        }
        if body.len() > 1024 {
            return Err(VaultError::DamagedKey(id));
        }
        let body = STANDARD_NO_PAD.decode(body).map_err(|_| VaultError::DamagedKey(id))?;
        let key = Algorithm::Aes256Gcm.open(self.derive(b"rampart key wrap v1").as_ref(), &wrap_aad(id, algorithm), &body).map_err(damaged)?;
        if key.len() == algorithm.key_len() { Ok(key) } else { Err(VaultError::DamagedKey(id)) }
    }

    /// Before the first data key is re-wrapped: keeps the new key beside the old one, so that a crash in between
    /// leaves both readable.
    pub(crate) fn announce(&self, new: &MasterKey) -> Result<()> {
        match &self.file {
            Some(path) => new.write(&next_path(path)),
            None => Ok(()),
        }
    }

    /// After the last data key is re-wrapped: the new key takes the place of the old one.
    pub(crate) fn succeed(&self, new: &MasterKey) -> Result<MasterKey> {
        if let Some(path) = &self.file {
            fs::rename(next_path(path), path).map_err(|e| file_error(path, &e))?;
            sync_dir(path)?;
        }
        Ok(MasterKey { bytes: new.bytes.clone(), file: self.file.clone(), next: None })
    }

    fn read(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).map_err(|e| file_error(path, &e))?;
        let mode = file.metadata().map_err(|e| file_error(path, &e))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::MasterKeyOpen { path: path.display().to_string(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(256).read_to_string(&mut text).map_err(|e| file_error(path, &e))?;
        Self::from_text(&text)
    }

    /// Writes to a temporary name first and renames: a torn key file would lose everything.
    fn write(&self, path: &Path) -> Result<()> {
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(hex::encode(self.bytes.as_slice()))));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|e| file_error(path, &e))?;
        sync_dir(path)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

fn wrap_aad(id: i64, algorithm: Algorithm) -> Vec<u8> {
    format!("data key:{id}:{}", algorithm.as_str()).into_bytes()
}

fn next_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn file_error(path: &Path, e: &io::Error) -> VaultError {
    VaultError::MasterKeyFile { path: path.display().to_string(), why: e.to_string() }
}

fn sync_dir(path: &Path) -> Result<()> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| file_error(dir, &e))
}
