//! Exports.

use bytes::Bytes;
use recording::{Event, Recording, export};
use serde_json::Value;

use crate::support::*;

async fn recorded(b: &Bench, events: Vec<(u64, Event)>) -> Recording {
    let mut r = b.spool.open(header()).await.unwrap();
    for (at, e) in events {
        r.push(at, e).await.unwrap();
    }
    let done = r.close(end()).await.unwrap();
    Recording::open(b.file(&done.path)).unwrap()
}

fn bytes(b: &[u8]) -> Bytes {
    Bytes::copy_from_slice(b)
}

#[tokio::test]
async fn a_cast_is_valid_and_keeps_characters_whole() {
    let b = bench();
    let text = "héllo 日本 🦀\r\n".as_bytes();
    let mut events: Vec<_> = text.iter().enumerate().map(|(n, byte)| (n as u64 * 100_000, Event::Output(bytes(&[*byte])))).collect();
    events.push((9_000_000, Event::Input(bytes(b"secretless\r"))));
    events.push((9_000_001, Event::Resize { cols: 132, rows: 50 }));
    events.push((9_000_001, Event::Resize { cols: 132, rows: 50 }));
    events.push((9_000_002, Event::Keyframe(b"again".to_vec())));
    events.push((9_500_000, Event::Output(bytes(b"bad \xff\xfe end \xe6"))));
    let mut rec = recorded(&b, events).await;
    let mut out = Vec::new();

    export::asciicast(&mut rec, export::AsciicastOptions { input: true, idle_limit: Some(2.0) }, &mut out).unwrap();

    let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["version"], 2);
    assert_eq!((&lines[0]["width"], &lines[0]["height"], &lines[0]["timestamp"]), (&80.into(), &24.into(), &1_700_000_000.into()));
    assert_eq!(lines[0]["idle_time_limit"], 2.0);
    let of = |code: &str| lines[1..].iter().filter(|l| l[1] == code).map(|l| l[2].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(of("o").concat(), "héllo 日本 🦀\r\nbad \u{fffd}\u{fffd} end \u{fffd}");
    assert_eq!(of("r"), ["132x50"]);
    assert_eq!(of("i"), ["secretless\r"]);
    let times: Vec<f64> = lines[1..].iter().map(|l| l[0].as_f64().unwrap()).collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn text_has_no_control_sequences() {
    let b = bench();
    let raw = b"\x1b[1;32muser\x1b[0m:\x1b]0;title\x07~$ ls -x\x08l\r\n\x1b[?1049hvim screen\n\x1b[?1049lprogress 10%\rprogress 100%\x1b[K\r\nab\x1b[2Dc\x1bPq#0\x1b\\!\ttab\r\nlast\x1b(B";
    let mut rec = recorded(&b, raw.iter().map(|byte| (1, Event::Output(bytes(&[*byte])))).collect()).await;
    let mut out = Vec::new();

    export::text(&mut rec, &mut out).unwrap();

    assert_eq!(String::from_utf8(out).unwrap(), "user:~$ ls -l\nprogress 100%\nc!      tab\nlast");
}

#[tokio::test]
async fn lines_of_json_hold_every_event() {
    let b = bench();
    let mut rec = recorded(&b, every_kind().into_iter().map(|e| (5, e)).collect()).await;
    let mut out = Vec::new();

    export::jsonl(&mut rec, &mut out).unwrap();

    let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), every_kind().len() + 2);
    assert_eq!(lines[0]["header"]["user"], "Alice(alice)");
    assert_eq!((&lines[1]["type"], &lines[1]["text"], &lines[1]["at_us"]), (&"output".into(), &"hello".into(), &5.into()));
    assert_eq!(lines[2]["base64"], "b29wc/8=");
    assert_eq!(lines.last().unwrap()["signature_ok"], true);
}
