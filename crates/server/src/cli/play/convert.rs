//! Recordings on standard output: asciicast v2 and plain text, from any moment on.

use std::io::{self, Write};

use recording::{Event, RecordError, Recording, export};
use serde_json::{Value, json};
use terminal::Screen;

use super::playback::{feed, screen_of};

fn as_io(e: RecordError) -> io::Error {
    match e {
        RecordError::Read(e) => e,
        other => io::Error::other(other.to_string()),
    }
}

/// Asciicast v2. From a moment on: the screen as it was then comes first, and times count from there.
pub fn cast(mut recording: Recording, from_us: u64, idle_limit: Option<f64>, out: &mut dyn Write) -> io::Result<()> {
    let options = export::AsciicastOptions { input: false, idle_limit };
    if from_us == 0 {
        return export::asciicast(&mut recording, options, out).map_err(as_io);
    }
    let screen = screen_of(recording.header());
    let mut filter = FromMoment { out, from: from_us as f64 / 1e6, screen, line: Vec::new(), head: false, begun: false };
    export::asciicast(&mut recording, options, &mut filter).map_err(as_io)?;
    filter.begin()
}

/// Passes the header on, plays events before the moment on a screen, and shifts those after it.
struct FromMoment<'a> {
    out: &'a mut dyn Write,
    from: f64,
    screen: Screen,
    line: Vec<u8>,
    head: bool,
    begun: bool,
}

impl FromMoment<'_> {
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let (cols, rows) = self.screen.size();
        writeln!(self.out, "{}", json!([0.0, "r", format!("{cols}x{rows}")]))?;
        let shown = String::from_utf8_lossy(&self.screen.keyframe()).into_owned();
        writeln!(self.out, "{}", json!([0.0, "o", shown]))
    }

    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        if !std::mem::replace(&mut self.head, true) {
            return self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        }
        let event: Value = serde_json::from_slice(line)?;
        let at = event.get(0).and_then(Value::as_f64).unwrap_or(0.0);
        let code = event.get(1).and_then(Value::as_str).unwrap_or_default();
        let data = event.get(2).and_then(Value::as_str).unwrap_or_default();
        if at < self.from {
            match code {
                "o" => feed(&mut self.screen, data.as_bytes()),
                "r" => {
                    if let Some((cols, rows)) = data.split_once('x').and_then(|(c, r)| Some((c.parse().ok()?, r.parse().ok()?))) {
                        self.screen.resize(cols, rows);
                    }
                }
                _ => {}
            }
            return Ok(());
        }
        self.begin()?;
        let shifted = ((at - self.from) * 1e6).round() / 1e6;
        writeln!(self.out, "{}", json!([shifted, code, data]))
    }
}

impl Write for FromMoment<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            match piece.strip_suffix(b"\n") {
                None => self.line.extend_from_slice(piece),
                Some(piece) => {
                    self.line.extend_from_slice(piece);
                    let line = std::mem::take(&mut self.line);
                    self.take(&line)?;
                }
            }
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Plain text. From a moment on: only what was shown after it.
pub fn text(mut recording: Recording, from_us: u64, out: &mut dyn Write) -> io::Result<()> {
    if from_us == 0 {
        return export::text(&mut recording, out).map_err(as_io);
    }
    let mut strip = export::Stripper::default();
    recording.seek(from_us).map_err(as_io)?;
    while let Some((at, event)) = recording.next_event().map_err(as_io)? {
        if let (true, Event::Output(b) | Event::Stderr(b)) = (at >= from_us, event) {
            out.write_all(strip.push(&b).as_bytes())?;
        }
    }
    out.write_all(strip.finish().as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_from_a_moment_begins_with_the_screen_of_that_moment() {
        let mut out = Vec::new();
        let mut filter = FromMoment { out: &mut out, from: 2.0, screen: Screen::new(20, 4), line: Vec::new(), head: false, begun: false };

        write!(filter, "{{\"version\": 2}}\n[1.0, \"o\", \"early\\r\\n\"]\n[2.5").unwrap();
        writeln!(filter, ", \"o\", \"late\"]").unwrap();
        filter.begin().unwrap();

        let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines.get(1), Some(&json!([0.0, "r", "20x4"])));
        assert!(lines.get(2).unwrap().get(2).unwrap().as_str().unwrap().contains("early"));
        assert_eq!(lines.get(3), Some(&json!([0.5, "o", "late"])));
    }
}
