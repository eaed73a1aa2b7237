//! Security rule 12: each kind of tampering is found and named.

use recording::{Damage, Expect, Recording, State, verify, verify_with};

use crate::support::*;

/// A closed recording, taken apart: the bytes of the file and where each segment starts (header and head included).
struct Apart {
    bench: Bench,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    hash: String,
    session: uuid::Uuid,
}

async fn apart(segments: usize) -> Apart {
    let bench = bench();
    let (header, done) = bench.small(segments).await;
    let path = bench.file(&done.path);
    let bytes = std::fs::read(&path).unwrap();
    let mut starts = vec![8];
    starts.extend(Recording::open(&path).unwrap().index().unwrap().segments.iter().map(|s| s.offset as usize));
    let last = *starts.last().unwrap();
    let stored = u32::from_le_bytes(bytes[last + 32..last + 36].try_into().unwrap()) as usize;
    starts.push(last + 48 + stored + 32);
    Apart { bench, bytes, starts, hash: done.hash, session: header.session }
}

impl Apart {
    fn segment(&self, n: usize) -> &[u8] {
        let to = self.starts.get(n + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[self.starts[n]..to]
    }
    fn rebuilt(&self, order: &[usize]) -> Vec<u8> {
        let mut out = self.bytes[..8].to_vec();
        order.iter().for_each(|n| out.extend_from_slice(self.segment(*n)));
        out
    }
    fn found(&self, bytes: &[u8]) -> (u64, Damage) {
        let path = self.bench.dir.path().join("changed.rec");
        std::fs::write(&path, bytes).unwrap();
        let broken = verify(&path, Some(&self.hash)).unwrap().broken.expect("tampering must be found");
        (broken.segment, broken.damage)
    }
}

#[tokio::test]
async fn one_flipped_byte_anywhere_is_found_in_its_segment() {
    let a = apart(3).await;
    for at in 0..a.bytes.len() {
        let mut bytes = a.bytes.clone();
        bytes[at] ^= 0x20;
        let (segment, _) = a.found(&bytes);
        let expected = a.starts.iter().rposition(|s| *s <= at).unwrap_or(0) as u64;
        assert_eq!(segment, expected, "byte {at}");
    }
}

#[tokio::test]
async fn a_dropped_segment_is_named() {
    let a = apart(4).await;
    assert_eq!(a.found(&a.rebuilt(&[0, 1, 3, 4, 5])), (2, Damage::Missing { found: 3 }));
    assert_eq!(a.found(&a.rebuilt(&[0, 2, 3, 4, 5])), (1, Damage::Missing { found: 2 }));
    assert_eq!(a.found(&a.rebuilt(&[1, 2, 3, 4, 5])), (0, Damage::Missing { found: 1 }));
    assert_eq!(a.found(&a.rebuilt(&[0, 1, 2, 3, 5])), (4, Damage::Missing { found: 5 }));
}

#[tokio::test]
async fn two_swapped_segments_are_named() {
    let a = apart(4).await;
    assert_eq!(a.found(&a.rebuilt(&[0, 1, 3, 2, 4, 5])), (2, Damage::Reordered { found: 3 }));
    assert_eq!(a.found(&a.rebuilt(&[0, 4, 2, 3, 1, 5])), (1, Damage::Reordered { found: 4 }));
}

#[tokio::test]
async fn a_truncated_tail_is_named() {
    let a = apart(3).await;
    // At a border: the head is gone. Inside: the segment is torn.
    assert_eq!(a.found(&a.rebuilt(&[0, 1, 2, 3])), (4, Damage::NoHead));
    assert_eq!(a.found(&a.rebuilt(&[0, 1, 2])), (3, Damage::NoHead));
    assert_eq!(a.found(&a.bytes[..a.bytes.len() - 1]), (4, Damage::Torn));
    assert_eq!(a.found(&a.bytes[..a.starts[2] + 5]), (2, Damage::Torn));
    assert_eq!(a.found(&a.bytes[..8]).1, Damage::NoHead);
    assert_eq!(a.found(&[]).1, Damage::NotASegment);
    // Without a registered hash an open file is no error: its session may be running.
    let path = a.bench.dir.path().join("open.rec");
    std::fs::write(&path, a.rebuilt(&[0, 1, 2])).unwrap();
    let report = verify(&path, None).unwrap();
    assert_eq!((report.state, report.broken), (State::Open, None));
}

#[tokio::test]
async fn bytes_after_the_head_are_named() {
    let a = apart(2).await;
    for extra in [b"x".to_vec(), a.segment(1).to_vec(), vec![0; 500]] {
        let bytes = [a.bytes.clone(), extra].concat();
        assert_eq!(a.found(&bytes), (4, Damage::TrailingBytes));
    }
}

#[tokio::test]
async fn a_segment_of_another_recording_is_named() {
    let (a, b) = (apart(3).await, apart(3).await);
    let mut bytes = a.bytes[..a.starts[2]].to_vec();
    bytes.extend_from_slice(b.segment(2));
    bytes.extend_from_slice(&a.bytes[a.starts[3]..]);
    assert_eq!(a.found(&bytes), (2, Damage::Changed));
}

#[tokio::test]
async fn another_whole_recording_in_its_place_is_named() {
    let (a, b) = (apart(3).await, apart(3).await);
    assert_eq!(a.found(&b.bytes), (4, Damage::OtherHash));
    let path = a.bench.dir.path().join("other.rec");
    std::fs::write(&path, &b.bytes).unwrap();
    let expect = Expect { session: Some(a.session), ..Expect::default() };
    assert_eq!(verify_with(&path, &expect).unwrap().broken.unwrap().damage, Damage::OtherSession);
}

#[tokio::test]
async fn a_recording_that_was_cut_and_closed_anew_is_named() {
    let a = apart(3).await;
    let path = a.bench.dir.path().join("anew.rec");
    std::fs::write(&path, a.rebuilt(&[0, 1])).unwrap();
    let own = recording::recover(&path, &*signer(99)).unwrap();

    // The final hash is registered in the audit chain; and a foreign key cannot sign for the node.
    assert_eq!(verify(&path, Some(&a.hash)).unwrap().broken.unwrap().damage, Damage::OtherHash);
    let keys = [recording::Signer::public_key(&*a.bench.signer).to_owned()];
    let expect = Expect { hash: Some(&own.hash), keys: &keys, ..Expect::default() };
    assert_eq!(verify_with(&path, &expect).unwrap().broken.unwrap().damage, Damage::UnknownKey);
}
