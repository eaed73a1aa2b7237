//! Evidence on another machine.

use std::{fs::File, path::PathBuf};

use audit::{Tamper, bundle};
use testkit::fixtures;

use crate::support::*;

async fn exported(node: &Node, sessions: Option<&[model::Id<model::SessionRow>]>) -> PathBuf {
    let path = node.dir.path().join("evidence.tar");
    let keys = node.keys();
    let recordings = node.recordings();
    let export = bundle::Export {
        store: &node.store,
        authority: authority(),
        recordings: &recordings,
        sessions,
        keys: &keys,
        now: fixtures::at(100),
        scratch: node.dir.path(),
    };
    bundle::write(&export, File::create(&path).unwrap()).await.unwrap();
    path
}

async fn node() -> (Node, Vec<model::SessionRow>) {
    let node = Node::new().await;
    let mut rows = Vec::new();
    for n in 0..3 {
        rows.push(node.session(&format!("says {n}")).await);
        node.log((0..10).map(event).collect()).await;
        node.sign().await;
    }
    (node, rows)
}

#[tokio::test]
async fn a_bundle_of_everything_verifies_without_the_node() {
    let (node, _) = node().await;
    let path = exported(&node, None).await;
    let elsewhere = tempfile::TempDir::new().unwrap();
    let copy = elsewhere.path().join("copy.tar");
    std::fs::copy(&path, &copy).unwrap();
    let keys = node.keys();
    drop(node);

    let report = bundle::verify(&copy, &keys).unwrap();

    assert!(report.is_sound(), "{report:?}");
    let s = &report.result.summary;
    assert_eq!((s.entries, s.recordings, s.sessions, s.chains.len()), (36, 3, 3, 1));
    assert_eq!(report.signed_by, keys);
    assert!(bundle::verify(&copy, &[]).unwrap().is_sound());
}

#[tokio::test]
async fn a_bundle_of_one_session_starts_at_the_checkpoint_before_it() {
    let (node, rows) = node().await;
    let path = exported(&node, Some(&[rows[1].id])).await;
    let report = bundle::verify(&path, &node.keys()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let s = &report.result.summary;
    assert_eq!((report.manifest.chains[0].seq, s.entries, s.recordings, s.sessions), (12, 12, 1, 1));
}

#[tokio::test]
async fn a_session_that_is_not_signed_yet_is_not_exported() {
    let (node, _) = node().await;
    let row = node.session("late").await;
    let recordings = node.recordings();
    let export = bundle::Export {
        store: &node.store,
        authority: authority(),
        recordings: &recordings,
        sessions: Some(&[row.id]),
        keys: &[],
        now: fixtures::at(1),
        scratch: node.dir.path(),
    };
    let out = File::create(node.dir.path().join("x.tar")).unwrap();
    assert!(matches!(bundle::write(&export, out).await, Err(bundle::BundleError::Unsigned(_))));
}

#[tokio::test]
async fn every_flipped_byte_that_matters_is_found() {
    let (node, _) = node().await;
    let path = exported(&node, None).await;
    let whole = std::fs::read(&path).unwrap();
    let changed = node.dir.path().join("changed.tar");
    let mut found = 0;
    // Tar headers hold times and modes that prove nothing, and padding; the content is what counts.
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&changed, &bytes).unwrap();
        match bundle::verify(&changed, &node.keys()) {
            Ok(report) if report.is_sound() => {
                let in_content = content_ranges(&path).iter().any(|(from, to)| (*from..*to).contains(&at));
                assert!(!in_content, "byte {at}");
            }
            _ => found += 1,
        }
    }
    assert!(found > 50);
}

/// Where the files other than the manifest lie.
fn content_ranges(path: &PathBuf) -> Vec<(usize, usize)> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let entries = archive.entries_with_seek().unwrap().map(Result::unwrap);
    let ranges =
        entries.filter(|e| &*e.path_bytes() != b"manifest.json").map(|e| (e.raw_file_position() as usize, (e.raw_file_position() + e.size()) as usize));
    ranges.collect()
}

#[tokio::test]
async fn a_bundle_changed_with_its_manifest_is_still_found() {
    let (node, rows) = node().await;
    let path = exported(&node, None).await;
    let recording = format!("recordings/{}", rows[0].recording.as_deref().unwrap());
    let changed = node.dir.path().join("changed.tar");
    let dropped = |name: &str| {
        rebuild(&path, &changed, |n, c| if n == name { None } else { Some(c) });
        bundle::verify(&changed, &node.keys()).unwrap().result.broken
    };
    assert_eq!(dropped(&recording)[0].what, Tamper::RecordingMissing { path: rows[0].recording.clone().unwrap() });
    assert!(matches!(dropped("chain/0.jsonl")[0].what, Tamper::Truncated { known: 36 }));
    let edited = |from: &'static str, to: &'static str, file: &'static str| {
        rebuild(&path, &changed, |n, c| Some(if n == file { String::from_utf8(c).unwrap().replacen(from, to, 1).into_bytes() } else { c }));
        bundle::verify(&changed, &node.keys()).unwrap().result.broken
    };
    assert_eq!(edited("test.3", "test.4", "chain/0.jsonl")[0].what, Tamper::Changed);
    assert_eq!(edited("\"seq\":12", "\"seq\":11", "checkpoints/0.jsonl")[0].what, Tamper::CheckpointSignature);
    assert!(!edited("\"recording_hash\":\"", "\"recording_hash\":\"0", "sessions.jsonl").is_empty());
    assert!(!bundle::verify(&path, &["00".repeat(32)]).unwrap().is_sound());
}

/// Writes the bundle anew with changed files and a manifest that fits them.
fn rebuild(from: &PathBuf, to: &PathBuf, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    let mut archive = tar::Archive::new(File::open(from).unwrap());
    let mut files = Vec::new();
    let mut manifest: Option<bundle::Manifest> = None;
    for e in archive.entries().unwrap() {
        let mut e = e.unwrap();
        let name = String::from_utf8(e.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut e, &mut content).unwrap();
        if name == "manifest.json" {
            manifest = Some(serde_json::from_slice(&content).unwrap());
        } else if let Some(content) = change(&name, content) {
            files.push((name, content));
        }
    }
    let mut manifest = manifest.unwrap();
    manifest.files = files.iter().map(|(n, c)| (n.clone(), bundle::FileInfo { size: c.len() as u64, blake3: blake3::hash(c).to_hex().to_string() })).collect();
    files.insert(0, ("manifest.json".into(), serde_json::to_vec(&manifest).unwrap()));
    let mut tar = tar::Builder::new(File::create(to).unwrap());
    for (name, content) in files {
        let mut head = tar::Header::new_gnu();
        head.set_size(content.len() as u64);
        head.set_mode(0o600);
        tar.append_data(&mut head, name, &content[..]).unwrap();
    }
    tar.finish().unwrap();
}

#[tokio::test]
async fn rubbish_is_not_a_bundle() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("x.tar");
    for content in [Vec::new(), vec![0; 2000], vec![b'x'; 5000]] {
        std::fs::write(&path, content).unwrap();
        assert!(bundle::verify(&path, &[]).is_err());
    }
}
