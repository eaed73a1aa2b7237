//! Security rule 12 for a whole data directory, changed behind the server's back.

use audit::{By, Tamper, events};
use recording::Damage;
use store::LogBatch;
use testkit::fixtures;

use crate::support::*;

/// Three recorded sessions, signed.
async fn lived_in() -> (Node, Vec<model::SessionRow>) {
    let node = Node::new().await;
    let mut rows = Vec::new();
    for n in 0..3 {
        rows.push(node.session(&format!("session {n}")).await);
    }
    node.sign().await;
    (node, rows)
}

async fn found(node: &Node) -> (i64, Tamper) {
    let result = node.verify().await;
    let b = result.broken.first().expect("tampering must be found").clone();
    (b.seq, b.what)
}

fn close_seq(n: i64) -> i64 {
    n * 2
}

#[tokio::test]
async fn an_untouched_directory_is_sound() {
    let (node, _) = lived_in().await;
    let result = node.verify().await;
    assert_eq!(result.broken, []);
    let s = result.summary;
    assert_eq!((s.entries, s.recordings, s.sessions, s.chains.len(), s.unsealed.len()), (6, 3, 3, 1, 0));
    assert_eq!(s.chains[0].signed_to, 6);
}

#[tokio::test]
async fn one_flipped_byte_in_a_recording_is_named_with_its_segment() {
    let (node, rows) = lived_in().await;
    let path = rows[1].recording.clone().unwrap();
    let file = node.recordings().join(&path);
    let offset = recording::Recording::open(&file).unwrap().index().unwrap().segments[1].offset as usize;
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[offset + 55] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(found(&node).await, (close_seq(2), Tamper::Recording { path, segment: 2, damage: Damage::Changed }));
}

#[tokio::test]
async fn a_missing_recording_is_named_unless_an_entry_says_it_was_removed() {
    let (node, rows) = lived_in().await;
    let path = rows[2].recording.clone().unwrap();
    std::fs::remove_file(node.recordings().join(&path)).unwrap();
    assert_eq!(found(&node).await, (close_seq(3), Tamper::RecordingMissing { path }));

    let removed = events::recording_removed(&By::system(), &rows[2], "retention", fixtures::at(5));
    node.put(LogBatch { audit: vec![removed], ..LogBatch::default() }).await;
    let result = node.verify().await;
    assert_eq!((result.broken, result.summary.removed), (vec![], 1));
}

#[tokio::test]
async fn a_recording_swapped_for_another_is_named() {
    let (node, rows) = lived_in().await;
    let (a, b) = (rows[0].recording.clone().unwrap(), rows[1].recording.clone().unwrap());
    std::fs::copy(node.recordings().join(&b), node.recordings().join(&a)).unwrap();
    assert_eq!(found(&node).await, (close_seq(1), Tamper::Recording { path: a, segment: 0, damage: Damage::OtherSession }));
}

#[tokio::test]
async fn a_changed_audit_row_is_named() {
    let (mut node, _) = lived_in().await;
    node.behind_its_back(&["UPDATE audit_entries SET event = replace(event, 'System', 'Nobody') WHERE seq = 3"]).await;
    assert_eq!(found(&node).await, (3, Tamper::Changed));
}

#[tokio::test]
async fn a_dropped_audit_row_is_named() {
    let (mut node, _) = lived_in().await;
    node.behind_its_back(&["DELETE FROM audit_entries WHERE seq = 4"]).await;
    assert_eq!(found(&node).await, (4, Tamper::Dropped { found: 5 }));
}

#[tokio::test]
async fn two_swapped_audit_rows_are_named() {
    let (mut node, _) = lived_in().await;
    let swap = [
        "UPDATE audit_entries SET seq = 100 WHERE seq = 2",
        "UPDATE audit_entries SET seq = 2 WHERE seq = 5",
        "UPDATE audit_entries SET seq = 5 WHERE seq = 100",
    ];
    node.behind_its_back(&swap).await;
    assert_eq!(found(&node).await, (2, Tamper::Reordered { found: 5 }));
}

#[tokio::test]
async fn a_truncated_audit_tail_is_named() {
    let (mut node, _) = lived_in().await;
    node.behind_its_back(&["DELETE FROM audit_entries WHERE seq > 3"]).await;
    assert_eq!(found(&node).await, (4, Tamper::Truncated { known: 6 }));
}

#[tokio::test]
async fn an_old_database_put_back_is_named() {
    let mut node = Node::new().await;
    node.session("first").await;
    node.sign().await;
    node.stop().await;
    let old = std::fs::read(node.database()).unwrap();
    node.start().await;
    node.session("second").await;
    node.sign().await;
    node.stop().await;
    std::fs::write(node.database(), old).unwrap();
    node.start().await;
    assert_eq!(found(&node).await, (3, Tamper::Replayed { stands_at: 2 }));
}

#[tokio::test]
async fn an_old_checkpoint_put_in_again_is_named() {
    let node = Node::new().await;
    node.session("first").await;
    node.sign().await;
    let first = std::fs::read(node.checkpoint_file()).unwrap();
    node.session("second").await;
    node.sign().await;
    let both = std::fs::read(node.checkpoint_file()).unwrap();
    std::fs::write(node.checkpoint_file(), [&both[..], &first[..]].concat()).unwrap();
    assert_eq!(found(&node).await, (2, Tamper::CheckpointReplayed));
    // Or the newer one taken away.
    std::fs::write(node.checkpoint_file(), first).unwrap();
    assert_eq!(found(&node).await, (4, Tamper::CheckpointFile));
    std::fs::remove_file(node.checkpoint_file()).unwrap();
    assert_eq!(found(&node).await, (2, Tamper::CheckpointFile));
}

#[tokio::test]
async fn a_forged_checkpoint_is_named() {
    let (mut node, _) = lived_in().await;
    node.behind_its_back(&["UPDATE checkpoints SET seq = 5, hash = (SELECT hash FROM audit_entries WHERE seq = 5)"]).await;
    assert_eq!(found(&node).await, (5, Tamper::CheckpointSignature));
}

#[tokio::test]
async fn a_changed_or_removed_session_row_is_named() {
    let (mut node, rows) = lived_in().await;
    let (first, second) = (rows[0].id.to_string(), rows[1].id.to_string());
    let mut sorted = [(close_seq(1), Tamper::SessionRow { session: first }), (close_seq(2), Tamper::SessionMissing { session: second })];
    let hash = "UPDATE sessions SET recording_hash = 'ff' WHERE recording_hash = '".to_owned() + rows[0].recording_hash.as_deref().unwrap() + "'";
    let gone = "DELETE FROM sessions WHERE recording_hash = '".to_owned() + rows[1].recording_hash.as_deref().unwrap() + "'";
    node.behind_its_back(&["PRAGMA foreign_keys = OFF", &hash, &gone]).await;
    let mut broken: Vec<_> = node.verify().await.broken.into_iter().map(|b| (b.seq, b.what)).collect();
    broken.sort_by_key(|b| b.0);
    sorted.sort_by_key(|b| b.0);
    assert_eq!(broken, sorted);
}

#[tokio::test]
async fn a_whole_chain_removed_is_named() {
    let (mut node, _) = lived_in().await;
    node.behind_its_back(&["DELETE FROM audit_entries", "DELETE FROM checkpoints"]).await;
    assert!(matches!(found(&node).await.1, Tamper::ChainMissing | Tamper::Replayed { .. }));
}

#[tokio::test]
async fn a_session_whose_recording_was_never_closed_is_said() {
    let (node, rows) = lived_in().await;
    let mut row = rows[0].clone();
    row.id = model::Id::generate();
    row.recording_hash = None;
    let header = recording::Header { session: row.id.uuid(), started_at: fixtures::start().timestamp_micros(), ..Default::default() };
    let mut r = node.spool.open(header).await.unwrap();
    r.push(1, recording::Event::Output("x".into())).await.unwrap();
    r.flush().await.unwrap();
    row.recording = Some(r.path().to_owned());
    let closed = events::session_close(&By::system(), &row, "", fixtures::at(3));
    node.put(LogBatch { audit: vec![closed], sessions_opened: vec![row.clone()], ..LogBatch::default() }).await;
    let result = node.verify().await;
    assert_eq!((result.broken, result.summary.unsealed), (vec![], vec![row.id.to_string()]));
}

#[tokio::test]
async fn paths_from_the_database_lead_nowhere() {
    let (node, rows) = lived_in().await;
    let mut row = rows[0].clone();
    row.id = model::Id::generate();
    row.recording = Some(format!("../../{}.rec", row.id));
    let closed = events::session_close(&By::system(), &row, "", fixtures::at(3));
    node.put(LogBatch { audit: vec![closed], sessions_opened: vec![row], ..LogBatch::default() }).await;
    assert_eq!(found(&node).await, (7, Tamper::RecordingPath));
}

#[tokio::test]
async fn a_running_server_verifies_while_it_writes() {
    let (node, _) = lived_in().await;
    let node = std::sync::Arc::new(node);
    let writer = node.clone();
    let writing = tokio::spawn(async move {
        for n in 0..10 {
            writer.session(&format!("live {n}")).await;
            writer.log((0..200).map(event).collect()).await;
            writer.sign().await;
        }
    });
    while !writing.is_finished() {
        assert_eq!(node.verify().await.broken, []);
    }
    writing.await.unwrap();
    assert_eq!(node.verify().await.summary.recordings, 13);
}

#[tokio::test]
async fn a_burst_of_twenty_thousand_events_loses_none() {
    let node = Node::new().await;
    let tasks: Vec<_> = (0..20)
        .map(|t| {
            let store = node.store.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let audit = (0..50).map(|i| event(t * 1000 + n * 50 + i)).collect();
                    store.node(authority()).log(LogBatch { audit, ..LogBatch::default() }).await.unwrap();
                }
            })
        })
        .collect();
    for t in tasks {
        t.await.unwrap();
    }
    node.sign().await;
    let result = node.verify().await;
    assert_eq!((result.broken, result.summary.entries), (vec![], 20_000));
}
