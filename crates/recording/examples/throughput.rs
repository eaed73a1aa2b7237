//! What recording costs: CPU seconds per GiB for bulk data, and bytes per idle recording.
//!
//! `cargo run --release -p recording --example throughput [directory]`

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use recording::{Ed25519Signer, EndSummary, Event, Header, Spool, SpoolOptions, verify};

/// CPU seconds of this process in user mode and in the kernel, from /proc (100 ticks a second).
fn cpu_parts() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() / 100.0, fields[12].parse::<f64>().unwrap() / 100.0)
}

fn cpu() -> f64 {
    cpu_parts().0 + cpu_parts().1
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

fn header() -> Header {
    Header { session: uuid::Uuid::new_v4(), started_at: 1_700_000_000_000_000, ..Header::default() }
}

#[tokio::main]
async fn main() {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::TempDir::new_in(base).unwrap();
    let spool = Spool::start(dir.path().to_owned(), SpoolOptions::new(Arc::new(Ed25519Signer::from_seed(&[1; 32]).unwrap()))).unwrap();

    let mut noise = vec![0u8; 8 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let listing: String = (0..200_000).map(|n| format!("-rw-r--r-- 1 root root {n:8} Nov 23 20:{:02} file-{}.txt\r\n", n % 60, n * 7919 % 100_003)).collect();
    for (name, data) in [("incompressible", Bytes::from(noise)), ("listing", Bytes::from(listing))] {
        let (start, before) = (Instant::now(), cpu_parts());
        let mut r = spool.open(header()).await.unwrap();
        let mut sent = 0u64;
        while sent < 1 << 30 {
            for at in (0..data.len()).step_by(32 * 1024) {
                let piece = data.slice(at..data.len().min(at + 32 * 1024));
                sent += piece.len() as u64;
                r.push(sent, Event::Output(piece)).await.unwrap();
            }
        }
        let done = r.close(EndSummary::default()).await.unwrap();
        let (wall, now) = (start.elapsed().as_secs_f64(), cpu_parts());
        let gib = sent as f64 / f64::from(1 << 30);
        println!(
            "{name}: {:.0} MiB/s, {:.2} + {:.2} CPU-s/GiB (user + kernel), {:.1} % of the size",
            gib * 1024.0 / wall,
            (now.0 - before.0) / gib,
            (now.1 - before.1) / gib,
            done.size as f64 / sent as f64 * 100.0
        );
        let (start, before) = (Instant::now(), cpu());
        assert!(verify(dir.path().join(&done.path), Some(&done.hash)).unwrap().is_intact());
        println!("  verified in {:.2} s, {:.2} CPU-s", start.elapsed().as_secs_f64(), cpu() - before);
        std::fs::remove_file(dir.path().join(&done.path)).unwrap();
    }

    let start = Instant::now();
    let opens = 200;
    for _ in 0..opens {
        spool.open(header()).await.unwrap().close(EndSummary::default()).await.unwrap();
    }
    println!("open + close: {:.2} ms", start.elapsed().as_secs_f64() * 1000.0 / f64::from(opens));

    let before = resident_kib();
    let mut idle = Vec::new();
    let sessions = 900;
    for _ in 0..sessions {
        let mut r = spool.open(header()).await.unwrap();
        r.push(1, Event::Output(Bytes::from_static(b"$ "))).await.unwrap();
        idle.push(r);
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let used = cpu();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    println!("{sessions} idle recordings: {:.1} KiB each, {:.3} CPU-s in 3 s", (resident_kib() - before) as f64 / f64::from(sessions), cpu() - used);
}
