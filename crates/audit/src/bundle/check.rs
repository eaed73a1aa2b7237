//! Verifying a bundle, without a server and without unpacking it.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    path::Path,
};

use model::{AuditEntry, ChainHead, Checkpoint, SessionRow};

use super::{BundleError, FORMAT, Manifest, PAGE};
use crate::verify::{Broken, ChainVerifier, Checked, Link, Links, Tamper, Verification, check_checkpoints, describe};

const MAX_MANIFEST: u64 = 256 * 1024 * 1024;
const MAX_LINE: u64 = 16 * 1024 * 1024;

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
    fn lines<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        mut each: impl FnMut(&mut Self, Option<T>) -> Result<bool, BundleError>,
    ) -> Result<(), BundleError> {
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
