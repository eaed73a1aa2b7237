//! The gateway's own host keys: made once, kept in files only the owner can read.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use russh::keys::{
    Algorithm, PrivateKey,
    key::safe_rng,
    ssh_key::{
        LineEnding,
        private::{KeypairData, RsaKeypair},
    },
};

/// Bits of the RSA key; below 3072 auditors complain.
const RSA_BITS: usize = 3072;
const MAX_FILE: u64 = 64 * 1024;

/// Loads `ssh_host_ed25519_key` and `ssh_host_rsa_key` from `dir` (0700), making what is missing (0600).
///
/// # Errors
/// A file cannot be read, written or understood; the sentence names it.
pub fn load_or_create(dir: &Path) -> io::Result<Vec<PrivateKey>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    Ok(vec![
        one(&dir.join("ssh_host_ed25519_key"), || PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519))?,
        one(&dir.join("ssh_host_rsa_key"), || {
            let pair = RsaKeypair::random(&mut safe_rng(), RSA_BITS)?;
            PrivateKey::new(KeypairData::from(pair), "")
        })?,
    ])
}

fn one(path: &Path, make: impl FnOnce() -> Result<PrivateKey, russh::keys::ssh_key::Error>) -> io::Result<PrivateKey> {
    let named = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", path.display()));
    match fs::metadata(path) {
        Ok(meta) => {
            if meta.len() > MAX_FILE {
                return Err(named(&"too large for a key"));
            }
            if meta.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|e| named(&e))?;
            }
            let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(|e| named(&e))?);
            PrivateKey::from_openssh(text.as_bytes()).map_err(|e| named(&e))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let key = make().map_err(|e| named(&e))?;
            let text = key.to_openssh(LineEnding::LF).map_err(|e| named(&e))?;
            // Whole or not at all: a crash must not leave half a key under the final name.
            let part = path.with_extension("part");
            let _ = fs::remove_file(&part);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(|e| named(&e))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| named(&e))?;
            fs::rename(&part, path).map_err(|e| named(&e))?;
            Ok(key)
        }
        Err(e) => Err(named(&e)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_stay_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");

        let first = load_or_create(&keys).unwrap();
        let again = load_or_create(&keys).unwrap();

        let public = |keys: &[PrivateKey]| keys.iter().map(|k| k.public_key().to_openssh().unwrap()).collect::<Vec<_>>();
        assert_eq!(public(&first), public(&again));
        for file in fs::read_dir(&keys).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ssh_host_ed25519_key"), "nonsense").unwrap();

        let error = load_or_create(dir.path()).unwrap_err().to_string();

        assert!(error.contains("ssh_host_ed25519_key"), "{error}");
    }
}
