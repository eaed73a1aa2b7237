//! Evidence for somebody else's machine: one `.tar` file that verifies without the server.
//!
//! ```text
//! manifest.json                 format, time, keys, and size + BLAKE3 of every other file
//! sessions.jsonl                the session rows
//! chain/<n>.jsonl               the chain of node n (numbered), from `start` on
//! checkpoints/<n>.jsonl         its signed checkpoints
//! recordings/YYYY-MM-DD/<id>.rec
//! ```
//! A bundle of everything has each chain from its first entry. A bundle of some sessions has the part from the
//! checkpoint before their first entry to the checkpoint after their last one; entries of others in between are
//! needed for the proof and are included, so a bundle is for people who may read the audit log.
//!
//! Who verifies should know the node's public key from elsewhere: without it, the result says only that the bundle is
//! consistent and by which keys it was signed.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    path::Path,
};

use model::{AuditEntry, ChainHead, Checkpoint, Id, SessionRow, Time};
use policy::Authority;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

use crate::verify::{Broken, ChainVerifier, Checked, Link, Links, Tamper, Verification, check_checkpoints, describe};

const FORMAT: &str = "rampart-evidence-v1";
const PAGE: u64 = 1000;
const MAX_MANIFEST: u64 = 256 * 1024 * 1024;
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Failures of bundles.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing failed.
    #[error("bundle: {0}")]
    Io(#[from] io::Error),
    /// The file is not a bundle.
    #[error("not an evidence bundle: {0}")]
    NotABundle(&'static str),
    /// There is no checkpoint after the last entry: sign one first.
    #[error("the chain of {0} is not signed to its end")]
    Unsigned(String),
    /// A session to export does not exist.
    #[error("session {0} does not exist")]
    NoSession(String),
}

/// What a bundle holds. `files` names every other file with size and BLAKE3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// `rampart-evidence-v1`.
    pub format: String,
    /// When it was made.
    pub created: Time,
    /// Public keys of the nodes (hex), as the bundle says.
    pub keys: Vec<String>,
    /// Where each chain starts: the state before its first entry.
    pub chains: Vec<ChainHead>,
    /// Path → size, hash.
    pub files: BTreeMap<String, FileInfo>,
}

/// One file of a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileInfo {
    /// Bytes.
    pub size: u64,
    /// Hex BLAKE3.
    pub blake3: String,
}

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
    let mut parts = Parts { dir: export.scratch.to_owned(), manifest: Manifest { format: FORMAT.into(), created: export.now, keys: export.keys.to_vec(), chains: Vec::new(), files: BTreeMap::new() }, sources: Vec::new() };
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
async fn range(export: &Export<'_>, id: &str, checkpoints: &[Checkpoint], wanted: Option<&HashSet<uuid::Uuid>>) -> Result<Option<(ChainHead, i64)>, BundleError> {
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

/// Result of verifying a bundle.
#[derive(Debug, Clone)]
pub struct BundleReport {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// What was found.
    pub result: Verification,
    /// The keys that really signed chains and recordings.
    pub signed_by: Vec<String>,
    /// Files whose size or content is not what the manifest says, and files it does not name.
    pub wrong_files: Vec<String>,
}

impl BundleReport {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.wrong_files.is_empty() && self.result.is_sound()
    }
}

/// Verifies a bundle offline. `keys`: the public keys (hex) that are trusted, known from elsewhere; empty = any, and the
/// report says which ones signed.
///
/// # Errors
/// [`BundleError::NotABundle`], or reading failed. That something is wrong is in the report.
pub fn verify(path: &Path, keys: &[String]) -> Result<BundleReport, BundleError> {
    let places = places(path)?;
    let mut opened = Opened { file: File::open(path)?, places };
    let manifest: Manifest = {
        let place = opened.places.get("manifest.json").copied().ok_or(BundleError::NotABundle("it has no manifest"))?;
        if place.1 > MAX_MANIFEST {
            return Err(BundleError::NotABundle("its manifest is too large"));
        }
        serde_json::from_reader(io::BufReader::new(opened.part(place)?)).map_err(|_| BundleError::NotABundle("its manifest cannot be read"))?
    };
    if manifest.format != FORMAT {
        return Err(BundleError::NotABundle("its format is not known"));
    }
    let wrong_files = opened.compare(&manifest)?;
    let mut run = Offline { opened, keys, links: Links::default(), result: Verification::default(), signed_by: Vec::new() };
    for (n, start) in manifest.chains.iter().enumerate() {
        run.chain(n, start)?;
    }
    run.sessions()?;
    run.signed_by.sort();
    run.signed_by.dedup();
    Ok(BundleReport { manifest, result: run.result, signed_by: run.signed_by, wrong_files })
}

/// Where the files lie in the archive: offset and size. Nothing is unpacked, so names cannot lead anywhere.
fn places(path: &Path) -> Result<BTreeMap<String, (u64, u64)>, BundleError> {
    let mut archive = tar::Archive::new(File::open(path)?);
    let mut places = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| BundleError::NotABundle("a name in it is not text"))?;
        if places.insert(name, (entry.raw_file_position(), entry.size())).is_some() {
            return Err(BundleError::NotABundle("it has a file twice"));
        }
    }
    Ok(places)
}

struct Opened {
    file: File,
    places: BTreeMap<String, (u64, u64)>,
}

impl Opened {
    fn part(&mut self, (at, size): (u64, u64)) -> io::Result<io::Take<&File>> {
        self.file.seek(SeekFrom::Start(at))?;
        Ok((&self.file).take(size))
    }
    fn compare(&mut self, manifest: &Manifest) -> io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (name, info) in &manifest.files {
            let same = match self.places.get(name).copied() {
                Some(place) if place.1 == info.size => {
                    let mut hash = blake3::Hasher::new();
                    hash.update_reader(self.part(place)?)?;
                    hash.finalize().to_hex().as_str() == info.blake3
                }
                _ => false,
            };
            if !same {
                wrong.push(name.clone());
            }
        }
        wrong.extend(self.places.keys().filter(|n| *n != "manifest.json" && !manifest.files.contains_key(*n)).cloned());
        Ok(wrong)
    }
    /// Reads a file of JSON lines; `None` for a line that is none.
    fn lines<T: serde::de::DeserializeOwned>(&mut self, name: &str, mut each: impl FnMut(&mut Self, Option<T>) -> Result<bool, BundleError>) -> Result<(), BundleError> {
        let Some(place) = self.places.get(name).copied() else { return Ok(()) };
        // Its own handle: `each` reads elsewhere in the file.
        let mut at = place.0;
        let end = place.0.saturating_add(place.1);
        let mut line = Vec::new();
        while at < end {
            line.clear();
            let mut reader = io::BufReader::new(self.part((at, (end - at).min(MAX_LINE)))?);
            let mut batch: Vec<Option<T>> = Vec::new();
            let mut used = 0u64;
            while (batch.len() as u64) < PAGE {
                line.clear();
                let n = reader.read_until(b'\n', &mut line)? as u64;
                // The last line of a window may be cut; it is read again with the next one.
                if n == 0 || (!line.ends_with(b"\n") && at + used + n < end && used > 0) {
                    break;
                }
                used += n;
                batch.push(serde_json::from_slice(&line).ok());
            }
            if used == 0 {
                break;
            }
            at += used;
            for item in batch {
                if !each(self, item)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

struct Offline<'a> {
    opened: Opened,
    keys: &'a [String],
    links: Links,
    result: Verification,
    signed_by: Vec<String>,
}

impl Offline<'_> {
    fn chain(&mut self, n: usize, start: &ChainHead) -> Result<(), BundleError> {
        let node = start.node_id.clone();
        let mut signed: Vec<Checkpoint> = Vec::new();
        let mut unreadable = false;
        self.opened.lines(&format!("checkpoints/{n}.jsonl"), |_, c: Option<Checkpoint>| {
            unreadable |= c.is_none();
            signed.extend(c);
            Ok(true)
        })?;
        if unreadable {
            self.result.broken.push(Broken::entry(&node, 0, Tamper::CheckpointFile));
            return Ok(());
        }
        let start_proved = start.seq == 0 && *start == ChainHead::empty(&node) || signed.iter().any(|c| c.head == *start);
        let checked = check_checkpoints(&node, &signed, self.keys);
        if let Err(broken) = checked {
            self.result.broken.push(broken);
            return Ok(());
        }
        if !start_proved {
            self.result.broken.push(Broken::entry(&node, start.seq, Tamper::Rewritten));
            return Ok(());
        }
        let mut chain = ChainVerifier::from(start, &signed, None);
        let mut links = std::mem::take(&mut self.links);
        let (mut found, mut broken) = (Vec::new(), None);
        let mut last = start.seq;
        self.opened.lines(&format!("chain/{n}.jsonl"), |_, e: Option<AuditEntry>| {
            let result = match &e {
                Some(e) => chain.push(e),
                None => Err(Broken::entry(&node, last + 1, Tamper::Changed)),
            };
            if let Err(b) = result {
                broken = Some(b);
                return Ok(false);
            }
            if let Some(e) = &e {
                last = e.seq;
                found.extend(links.note(e));
            }
            Ok(true)
        })?;
        self.links = links;
        self.result.summary.entries += u64::try_from(last - start.seq).unwrap_or(0);
        match broken.map_or_else(|| chain.finish(), Err) {
            Ok(summary) => {
                self.signed_by.extend(summary.keys.iter().cloned());
                self.result.summary.chains.push(summary);
            }
            Err(broken) => self.result.broken.push(broken),
        }
        for link in found {
            self.recording(link)?;
        }
        Ok(())
    }

    fn recording(&mut self, link: Link) -> Result<(), BundleError> {
        let Some((path, hash)) = &link.recording else { return Ok(()) };
        if !link.path_is_ours(path) {
            self.result.broken.push(link.broken(Tamper::RecordingPath));
            return Ok(());
        }
        let Some((at, size)) = self.opened.places.get(&format!("recordings/{path}")).copied() else {
            self.links.missing.insert(link.session, link);
            return Ok(());
        };
        let expect = recording::Expect { session: Some(link.session), hash: hash.as_deref(), keys: self.keys };
        let report = recording::verify_in(self.opened.file.try_clone()?, at, size, &expect).map_err(io::Error::other)?;
        match describe(&link, path, &report) {
            Checked::Sound(bytes) => {
                self.result.summary.recordings += 1;
                self.result.summary.bytes += bytes;
                self.signed_by.extend(report.key);
            }
            Checked::Unsealed => self.result.summary.unsealed.push(link.session.to_string()),
            Checked::Missing => {}
            Checked::Broken(what) => self.result.broken.push(link.broken(what)),
        }
        Ok(())
    }

    /// The rows against the chain. Entries of sessions that were not exported have no row and no file here.
    fn sessions(&mut self) -> Result<(), BundleError> {
        let mut rows: Vec<SessionRow> = Vec::new();
        let mut unreadable = false;
        self.opened.lines("sessions.jsonl", |_, row: Option<SessionRow>| {
            unreadable |= row.is_none();
            rows.extend(row);
            Ok(true)
        })?;
        if unreadable {
            self.result.broken.push(Broken::entry("", 0, Tamper::SessionRow { session: String::new() }));
        }
        let exported: HashSet<_> = rows.iter().map(|r| r.id.uuid()).collect();
        self.links.missing.retain(|session, _| exported.contains(session));
        let unexplained = self.links.unexplained();
        self.result.broken.extend(unexplained);
        for row in &rows {
            self.result.summary.sessions += 1;
            let session = row.id.to_string();
            match self.links.closed.get(&row.id.uuid()) {
                Some((_, _, hash)) if row.is_finished() && row.recording_hash == *hash => {}
                Some((node, seq, _)) => self.result.broken.push(Broken::entry(node, *seq, Tamper::SessionRow { session })),
                None if row.is_finished() => self.result.broken.push(Broken::entry(&row.node_id, 0, Tamper::SessionMissing { session })),
                None => {}
            }
        }
        Ok(())
    }
}
