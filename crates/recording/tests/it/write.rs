//! Writing, and reading what was written.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use recording::{Event, Expect, RecordError, Recording, State, recover, verify, verify_with};

use crate::support::*;

#[tokio::test]
async fn every_event_comes_back_with_its_time() {
    let b = bench();
    let header = header();
    let mut r = b.spool.open(header.clone()).await.unwrap();
    for (n, e) in every_kind().into_iter().enumerate() {
        r.push(n as u64 * 1_000_000, e).await.unwrap();
    }
    let done = r.close(end()).await.unwrap();

    let mut rec = Recording::open(b.file(&done.path)).unwrap();
    let events: Vec<_> = rec.events().collect::<Result<_, _>>().unwrap();
    let expected: Vec<_> = every_kind().into_iter().enumerate().map(|(n, e)| (n as u64 * 1_000_000, e)).collect();
    assert_eq!(events, expected);
    assert_eq!(rec.header().session, header.session);
    assert_eq!(rec.end().unwrap().summary, end());
    assert!(rec.end().unwrap().signature_ok);
    assert_eq!(done.duration_us, 10_000_000);
    assert_eq!(done.size, std::fs::metadata(b.file(&done.path)).unwrap().len());
    let report = verify(b.file(&done.path), Some(&done.hash)).unwrap();
    assert!(report.is_intact());
    assert_eq!((report.state, report.segments, report.hash), (State::Complete, done.segments, done.hash));
}

#[tokio::test]
async fn files_are_private_and_named_by_day_and_session() {
    let b = bench();
    let (header, done) = b.small(1).await;

    assert_eq!(done.path, format!("2023-11-14/{}.rec", header.session));
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    let file = b.file(&done.path);
    assert_eq!((mode(&file), mode(file.parent().unwrap()), mode(b.spool.dir())), (0o600, 0o700, 0o700));
}

#[tokio::test]
async fn what_was_pushed_is_in_the_file_without_another_push() {
    let b = bench_with(|o| o.segment_age = Duration::from_millis(300));
    let mut r = b.spool.open(header()).await.unwrap();

    r.push(1, out("typed")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;

    assert_eq!(output_of(&read_all(&b.file(r.path()))), b"typed");
    r.push(2, out(" more")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(output_of(&read_all(&b.file(r.path()))), b"typed more");
    r.close(end()).await.unwrap();
}

#[tokio::test]
async fn large_amounts_arrive_whole_and_in_order_from_many_sessions() {
    let b = bench_with(|o| o.queue_bytes = 0);
    let mut tasks = Vec::new();
    for n in 0..8u64 {
        let spool = b.spool.clone();
        tasks.push(tokio::spawn(async move {
            let data = Bytes::from(noise(6_000_000, n));
            let mut r = spool.open(header()).await.unwrap();
            let mut rest = data.clone();
            let mut at = 0;
            while !rest.is_empty() {
                at += 10;
                let piece = rest.split_to(rest.len().min(1 + (at as usize * 7919) % 300_000));
                r.push(at, Event::Output(piece)).await.unwrap();
                if at % 70 == 0 {
                    r.push(at, out("")).await.unwrap();
                }
            }
            (data, r.close(end()).await.unwrap())
        }));
    }
    for t in tasks {
        let (data, done) = t.await.unwrap();
        assert!(output_of(&read_all(&b.file(&done.path))) == data);
        assert!(verify(b.file(&done.path), Some(&done.hash)).unwrap().is_intact());
        // Noise is not inflated by compression or framing.
        assert!(done.size < 6_100_000);
    }
}

#[tokio::test]
async fn text_shrinks() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    for n in 0..20_000u64 {
        r.push(n, out(&format!("-rw-r--r-- 1 root root {n:6} file-{n}.txt\r\n"))).await.unwrap();
    }
    let done = r.close(end()).await.unwrap();
    assert!(done.size < 300_000, "{} bytes", done.size);
    assert_eq!(read_all(&b.file(&done.path)).len(), 20_000);
}

#[tokio::test]
async fn time_never_runs_backwards() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    for at in [50, 40, 60, 10] {
        r.push(at, out("x")).await.unwrap();
        r.flush().await.unwrap();
    }
    r.push(5, out("x")).await.unwrap();
    let done = r.close(end()).await.unwrap();
    let times: Vec<_> = read_all(&b.file(&done.path)).into_iter().map(|(t, _)| t).collect();
    assert_eq!(times, [50, 50, 60, 60, 60]);
}

#[tokio::test]
async fn a_player_starts_at_the_keyframe_before_the_moment() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    for n in 0..10u64 {
        let at = n * 1_000_000;
        r.push(at, out(&format!("<{n}>"))).await.unwrap();
        if n % 3 == 2 {
            r.push(at, Event::Resize { cols: 100 + n as u16, rows: 30 }).await.unwrap();
            r.push(at, Event::Keyframe(format!("screen {n}").into_bytes())).await.unwrap();
        }
    }
    let done = r.close(end()).await.unwrap();
    let path = b.file(&done.path);

    let index = Recording::open(&path).unwrap().index().unwrap();
    assert!(index.closed && !index.torn);
    assert_eq!(index.segments.iter().filter(|s| s.keyframe).map(|s| s.start_us).collect::<Vec<_>>(), [2_000_000, 5_000_000, 8_000_000]);
    let played: Vec<_> = Recording::open(&path).unwrap().play(6_500_000).unwrap().map(Result::unwrap).collect();
    assert_eq!(played[0], (5_000_000, Event::Resize { cols: 105, rows: 30 }));
    assert_eq!(played[1], (5_000_000, Event::Keyframe(b"screen 5".to_vec())));
    assert_eq!(output_of(&played), b"<6><7><8><9>");
    assert_eq!(played.iter().filter(|(_, e)| matches!(e, Event::Keyframe(_))).count(), 1);
    let mut player = Recording::open(&path).unwrap().play(9_000_000).unwrap();
    assert_eq!(player.next_event().unwrap().unwrap().0, 8_000_000);
    player.seek(0).unwrap();
    let from_start: Vec<_> = player.map(Result::unwrap).collect();
    assert_eq!(output_of(&from_start), b"<0><1><2><3><4><5><6><7><8><9>");
    assert!(!from_start.iter().any(|(_, e)| matches!(e, Event::Keyframe(_))));
}

#[tokio::test]
async fn a_keyframe_is_wanted_after_time_or_amount() {
    let b = bench_with(|o| o.keyframe_every = Duration::from_secs(5));
    let mut r = b.spool.open(header()).await.unwrap();
    r.push(1, out("a")).await.unwrap();
    assert!(!r.wants_keyframe());
    r.push(6_000_000, out(&"b".repeat(5000))).await.unwrap();
    assert!(r.wants_keyframe());
    r.push(6_000_001, Event::Keyframe(vec![])).await.unwrap();
    assert!(!r.wants_keyframe());
    r.push(6_000_002, out(&"c".repeat(600_000))).await.unwrap();
    assert!(r.wants_keyframe());
    r.push(6_000_003, Event::Keyframe(vec![b'x'; 900_000])).await.unwrap();
    assert!(!r.wants_keyframe());
    let done = r.close(end()).await.unwrap();
    assert!(verify(b.file(&done.path), Some(&done.hash)).unwrap().is_intact());
}

#[tokio::test]
async fn a_file_that_still_grows_can_be_followed() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    let mut viewer = Recording::open(b.file(r.path())).unwrap();
    assert!(viewer.next_event().unwrap().is_none());

    let mut seen = Vec::new();
    for n in 0..5u64 {
        r.push(n, out(&n.to_string())).await.unwrap();
        r.flush().await.unwrap();
        let waited = Instant::now();
        let event = loop {
            if let Some(e) = viewer.next_event().unwrap() {
                break e;
            }
            assert!(waited.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        seen.push(event);
    }
    assert_eq!(output_of(&seen), b"01234");
    assert!(viewer.end().is_none());
    r.close(end()).await.unwrap();
    assert!(viewer.next_event().unwrap().is_none());
    assert!(viewer.end().is_some());
}

#[tokio::test]
async fn a_recorder_that_is_dropped_closes_as_interrupted() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    r.push(1, out("last words")).await.unwrap();
    let path = b.file(r.path());
    drop(r);
    b.spool.shutdown().await;

    assert_eq!(output_of(&read_all(&path)), b"last words");
    let report = verify(&path, None).unwrap();
    assert_eq!((report.state, report.broken), (State::Interrupted, None));
}

#[tokio::test]
async fn after_shutdown_nothing_opens() {
    let b = bench();
    b.spool.shutdown().await;
    assert!(matches!(b.spool.open(header()).await, Err(RecordError::Closed)));
}

#[tokio::test]
async fn a_session_id_is_recorded_once() {
    let b = bench();
    let (header, done) = b.small(1).await;
    assert!(matches!(b.spool.open(header).await, Err(RecordError::Disk(_))));
    assert!(verify(b.file(&done.path), Some(&done.hash)).unwrap().is_intact());
}

#[tokio::test]
async fn a_note_that_is_too_large_is_refused_and_the_rest_goes_on() {
    let b = bench();
    let mut r = b.spool.open(header()).await.unwrap();
    let big = Event::Note { kind: "x".into(), data: "y".repeat(300_000).into() };
    assert!(matches!(r.push(1, big).await, Err(RecordError::TooLarge(_))));
    r.push(2, out("on")).await.unwrap();
    let done = r.close(end()).await.unwrap();
    assert_eq!(read_all(&b.file(&done.path)).len(), 1);
}

/// Kill -9 at any byte: what was complete plays, and recovery makes it verifiable again.
#[tokio::test]
async fn a_file_cut_anywhere_loses_at_most_the_last_segment() {
    let b = bench();
    let (header, done) = b.small(4).await;
    let whole = std::fs::read(b.file(&done.path)).unwrap();
    let borders: Vec<u64> = Recording::open(b.file(&done.path)).unwrap().index().unwrap().segments.iter().map(|s| s.offset).collect();
    let first = borders[0] as usize;
    let cut = b.dir.path().join("cut.rec");

    for len in (first..whole.len()).step_by(3) {
        std::fs::write(&cut, &whole[..len]).unwrap();
        let complete = borders.iter().skip(1).filter(|o| **o <= len as u64).count();
        let complete = if len as u64 >= done.size { 4 } else { complete };
        let mut rec = Recording::open(&cut).unwrap();
        let events: Vec<_> = rec.events().collect::<Result<_, _>>().unwrap();
        assert!(events.len() == complete || events.len() == complete + 1, "{len}");
        assert!(verify(&cut, Some(&done.hash)).unwrap().broken.is_some());

        let recovered = recover(&cut, &*b.signer).unwrap();
        assert!(!recovered.was_closed);
        let report = verify_with(&cut, &Expect { session: Some(header.session), hash: Some(&recovered.hash), keys: &[] }).unwrap();
        assert_eq!((report.state, report.broken), (State::Interrupted, None), "{len}");
        assert_eq!(report.size, recovered.size);
        assert_eq!(read_all(&cut), events);
        let aside = b.dir.path().join("cut.rec.torn");
        assert_eq!(recovered.summary.torn_bytes, std::fs::metadata(&aside).map_or(0, |m| m.len()));
        let _ = std::fs::remove_file(aside);

        let again = recover(&cut, &*b.signer).unwrap();
        assert!(again.was_closed);
        assert_eq!(again.hash, recovered.hash);
    }
}

#[tokio::test]
async fn recovery_destroys_nothing_even_if_the_middle_is_damaged() {
    let b = bench();
    let (_, done) = b.small(5).await;
    let path = b.file(&done.path);
    let mut bytes = std::fs::read(&path).unwrap();
    let third = Recording::open(&path).unwrap().index().unwrap().segments[2].offset as usize;
    bytes[third + 60] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let recovered = recover(&path, &*b.signer).unwrap();

    assert_eq!(recovered.summary.torn_bytes as usize, bytes.len() - third);
    let mut aside = path.as_os_str().to_owned();
    aside.push(".torn");
    assert_eq!(std::fs::read(aside).unwrap(), &bytes[third..]);
    assert_eq!(read_all(&path).len(), 2);
}
