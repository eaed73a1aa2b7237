//! A spool in a temporary directory, and recordings to work on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use recording::{Ed25519Signer, EndSummary, Event, Finished, Header, Recording, Spool, SpoolOptions};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

pub struct Bench {
    pub dir: TempDir,
    pub spool: Spool,
    pub signer: Arc<Ed25519Signer>,
}

pub fn signer(n: u8) -> Arc<Ed25519Signer> {
    Arc::new(Ed25519Signer::from_seed(&[n; 32]).unwrap())
}

pub fn bench() -> Bench {
    bench_with(|_| {})
}

pub fn bench_with(change: impl FnOnce(&mut SpoolOptions)) -> Bench {
    let dir = TempDir::new().unwrap();
    let signer = signer(7);
    let mut options = SpoolOptions::new(signer.clone());
    options.segment_age = Duration::from_millis(50);
    change(&mut options);
    let spool = Spool::start(dir.path().join("recordings"), options).unwrap();
    Bench { dir, spool, signer }
}

pub fn header() -> Header {
    Header {
        session: Uuid::new_v4(),
        user: "Alice(alice)".into(),
        asset: "db1(10.0.0.5)".into(),
        account: "root(root)".into(),
        protocol: "ssh".into(),
        started_at: 1_700_000_000_000_000,
        cols: 80,
        rows: 24,
        term: "xterm".into(),
        ..Header::default()
    }
}

pub fn end() -> EndSummary {
    EndSummary { reason: "client".into(), exit_code: Some(0), ..EndSummary::default() }
}

pub fn out(text: &str) -> Event {
    Event::Output(Bytes::copy_from_slice(text.as_bytes()))
}

impl Bench {
    pub fn file(&self, path: &str) -> PathBuf {
        self.spool.dir().join(path)
    }

    /// A closed recording with `segments` segments of events, one event each.
    pub async fn small(&self, segments: usize) -> (Header, Finished) {
        let header = header();
        let mut r = self.spool.open(header.clone()).await.unwrap();
        for n in 0..segments {
            r.push(n as u64 * 1000, out(&format!("segment {n} says hello\r\n"))).await.unwrap();
            r.flush().await.unwrap();
        }
        (header, r.close(end()).await.unwrap())
    }
}

pub fn every_kind() -> Vec<Event> {
    vec![
        out("hello"),
        Event::Stderr(Bytes::from_static(b"oops\xff")),
        Event::Input(Bytes::from_static(b"ls\r")),
        Event::Resize { cols: 120, rows: 40 },
        Event::Command { id: Uuid::from_u128(9), text: "ls -l\n日本".into(), entered_us: 3 },
        Event::Note { kind: "file.upload".into(), data: json!({"name": "a", "size": 3}) },
        Event::Exit { code: Some(255), signal: None },
        Event::Exit { code: None, signal: Some("KILL".into()) },
        Event::Join { user: "Bob(bob)".into() },
        Event::Leave { user: "Bob(bob)".into() },
        Event::Unknown { tag: 200, body: Bytes::from_static(b"later") },
    ]
}

pub fn read_all(path: &std::path::Path) -> Vec<(u64, Event)> {
    Recording::open(path).unwrap().events().collect::<Result<_, _>>().unwrap()
}

pub fn output_of(events: &[(u64, Event)]) -> Vec<u8> {
    events.iter().filter_map(|(_, e)| if let Event::Output(b) = e { Some(b.to_vec()) } else { None }).flatten().collect()
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}
