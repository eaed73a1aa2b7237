//! `rampart admin restore`: a data directory out of a backup. Everything is checked before the directory has its name, and
//! nothing that is there is ever overwritten.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    super::{Done, Failure, RestoreArgs, local::bytes, out, say},
    backup::{FORMAT, Manifest, digest, is_inside},
};

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 512 * 1024 * 1024;
/// Where files of a backup may lie.
const FOLDERS: [&str; 4] = ["keys", "tls", "audit", "recordings"];
/// Files beside the folders.
const FILES: [&str; 2] = ["rampart.db", "recordings.jsonl"];

/// Unpacks beside the target and renames.
pub fn run(args: &RestoreArgs) -> Done {
    let target = &args.data;
    let shown = target.display().to_string();
    let empty = match fs::read_dir(target) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        other => other?.next().is_none(),
    };
    if !empty {
        return Err(Failure::says("cli.not_empty", &[("dir", &shown)]));
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&parent)?;
    let fresh = parent.join(format!(".rampart-restore-{}", uuid::Uuid::new_v4()));
    fs::DirBuilder::new().mode(0o700).create(&fresh)?;
    let done = unpack(&args.file, &fresh).and_then(|manifest| {
        // An empty directory gives way to the new one.
        let _ = fs::remove_dir(target);
        fs::rename(&fresh, target)?;
        File::open(&parent)?.sync_all()?;
        Ok(manifest)
    });
    match done {
        Ok(manifest) => {
            let size = manifest.files.values().map(|(size, _)| size).sum();
            out::note(&say(
                "cli.restored",
                &[("dir", &shown), ("count", &manifest.files.len().to_string()), ("size", &bytes(size)), ("time", &manifest.created.to_rfc3339())],
            ));
            if !manifest.with_keys {
                out::note(&say("cli.restore_needs_keys", &[("dir", &shown)]));
            }
            if !manifest.with_recordings {
                out::note(&say("cli.restore_needs_recordings", &[("dir", &shown)]));
            }
            Ok(())
        }
        Err(failure) => {
            let _ = fs::remove_dir_all(&fresh);
            Err(failure)
        }
    }
}

fn unpack(from: &Path, into: &Path) -> Result<Manifest, Failure> {
    let not_ours = || Failure::says("cli.not_a_backup", &[("file", &from.display().to_string())]);
    let file = File::open(from).map_err(|e| Failure::failed(format!("{}: {e}", from.display())))?;
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(256 * 1024, file));
    let mut entries = archive.entries()?;
    let mut first = entries.next().ok_or_else(not_ours)?.map_err(|_| not_ours())?;
    if first.path_bytes().as_ref() != b"manifest.json" || first.size() > MAX_MANIFEST {
        return Err(not_ours());
    }
    let mut text = Vec::new();
    first.read_to_end(&mut text)?;
    let mut manifest: Manifest = serde_json::from_slice(&text).map_err(|_| not_ours())?;
    if manifest.format != FORMAT {
        return Err(not_ours());
    }
    let mut missing = manifest.files.clone();
    for entry in entries {
        let mut entry = entry?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| not_ours())?;
        let damaged = || Failure::says("cli.backup_damaged", &[("file", &terminal::safe(&name))]);
        if !entry.header().entry_type().is_file() || !is_allowed(&name) {
            return Err(damaged());
        }
        let (size, hash) = missing.remove(&name).ok_or_else(damaged)?;
        let path = into.join(&name);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if io::copy(&mut entry, &mut file)? != size {
            return Err(damaged());
        }
        file.sync_all()?;
        if digest(&mut File::open(&path)?)? != hash {
            return Err(damaged());
        }
    }
    if let Some(name) = missing.keys().next() {
        return Err(Failure::says("cli.backup_damaged", &[("file", &terminal::safe(name))]));
    }
    // The index is for people and for the restore of recordings from elsewhere.
    manifest.files.retain(|name, _| name != "recordings.jsonl");
    Ok(manifest)
}

/// A place where a backup may put a file.
fn is_allowed(name: &str) -> bool {
    let in_folder = name.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder));
    is_inside(name) && (FILES.contains(&name) || in_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_cannot_write_elsewhere() {
        for good in ["rampart.db", "keys/master.key", "recordings/2026-11-23/x.rec"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "keys/../../x", "other/x", "rampart.sock", "keys", "./rampart.db/.."] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn something_else_is_refused_and_leaves_nothing() {
        let Ok(dir) = tempfile::tempdir() else { return };
        let file = dir.path().join("x.tar");
        let _ = fs::write(&file, b"not a tar file at all");
        let target = dir.path().join("data");

        assert!(run(&RestoreArgs { file: file.clone(), data: target.clone() }).is_err());
        assert!(!target.exists());
        assert_eq!(fs::read_dir(dir.path()).map(Iterator::count).unwrap_or(0), 1);
    }

    #[test]
    fn a_directory_in_use_is_never_touched() {
        let Ok(dir) = tempfile::tempdir() else { return };
        let _ = fs::write(dir.path().join("precious"), b"x");

        assert!(run(&RestoreArgs { file: "none".into(), data: dir.path().into() }).is_err());
        assert!(dir.path().join("precious").exists());
    }
}
