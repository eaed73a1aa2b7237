//! Making a bundle.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use model::{ChainHead, Checkpoint, Id, SessionRow, Time};
use policy::Authority;
use serde::Serialize;
use store::Store;

use super::{BundleError, FORMAT, FileInfo, Manifest, PAGE};
use crate::verify::Link;

/// What to export.
pub struct Export<'a> {
    /// The store.
    pub store: &'a Store,
    /// The right of the node.
    pub authority: Authority,
    /// Directory of the recordings.
    pub recordings: &'a Path,
    /// Sessions; `None` = everything.
    pub sessions: Option<&'a [Id<SessionRow>]>,
    /// Public keys of the nodes.
    pub keys: &'a [String],
    /// Now.
    pub now: Time,
    /// A directory for the parts of the bundle while it is made, on the disk that has room.
    pub scratch: &'a Path,
}

/// Writes a bundle to `out`. Sign a checkpoint before (`Checkpointer::sign_now`).
///
/// # Errors
/// See [`BundleError`]. A recording that is missing is left out, which verification will say.
pub async fn write(export: &Export<'_>, out: File) -> Result<Manifest, BundleError> {
    let node = export.store.node(export.authority);
    let mut parts = Parts {
        dir: export.scratch.to_owned(),
        manifest: Manifest { format: FORMAT.into(), created: export.now, keys: export.keys.to_vec(), chains: Vec::new(), files: BTreeMap::new() },
        sources: Vec::new(),
    };
    let wanted: Option<HashSet<_>> = export.sessions.map(|s| s.iter().map(|id| id.uuid()).collect());
    let rows = rows(export).await?;
    for id in node.chain_nodes().await? {
        let checkpoints = node.checkpoints(&id).await?;
        let Some((start, end)) = range(export, &id, &checkpoints, wanted.as_ref()).await? else { continue };
        let n = parts.manifest.chains.len();
        let mut chain = parts.begin(&format!("chain/{n}.jsonl"))?;
        let mut last = start.seq;
        while last < end {
            let page = node.chain(&id, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for e in page.iter().filter(|e| e.seq <= end) {
                chain.line(e)?;
            }
            last = page.last().map_or(end, |e| e.seq);
        }
        parts.end(chain)?;
        let mut signed = parts.begin(&format!("checkpoints/{n}.jsonl"))?;
        for c in checkpoints.iter().filter(|c| c.head.seq >= start.seq && c.head.seq <= end) {
            signed.line(c)?;
        }
        parts.end(signed)?;
        parts.manifest.chains.push(start);
    }
    let mut list = parts.begin("sessions.jsonl")?;
    for row in &rows {
        list.line(row)?;
    }
    parts.end(list)?;
    for row in &rows {
        parts.recording(export.recordings, row)?;
    }
    tokio::task::spawn_blocking(move || parts.pack(out)).await.map_err(io::Error::other)?
}

async fn rows(export: &Export<'_>) -> Result<Vec<SessionRow>, BundleError> {
    let reader = export.store.read(export.authority.every_org());
    let mut rows = Vec::new();
    if let Some(ids) = export.sessions {
        for id in ids {
            rows.push(reader.log::<SessionRow>(*id).await?.ok_or_else(|| BundleError::NoSession(id.to_string()))?);
        }
        return Ok(rows);
    }
    loop {
        let mut query = model::Query::all().page(rows.len() as u64, PAGE);
        query.order = vec![model::Order { field: "date_start".into(), desc: false }];
        let page = reader.logs::<SessionRow>(&query).await?.rows;
        let full = page.len() as u64 == PAGE;
        rows.extend(page);
        if !full {
            return Ok(rows);
        }
    }
}

/// The part of a chain to export: the state before it, and its last entry.
async fn range(
    export: &Export<'_>,
    id: &str,
    checkpoints: &[Checkpoint],
    wanted: Option<&HashSet<uuid::Uuid>>,
) -> Result<Option<(ChainHead, i64)>, BundleError> {
    let node = export.store.node(export.authority);
    let Some(wanted) = wanted else { return Ok(Some((ChainHead::empty(id), node.chain_head(id).await?.seq))) };
    let (mut first, mut last, mut at) = (None, 0, 0);
    loop {
        let page = node.chain(id, at, PAGE).await?;
        let Some(end) = page.last() else { break };
        at = end.seq;
        for e in page.iter().filter(|e| e.event.session.is_some_and(|s| wanted.contains(&s.uuid()))) {
            first = first.or(Some(e.seq));
            last = e.seq;
        }
    }
    let Some(first) = first else { return Ok(None) };
    let end = checkpoints.iter().map(|c| c.head.seq).filter(|s| *s >= last).min().ok_or_else(|| BundleError::Unsigned(id.to_owned()))?;
    let before = checkpoints.iter().filter(|c| c.head.seq < first).max_by_key(|c| c.head.seq);
    Ok(Some((before.map_or_else(|| ChainHead::empty(id), |c| c.head.clone()), end)))
}

/// The files of a bundle while it is made.
struct Parts {
    dir: std::path::PathBuf,
    manifest: Manifest,
    /// Name in the bundle, file.
    sources: Vec<(String, File)>,
}

/// A file that is being written and hashed.
struct Part {
    name: String,
    file: io::BufWriter<File>,
    hash: blake3::Hasher,
    size: u64,
}

impl Part {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.hash.update(&line);
        self.size += line.len() as u64;
        self.file.write_all(&line)
    }
}

impl Parts {
    fn begin(&self, name: &str) -> io::Result<Part> {
        Ok(Part { name: name.to_owned(), file: io::BufWriter::new(scratch_file(&self.dir)?), hash: blake3::Hasher::new(), size: 0 })
    }
    fn end(&mut self, part: Part) -> io::Result<()> {
        let file = part.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        self.manifest.files.insert(part.name.clone(), FileInfo { size: part.size, blake3: part.hash.finalize().to_hex().to_string() });
        self.sources.push((part.name, file));
        Ok(())
    }
    fn recording(&mut self, directory: &Path, row: &SessionRow) -> io::Result<()> {
        let Some(path) = &row.recording else { return Ok(()) };
        let link = Link { node: String::new(), seq: 0, session: row.id.uuid(), recording: None, size: None };
        // A path from the database is not trusted.
        if !link.path_is_ours(path) {
            return Ok(());
        }
        let mut file = match File::open(directory.join(path)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        let size = file.metadata()?.len();
        let mut hash = blake3::Hasher::new();
        // A running session's file grows: what is there now is exported.
        hash.update_reader((&mut file).take(size))?;
        let name = format!("recordings/{path}");
        self.manifest.files.insert(name.clone(), FileInfo { size, blake3: hash.finalize().to_hex().to_string() });
        self.sources.push((name, file));
        Ok(())
    }
    fn pack(self, out: File) -> Result<Manifest, BundleError> {
        let mtime = u64::try_from(self.manifest.created.timestamp()).unwrap_or(0);
        let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 * 1024, out));
        let mut add = |name: &str, size: u64, content: &mut dyn Read| {
            let mut head = tar::Header::new_gnu();
            head.set_size(size);
            head.set_mode(0o600);
            head.set_mtime(mtime);
            tar.append_data(&mut head, name, content)
        };
        let manifest = serde_json::to_vec_pretty(&self.manifest).map_err(io::Error::from)?;
        add("manifest.json", manifest.len() as u64, &mut manifest.as_slice())?;
        for (name, mut file) in self.sources {
            let size = self.manifest.files.get(&name).map_or(0, |f| f.size);
            file.seek(SeekFrom::Start(0))?;
            add(&name, size, &mut file.take(size))?;
        }
        let out = tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.sync_all()?;
        Ok(self.manifest)
    }
}

/// A file without a name: it goes when it is closed.
fn scratch_file(dir: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut id = [0u8; 16];
    getrandom::fill(&mut id).map_err(|_| io::Error::other("no randomness"))?;
    let path = dir.join(format!(".bundle-{}", hex::encode(id)));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
