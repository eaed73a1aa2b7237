//! Security rule 12 for one chain, without a database.

use audit::{Broken, NodeKey, Tamper, sign_checkpoint, verify_chain};
use model::{AuditEntry, ChainHead, Checkpoint};
use proptest::prelude::*;
use recording::Signer;
use testkit::fixtures;

use crate::support::event;

fn key(n: u8) -> NodeKey {
    NodeKey::from_seed(&[n; 32]).unwrap()
}

/// A chain with a checkpoint after every ten entries, and its head.
fn chain(len: i64) -> (Vec<AuditEntry>, Vec<Checkpoint>, ChainHead) {
    let mut head = ChainHead::empty("n1");
    let (mut entries, mut checkpoints) = (Vec::new(), Vec::new());
    for n in 1..=len {
        entries.push(head.link(event(n)));
        if n % 10 == 0 {
            checkpoints.push(sign_checkpoint(&key(1), head.clone(), fixtures::at(n)));
        }
    }
    (entries, checkpoints, head)
}

fn check(entries: &[AuditEntry], checkpoints: &[Checkpoint], head: Option<&ChainHead>) -> Result<audit::ChainSummary, Broken> {
    verify_chain("n1", entries.to_vec(), checkpoints, head, &[key(1).public_key().to_owned()])
}

fn broken(entries: &[AuditEntry], checkpoints: &[Checkpoint], head: Option<&ChainHead>) -> (i64, Tamper) {
    let b = check(entries, checkpoints, head).expect_err("tampering must be found");
    assert_eq!(b.node, "n1");
    (b.seq, b.what)
}

#[test]
fn a_sound_chain_of_twenty_thousand_passes() {
    let (entries, checkpoints, head) = chain(20_005);
    let summary = check(&entries, &checkpoints, Some(&head)).unwrap();
    assert_eq!((summary.entries, summary.seq, summary.checkpoints, summary.signed_to), (20_005, 20_005, 2000, 20_000));
    assert_eq!(summary.hash, head.hash);
    assert_eq!(check(&[], &[], Some(&ChainHead::empty("n1"))).unwrap().entries, 0);
}

#[test]
fn a_changed_entry_is_named() {
    let (entries, checkpoints, head) = chain(25);
    let edits: [fn(&mut AuditEntry); 5] = [
        |e| e.event.actor.push('x'),
        |e| e.event.data = serde_json::json!({"x": 1}),
        |e| e.event.at += chrono::TimeDelta::microseconds(1),
        |e| e.hash.replace_range(0..1, if e.hash.starts_with('0') { "1" } else { "0" }),
        |e| e.prev_hash = "0".repeat(64),
    ];
    for edit in edits {
        let mut changed = entries.clone();
        edit(&mut changed[6]);
        assert_eq!(broken(&changed, &checkpoints, Some(&head)), (7, Tamper::Changed));
    }
}

#[test]
fn a_dropped_entry_is_named() {
    let (mut entries, checkpoints, head) = chain(25);
    entries.remove(6);
    assert_eq!(broken(&entries, &checkpoints, Some(&head)), (7, Tamper::Dropped { found: 8 }));
    entries.remove(0);
    assert_eq!(broken(&entries, &checkpoints, Some(&head)), (1, Tamper::Dropped { found: 2 }));
}

#[test]
fn two_reordered_entries_are_named() {
    let (entries, checkpoints, head) = chain(25);
    let mut swapped = entries.clone();
    swapped.swap(6, 9);
    assert_eq!(broken(&swapped, &checkpoints, Some(&head)), (7, Tamper::Reordered { found: 10 }));
    // Renumbered as well, as a swap in a database would be.
    (swapped[6].seq, swapped[9].seq) = (7, 10);
    assert_eq!(broken(&swapped, &checkpoints, Some(&head)), (7, Tamper::Reordered { found: 10 }));
    let mut twice = entries;
    twice.insert(8, twice[7].clone());
    assert_eq!(broken(&twice, &checkpoints, Some(&head)), (9, Tamper::Reordered { found: 8 }));
}

#[test]
fn a_truncated_tail_is_named() {
    let (entries, checkpoints, head) = chain(25);
    assert_eq!(broken(&entries[..24], &checkpoints, Some(&head)), (25, Tamper::Truncated { known: 25 }));
    assert_eq!(broken(&entries[..15], &checkpoints, None), (16, Tamper::Truncated { known: 20 }));
    assert_eq!(broken(&[], &checkpoints, None), (1, Tamper::Truncated { known: 20 }));
}

#[test]
fn a_chain_rewritten_from_the_middle_is_named() {
    let (entries, checkpoints, head) = chain(25);
    let mut again = ChainHead { node_id: "n1".into(), seq: 6, hash: entries[5].hash.clone() };
    let mut rewritten = entries[..6].to_vec();
    rewritten.extend((7..=25).map(|n| again.link(event(n + 1000))));
    assert_eq!(broken(&rewritten, &checkpoints, Some(&again)), (10, Tamper::Rewritten));
    assert_eq!(broken(&rewritten, &[], Some(&head)), (25, Tamper::HeadDiffers));
}

#[test]
fn a_replayed_or_forged_checkpoint_is_named() {
    let (entries, checkpoints, head) = chain(45);
    let mut replayed = checkpoints.clone();
    replayed.push(checkpoints[1].clone());
    assert_eq!(broken(&entries, &replayed, Some(&head)), (20, Tamper::CheckpointReplayed));
    replayed = checkpoints.clone();
    replayed[3] = checkpoints[2].clone();
    assert_eq!(broken(&entries, &replayed, Some(&head)), (30, Tamper::CheckpointReplayed));

    let mut forged = checkpoints.clone();
    forged[1].head.hash = entries[0].hash.clone();
    assert_eq!(broken(&entries, &forged, Some(&head)), (20, Tamper::CheckpointSignature));
    forged[1] = sign_checkpoint(&key(2), checkpoints[1].head.clone(), checkpoints[1].at);
    assert_eq!(broken(&entries, &forged, Some(&head)), (20, Tamper::CheckpointKey));
    let mut later = checkpoints.clone();
    later[1].at += chrono::TimeDelta::seconds(1);
    assert_eq!(broken(&entries, &later, Some(&head)), (20, Tamper::CheckpointSignature));
    later[1].signature = "zz".into();
    assert_eq!(broken(&entries, &later, Some(&head)), (20, Tamper::CheckpointSignature));
}

#[test]
fn an_entry_of_another_node_is_named() {
    let (mut entries, checkpoints, head) = chain(5);
    entries[2].node_id = "n2".into();
    assert_eq!(broken(&entries, &checkpoints, Some(&head)), (3, Tamper::Foreign));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_of_the_stored_form_is_found(at in any::<prop::sample::Index>(), value: u8) {
        let (entries, checkpoints, head) = chain(12);
        let mut text = serde_json::to_vec(&entries).unwrap();
        let at = at.index(text.len());
        text[at] = value;
        if let Ok(changed) = serde_json::from_slice::<Vec<AuditEntry>>(&text) {
            prop_assert_eq!(check(&changed, &checkpoints, Some(&head)).is_ok(), changed == entries);
        }
    }

    #[test]
    fn any_rearrangement_is_found(order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(), len in 0..13usize) {
        let (entries, checkpoints, head) = chain(12);
        let changed: Vec<_> = order.iter().take(len).map(|n| entries[*n].clone()).collect();
        prop_assert_eq!(check(&changed, &checkpoints, Some(&head)).is_ok(), changed == entries);
    }
}
