//! One server a data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Held as long as the process uses the directory; the kernel lets go when it dies.
pub struct DataDir {
    _lock: File,
    owner: u32,
}

impl DataDir {
    /// Makes the directory if needed (mode 0700) and locks it.
    ///
    /// # Errors
    /// Somebody else holds it; the sentence names the process.
    pub fn lock(dir: &Path) -> anyhow::Result<Self> {
        private_from_now_on();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("cannot create the data directory {}", dir.display()))?;
        let owner = std::fs::metadata(dir)?.uid();
        let path = dir.join("rampart.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.take(32).read_to_string(&mut pid);
                bail!(
                    "the data directory {} is in use by another rampart (process {}); stop it first or choose another directory with --data",
                    dir.display(),
                    pid.trim()
                );
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _lock: file, owner })
    }

    /// User id that owns the directory.
    pub fn owner(&self) -> u32 {
        self.owner
    }
}

/// Whatever this process makes from now on (database, logs beside it, sockets) is for its user only.
pub fn private_from_now_on() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}
