//! `rampart admin backup`: one file with a consistent copy of the node, also while it runs.
//!
//! ```text
//! manifest.json            what is in it, with the SHA-256 of every file
//! rampart.db               the database as of one moment
//! audit/checkpoints.jsonl  the signed checkpoints that this database knows
//! keys/node.id, keys/audit.trusted
//! keys/…, tls/…            with --with-keys
//! recordings/…             with --with-recordings
//! recordings.jsonl         path, size and hash of every recording that belongs to it
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Read, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use model::{Clock as _, Order, Query, SessionRow, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::{
    BackupArgs, Done, Failure, client, local,
    local::{Local, bytes},
    out, say,
};

/// Format of the file.
pub const FORMAT: &str = "rampart-backup-v1";
/// Session rows read at once.
const PAGE: u64 = 5000;

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the program that wrote it.
    pub version: String,
    /// When.
    pub created: Time,
    /// The keys are in it.
    pub with_keys: bool,
    /// The recordings are in it.
    pub with_recordings: bool,
    /// Path → size, SHA-256 (hex).
    pub files: BTreeMap<String, (u64, String)>,
}

/// Writes it.
pub async fn run(args: BackupArgs) -> Done {
    let data = client::required(&args.data)?;
    let shown = args.out.display().to_string();
    let file =
        fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&args.out).map_err(|e| Failure::failed(format!("{shown}: {e}")))?;
    let result = write(&args, &data, file).await;
    match result {
        Ok((files, size)) => {
            out::note(&say("cli.backed_up", &[("file", &shown), ("count", &files.to_string()), ("size", &bytes(size))]));
            if args.with_keys {
                out::note(&say("cli.backup_has_keys", &[]));
            }
            Ok(())
        }
        Err(failure) => {
            let _ = fs::remove_file(&args.out);
            Err(failure)
        }
    }
}

/// A directory that goes with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn write(args: &BackupArgs, data: &Path, file: File) -> Result<(usize, u64), Failure> {
    let scratch = Scratch(data.join(format!("tmp/backup-{}", uuid::Uuid::new_v4())));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&scratch.0)?;
    let live = Local::open(data).await?;
    let copy = scratch.0.join("rampart.db");
    let copied = live.node().backup(&copy).await.map_err(|e| Failure::says("cli.no_database", &[("detail", &e.to_string())]));
    live.close().await;
    copied?;

    let mut parts: Vec<(String, PathBuf)> = vec![("rampart.db".into(), copy.clone())];
    let index = index_of(&copy, data, &scratch.0).await?;
    parts.push(("audit/checkpoints.jsonl".into(), scratch.0.join("checkpoints.jsonl")));
    parts.push(("recordings.jsonl".into(), scratch.0.join("recordings.jsonl")));
    fs::write(scratch.0.join("audit.trusted"), local::own_keys(data).join("\n") + "\n")?;
    parts.push((local::TRUSTED.into(), scratch.0.join("audit.trusted")));
    if data.join("keys/node.id").is_file() {
        parts.push(("keys/node.id".into(), data.join("keys/node.id")));
    }
    if args.with_keys {
        for folder in ["keys", "tls"] {
            parts.extend(
                files_of(&data.join(folder))?.into_iter().filter(|(n, _)| n != "node.id" && n != "audit.trusted").map(|(n, p)| (format!("{folder}/{n}"), p)),
            );
        }
    }
    if args.with_recordings {
        parts.extend(index.into_iter().map(|path| (format!("recordings/{path}"), data.join("recordings").join(&path))).filter(|(_, p)| p.is_file()));
    }
    let (with_keys, with_recordings) = (args.with_keys, args.with_recordings);
    let packed = tokio::task::spawn_blocking(move || pack(parts, with_keys, with_recordings, file));
    let done = packed.await.map_err(|e| Failure::failed(e.to_string()))??;
    drop(scratch);
    Ok(done)
}

/// Writes the index of recordings and the checkpoints that the copy knows; answers with the paths of the recordings.
async fn index_of(copy: &Path, data: &Path, scratch: &Path) -> Result<Vec<String>, Failure> {
    let failed = |e: store::StoreError| Failure::failed(e.to_string());
    let authority = policy::Authority::of_this_node();
    let store = store_sql::open(&format!("sqlite://{}", copy.display()), store_sql::Options::default()).await.map_err(failed)?;
    let node = store.node(authority);
    let mut known = HashSet::new();
    for id in node.chain_nodes().await.map_err(failed)? {
        known.extend(node.checkpoints(&id).await.map_err(failed)?.into_iter().map(|c| c.signature));
    }
    checkpoints(&data.join("audit/checkpoints.jsonl"), &known, &scratch.join("checkpoints.jsonl")).await?;

    let mut paths = Vec::new();
    let mut index = io::BufWriter::new(File::create(scratch.join("recordings.jsonl"))?);
    let reader = store.read(authority.every_org());
    let mut offset = 0;
    loop {
        let mut query = Query::all().page(offset, PAGE);
        query.order = vec![Order { field: "date_start".into(), desc: false }];
        let rows = reader.logs::<SessionRow>(&query).await.map_err(failed)?.rows;
        offset += rows.len() as u64;
        for row in &rows {
            let Some(path) = row.recording.clone().filter(|p| is_inside(p)) else { continue };
            let line = serde_json::json!({"session": row.id, "path": path, "size": row.recording_size, "hash": row.recording_hash});
            writeln!(index, "{line}")?;
            paths.push(path);
        }
        if (rows.len() as u64) < PAGE {
            break;
        }
    }
    index.flush()?;
    node.close().await;
    // Closing writes everything into the one file; what lies beside it is not part of the copy.
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", copy.display()));
    }
    Ok(paths)
}

/// The checkpoint file and the database must agree, or verification would rightly say that one of them is old. The node
/// writes both one after the other, so a line may be late.
async fn checkpoints(from: &Path, known: &HashSet<String>, to: &Path) -> Done {
    for _ in 0..40 {
        let all = audit::read_checkpoints(from)?;
        let kept: Vec<_> = all.iter().filter(|c| known.contains(&c.signature)).collect();
        if kept.len() >= known.len() || from.metadata().is_err() {
            let mut file = io::BufWriter::new(File::create(to)?);
            for c in kept {
                serde_json::to_writer(&mut file, c).map_err(|e| Failure::failed(e.to_string()))?;
                file.write_all(b"\n")?;
            }
            file.flush()?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::says("cli.checkpoints_differ", &[]))
}

/// A path that stays below the directory it is joined to.
pub fn is_inside(path: &str) -> bool {
    use std::path::Component;
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|c| matches!(c, Component::Normal(_)))
}

fn files_of(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(files),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if let (true, Some(name)) = (entry.file_type()?.is_file(), entry.file_name().to_str()) {
            files.push((name.to_owned(), entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// Hashes everything, then writes the manifest and the files. What is hashed is what is written: files are opened once, and
/// one that grows meanwhile is cut where it was.
fn pack(parts: Vec<(String, PathBuf)>, with_keys: bool, with_recordings: bool, out: File) -> Result<(usize, u64), Failure> {
    let created = model::SystemClock.now();
    let mut manifest =
        Manifest { format: FORMAT.into(), version: env!("CARGO_PKG_VERSION").into(), created, with_keys, with_recordings, files: BTreeMap::new() };
    let mut sizes = Vec::with_capacity(parts.len());
    for (name, path) in &parts {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let hash = digest(&mut file.take(size))?;
        manifest.files.insert(name.clone(), (size, hash));
        sizes.push(size);
    }
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 * 1024, out));
    let mtime = u64::try_from(created.timestamp()).unwrap_or(0);
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        let mut head = tar::Header::new_gnu();
        head.set_size(size);
        head.set_mode(0o600);
        head.set_mtime(mtime);
        tar.append_data(&mut head, name, content)
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Failure::failed(e.to_string()))?;
    add("manifest.json", text.len() as u64, &mut text.as_slice())?;
    for ((name, path), size) in parts.iter().zip(&sizes) {
        add(name, *size, &mut File::open(path)?.take(*size))?;
    }
    let mut file = tar.into_inner()?.into_inner().map_err(|e| Failure::failed(e.to_string()))?;
    file.sync_all()?;
    let size = file.stream_position()?;
    Ok((parts.len(), size))
}

/// The SHA-256 of what is read, in hex.
pub fn digest(from: &mut dyn Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect());
        }
        hash.update(buffer.get(..n).unwrap_or_default());
    }
}
