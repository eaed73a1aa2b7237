//! JSON lines: the header, each event, the end. For search and for people with their own tools.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{Event, RecordError, Recording};

/// Writes the recording, from where it stands. Stream bytes are `text` when they are UTF-8, else `base64`.
///
/// # Errors
/// [`RecordError::Damaged`] at the first damaged segment; or writing failed.
pub fn jsonl(recording: &mut Recording, out: &mut dyn Write) -> Result<(), RecordError> {
    writeln!(out, "{}", json!({"type": "header", "header": recording.header()}))?;
    while let Some((at, event)) = recording.next_event()? {
        if matches!(event, Event::Keyframe(_)) {
            continue;
        }
        let mut value = as_json(&event);
        if let Some(map) = value.as_object_mut() {
            map.insert("at_us".into(), json!(at));
        }
        writeln!(out, "{value}")?;
    }
    if let Some(end) = recording.end() {
        writeln!(out, "{}", json!({"type": "end", "end": end, "key": end.key, "signature_ok": end.signature_ok}))?;
    }
    Ok(())
}

fn as_json(event: &Event) -> Value {
    let stream = |kind: &str, b: &[u8]| match std::str::from_utf8(b) {
        Ok(text) => json!({"type": kind, "text": text}),
        Err(_) => json!({"type": kind, "base64": STANDARD.encode(b)}),
    };
    match event {
        Event::Output(b) => stream("output", b),
        Event::Stderr(b) => stream("stderr", b),
        Event::Input(b) => stream("input", b),
        Event::Resize { cols, rows } => json!({"type": "resize", "cols": cols, "rows": rows}),
        Event::Keyframe(b) => stream("keyframe", b),
        Event::Command { id, text, entered_us } => json!({"type": "command", "id": id, "text": text, "entered_us": entered_us}),
        Event::Note { kind, data } => json!({"type": "note", "kind": kind, "data": data}),
        Event::Exit { code, signal } => json!({"type": "exit", "code": code, "signal": signal}),
        Event::Join { user } => json!({"type": "join", "user": user}),
        Event::Leave { user } => json!({"type": "leave", "user": user}),
        Event::Unknown { tag, body } => json!({"type": "unknown", "tag": tag, "base64": STANDARD.encode(body)}),
    }
}
