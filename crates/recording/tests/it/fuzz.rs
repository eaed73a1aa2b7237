//! Bytes from anywhere never panic and never read for ever; the same bodies run under cargo-fuzz.

use bytes::Bytes;
use proptest::prelude::*;
use recording::{Event, Recording, export, recover, verify};

use crate::support::*;

fn read_everything(path: &std::path::Path) {
    let _ = verify(path, None);
    let _ = verify(path, Some("00"));
    if let Ok(mut r) = Recording::open(path) {
        let index = r.index().unwrap();
        let _ = index.start_for(u64::MAX / 2);
        r.events().take(100_000).for_each(drop);
        let _ = r.seek(77);
        r.events().take(100_000).for_each(drop);
    }
    for at in [0, 5, u64::MAX] {
        if let Some(player) = Recording::open(path).ok().and_then(|r| r.play(at).ok()) {
            for item in player.take(100_000) {
                if item.is_err() {
                    break;
                }
            }
        }
    }
    if let Ok(mut r) = Recording::open(path) {
        let _ = export::asciicast(&mut r, export::AsciicastOptions::default(), &mut std::io::sink());
    }
    if let Ok(mut r) = Recording::open(path) {
        let _ = export::jsonl(&mut r, &mut std::io::sink());
    }
    let _ = recover(path, &*signer(1));
}

fn sample() -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let b = bench();
        let mut r = b.spool.open(header()).await.unwrap();
        for (n, e) in every_kind().into_iter().enumerate() {
            r.push(n as u64, e).await.unwrap();
            if n % 3 == 0 {
                r.push(n as u64, Event::Keyframe(b"screen".to_vec())).await.unwrap();
            }
        }
        r.push(99, Event::Output(Bytes::from(vec![b'a'; 5000]))).await.unwrap();
        let done = r.close(end()).await.unwrap();
        std::fs::read(b.file(&done.path)).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..2000), magic: bool) {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("x.rec");
        let mut bytes = if magic { b"RMPTREC1RSEG\x01\x01".to_vec() } else { Vec::new() };
        bytes.extend(tail);
        std::fs::write(&path, bytes).unwrap();
        read_everything(&path);
    }

    #[test]
    fn stripping_never_panics_and_leaves_no_controls(pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'9'), Just(b'C'), Just(b'@'), Just(b'P'), Just(b'?')], 0..40), 0..40)) {
        let mut strip = export::Stripper::default();
        let mut text: String = pieces.iter().map(|p| strip.push(p)).collect();
        text += &strip.finish();
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

#[test]
fn changed_recordings_never_panic_and_are_always_found() {
    let whole = sample();
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("x.rec");
    proptest!(ProptestConfig { cases: 300, ..ProptestConfig::default() }, |(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), cuts: bool)| {
        let mut bytes = whole.clone();
        for (at, value) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        if bytes != whole {
            prop_assert!(verify(&path, Some("00")).unwrap().broken.is_some());
        }
        read_everything(&path);
    });
}

#[test]
fn what_is_pushed_is_what_is_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let entered = runtime.enter();
    let b = bench_with(|o| o.segment_bytes = 3000);
    drop(entered);
    proptest!(ProptestConfig { cases: 40, ..ProptestConfig::default() }, |(pieces in proptest::collection::vec((0u64..5000, 0usize..9000, any::<bool>(), any::<bool>()), 0..60))| {
        runtime.block_on(async {
            let mut r = b.spool.open(header()).await.unwrap();
            let (mut at, mut expected) = (0, Vec::new());
            for (n, (delta, len, random, flush)) in pieces.iter().enumerate() {
                at += delta;
                let data = Bytes::from(if *random { noise(*len, n as u64) } else { vec![b'z'; *len] });
                expected.push((at, Event::Output(data.clone())));
                r.push(at, Event::Output(data)).await.unwrap();
                if *flush {
                    r.flush().await.unwrap();
                }
            }
            let done = r.close(end()).await.unwrap();
            assert!(read_all(&b.file(&done.path)) == expected);
            assert!(verify(b.file(&done.path), Some(&done.hash)).unwrap().is_intact());
        });
    });
}
