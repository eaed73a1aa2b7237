//! The key, the checkpoint file and the checkpointer.

use std::os::unix::fs::PermissionsExt;

use audit::{CheckpointError, KeyError, NodeKey, Tamper, read_checkpoints};
use recording::Signer;

use crate::support::*;

#[test]
fn the_key_is_made_once_private_and_kept() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("keys/audit.key");
    let made = NodeKey::load_or_create(&path).unwrap();
    let loaded = NodeKey::load_or_create(&path).unwrap();
    assert_eq!(made.public_key(), loaded.public_key());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let seed = std::fs::read_to_string(&path).unwrap();
    assert!(!format!("{made:?}").contains(seed.trim()));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(NodeKey::load_or_create(&path), Err(KeyError::Exposed(0o644))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "short").unwrap();
    assert!(matches!(NodeKey::load_or_create(&path), Err(KeyError::Malformed)));
}

#[tokio::test]
async fn new_entries_are_signed_into_database_and_file() {
    let node = Node::new().await;
    node.log((0..5).map(event).collect()).await;
    let checkpointer = node.start_checkpointer().await.unwrap();
    node.log((5..9).map(event).collect()).await;
    checkpointer.sign_now().await.unwrap();
    checkpointer.sign_now().await.unwrap();
    node.log((9..10).map(event).collect()).await;
    checkpointer.stop().await;

    let kept = node.store.node(authority()).checkpoints("local").await.unwrap();
    let head = node.store.node(authority()).chain_head("local").await.unwrap();
    assert_eq!(kept.len(), 3);
    assert_eq!(kept.last().unwrap().head, head);
    assert_eq!(read_checkpoints(&node.checkpoint_file()).unwrap(), kept);
    assert!(node.verify().await.is_sound());
    assert_eq!(node.verify().await.summary.chains[0].signed_to, head.seq);
}

#[tokio::test]
async fn a_thousand_entries_are_signed_without_waiting_for_the_minute() {
    let node = Node::new().await;
    let checkpointer = node.start_checkpointer().await.unwrap();
    node.log((0..1500).map(event).collect()).await;
    checkpointer.nudge();
    for _ in 0..200 {
        if !read_checkpoints(&node.checkpoint_file()).unwrap().is_empty() {
            checkpointer.stop().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("not signed");
}

#[tokio::test]
async fn half_a_line_is_forgiven_and_never_glued_to_the_next() {
    let node = Node::new().await;
    node.log(vec![event(1)]).await;
    node.sign().await;
    let whole = std::fs::read(node.checkpoint_file()).unwrap();
    std::fs::write(node.checkpoint_file(), [&whole[..], &whole[..40]].concat()).unwrap();
    assert_eq!(read_checkpoints(&node.checkpoint_file()).unwrap().len(), 1);

    node.log(vec![event(2)]).await;
    node.sign().await;

    assert_eq!(read_checkpoints(&node.checkpoint_file()).unwrap().len(), 2);
    std::fs::write(node.checkpoint_file(), [b"rubbish\n", &whole[..]].concat()).unwrap();
    assert!(read_checkpoints(&node.checkpoint_file()).is_err());
    assert_eq!(node.verify().await.broken[0].what, Tamper::CheckpointFile);
}

#[tokio::test]
async fn a_node_does_not_start_on_an_old_database() {
    let mut node = Node::new().await;
    node.log((0..5).map(event).collect()).await;
    node.stop().await;
    let old = std::fs::read(node.database()).unwrap();
    node.start().await;
    node.log((5..9).map(event).collect()).await;
    node.sign().await;
    node.stop().await;
    std::fs::write(node.database(), old).unwrap();
    node.start().await;

    let Err(CheckpointError::Broken(b)) = node.start_checkpointer().await else { panic!("must refuse") };
    assert!(matches!(b.what, Tamper::Replayed { .. }));
}
