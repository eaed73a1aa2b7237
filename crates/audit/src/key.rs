//! The node's signing key: Ed25519, kept outside the database.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use recording::{Ed25519Signer, Signer};
use zeroize::Zeroizing;

const SEED: usize = 32;

/// Signs checkpoints and the heads of recordings. Cheap to clone; shows only its public half.
#[derive(Debug, Clone)]
pub struct NodeKey {
    signer: Arc<Ed25519Signer>,
}

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing it failed.
    #[error("audit key: {0}")]
    Io(#[from] io::Error),
    /// Others on this machine can read it.
    #[error("audit key: the file is accessible to others (mode {0:o}); make it 600")]
    Exposed(u32),
    /// It is not a key.
    #[error("audit key: the file does not hold a key")]
    Malformed,
    /// No randomness.
    #[error("audit key: no randomness from the system")]
    Random,
}

impl NodeKey {
    /// Loads the key (hex of a 32-byte seed), or makes it at the first start: file 0600, folder 0700.
    ///
    /// # Errors
    /// See [`KeyError`]. An existing file is never replaced.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(KeyError::Io(e)) if e.kind() == io::ErrorKind::NotFound => Self::create(path),
            other => other,
        }
    }
    /// Loads the key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let file = fs::File::open(path)?;
        let mode = file.metadata()?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed(mode));
        }
        let mut text = Zeroizing::new(String::with_capacity(128));
        file.take(256).read_to_string(&mut text)?;
        let mut seed = Zeroizing::new([0u8; SEED]);
        hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| KeyError::Malformed)?;
        Self::from_seed(&*seed)
    }
    fn create(path: &Path) -> Result<Self, KeyError> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut seed = Zeroizing::new([0u8; SEED]);
        getrandom::fill(&mut *seed).map_err(|_| KeyError::Random)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let text = Zeroizing::new(hex::encode(*seed));
        writeln!(file, "{}", *text)?;
        file.sync_all()?;
        if let Some(folder) = folder {
            fs::File::open(folder)?.sync_all()?;
        }
        Self::from_seed(&*seed)
    }
    /// From a seed, for tests and for restoring.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is not 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { signer: Arc::new(Ed25519Signer::from_seed(seed).map_err(|_| KeyError::Malformed)?) })
    }
}

impl Signer for NodeKey {
    fn public_key(&self) -> &str {
        self.signer.public_key()
    }
    fn sign(&self, message: &[u8]) -> String {
        self.signer.sign(message)
    }
}
