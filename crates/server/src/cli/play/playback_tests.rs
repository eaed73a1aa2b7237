#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use std::{path::Path, sync::Arc};

use recording::{Ed25519Signer, EndSummary, Spool, SpoolOptions};

use super::*;

const SECOND: u64 = 1_000_000;

/// Output at second 0, 1, 2 and, after a long pause, 62.
async fn recorded(dir: &Path, cols: u16) -> Source {
    let signer = Arc::new(Ed25519Signer::from_seed(&[7; 32]).unwrap());
    let spool = Spool::start(dir.to_path_buf(), SpoolOptions::new(signer)).unwrap();
    let header = Header { session: uuid::Uuid::now_v7(), started_at: 1_700_000_000_000_000, cols, rows: if cols == 0 { 0 } else { 5 }, ..Header::default() };
    let mut recorder = spool.open(header).await.unwrap();
    for (at, text) in [(0, "zero\n"), (1, "one\n"), (2, "\u{1b}[31mtwo\u{1b}[0m"), (62, " late")] {
        recorder.push(at * SECOND, Event::Output(text.replace('\n', if cols == 0 { "\n" } else { "\r\n" }).into())).await.unwrap();
        recorder.flush().await.unwrap();
    }
    let path = dir.join(recorder.path());
    recorder.close(EndSummary::default()).await.unwrap();
    spool.shutdown().await;
    Source::file(path)
}

fn shown(p: &Playback) -> String {
    p.screen.text().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn time_moves_the_screen_and_speed_bends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = Playback::new(recorded(dir.path(), 40).await, 0, 1.0, None).unwrap();
    assert_eq!(shown(&p), "zero");

    p.advance(Duration::from_millis(900)).unwrap();
    assert_eq!(shown(&p), "zero");
    p.advance(Duration::from_millis(200)).unwrap();
    assert!(shown(&p).ends_with("one"));

    p.speed = 4.0;
    p.advance(Duration::from_millis(300)).unwrap();
    assert!(shown(&p).ends_with("two"), "{}", shown(&p));

    p.paused = true;
    assert_eq!(p.wait(), None);
    p.advance(Duration::from_secs(600)).unwrap();
    assert!(!shown(&p).contains("late"));
    p.step().unwrap();
    assert!(shown(&p).ends_with("late") && p.at_end());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_time_can_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = Playback::new(recorded(dir.path(), 40).await, 2 * SECOND, 1.0, Some(0.5)).unwrap();
    assert!(p.wait().unwrap() <= Duration::from_millis(500));

    p.advance(Duration::from_millis(600)).unwrap();

    assert!(shown(&p).ends_with("late"));
    assert_eq!(p.position(), 62 * SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_go_both_ways_and_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = Playback::new(recorded(dir.path(), 40).await, 0, 1.0, None).unwrap();

    p.seek(u64::MAX).unwrap();
    assert!(shown(&p).ends_with("late"));
    p.skip(-600).unwrap();
    assert_eq!((p.position(), shown(&p).as_str()), (0, "zero"));
    p.skip(5).unwrap();
    assert!(p.position() == 5 * SECOND && shown(&p).ends_with("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_is_shown_later_and_not_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = Playback::new(recorded(dir.path(), 40).await, 0, 1.0, None).unwrap();

    assert!(p.search(Some("TWO")).unwrap());
    assert_eq!(p.position(), 2 * SECOND);
    assert!(p.search(Some("two late")).unwrap());
    assert_eq!(p.position(), 62 * SECOND);
    assert!(!p.search(Some("zero")).unwrap());
    assert_eq!(p.position(), 62 * SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_lines_begin_at_the_left() {
    let dir = tempfile::tempdir().unwrap();
    let p = Playback::new(recorded(dir.path(), 0).await, u64::MAX, 1.0, None).unwrap();

    assert_eq!(shown(&p), "zero\none\ntwo late");
}
