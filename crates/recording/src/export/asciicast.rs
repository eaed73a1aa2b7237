//! asciicast v2: a line of JSON for the header, one for each event. Plays in asciinema and its web player.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::utf8::Utf8Stream;
use crate::{Event, RecordError, Recording};

/// What goes into a cast.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsciicastOptions {
    /// Also what was typed (`i` events). Secrets are masked in recordings already.
    pub input: bool,
    /// Longest pause that players show, seconds.
    pub idle_limit: Option<f64>,
}

/// Writes the recording, from where it stands, as asciicast v2.
///
/// # Errors
/// [`RecordError::Damaged`] at the first damaged segment: what comes before it was written. Or writing failed.
pub fn asciicast(recording: &mut Recording, options: AsciicastOptions, out: &mut dyn Write) -> Result<(), RecordError> {
    let header = recording.header().clone();
    let mut size = (header.cols.max(1), header.rows.max(1));
    let no_terminal = header.cols == 0;
    if no_terminal {
        size = (80, 24);
    }
    let mut first = Map::new();
    first.insert("version".into(), json!(2));
    first.insert("width".into(), json!(size.0));
    first.insert("height".into(), json!(size.1));
    first.insert("timestamp".into(), json!(header.started_at.div_euclid(1_000_000)));
    if let Some(limit) = options.idle_limit.filter(|l| l.is_finite() && *l > 0.0) {
        first.insert("idle_time_limit".into(), json!(limit));
    }
    let title = if header.title.is_empty() { format!("{} @ {}", header.user, header.asset) } else { header.title };
    first.insert("title".into(), json!(title));
    if !header.term.is_empty() {
        first.insert("env".into(), json!({"TERM": header.term}));
    }
    writeln!(out, "{}", Value::Object(first))?;

    // Without a terminal nothing turned line feeds into new lines; a player's terminal has to be told.
    let shown = |text: String| if no_terminal { text.replace('\n', "\r\n") } else { text };
    let (mut output, mut errors, mut input) = (Utf8Stream::default(), Utf8Stream::default(), Utf8Stream::default());
    let mut last = 0;
    while let Some((at, event)) = recording.next_event()? {
        last = at;
        let (code, data) = match event {
            Event::Output(b) => ("o", shown(output.push(&b))),
            Event::Stderr(b) => ("o", shown(errors.push(&b))),
            Event::Input(b) if options.input => ("i", input.push(&b)),
            Event::Resize { cols, rows } if (cols, rows) != size && cols > 0 && rows > 0 => {
                size = (cols, rows);
                ("r", format!("{cols}x{rows}"))
            }
            Event::Command { text, .. } => ("m", text),
            _ => continue,
        };
        if !data.is_empty() || code == "m" {
            line(out, at, code, &data)?;
        }
    }
    for rest in [output.finish(), errors.finish()] {
        if !rest.is_empty() {
            line(out, last, "o", rest)?;
        }
    }
    Ok(())
}

fn line(out: &mut dyn Write, at_us: u64, code: &str, data: &str) -> Result<(), RecordError> {
    let data = Value::String(data.to_owned());
    writeln!(out, "[{}.{:06}, \"{code}\", {data}]", at_us / 1_000_000, at_us % 1_000_000)?;
    Ok(())
}
