//! The terminal that a recording is played on: keys, drawing, the status line.
//!
//! Only characters and colours of the emulated screen are drawn, never the recorded bytes, so the status line cannot be
//! overwritten and the recorded program cannot reach the terminal of the person who watches.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crossterm::{
    event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read},
    terminal::{EnterAlternateScreen, LeaveAlternateScreen},
};

use super::{
    super::{Done, Span, prompt::Raw, say},
    playback::Playback,
};

/// Shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(25);
/// Longest sleep while it plays, so that the time in the status line moves.
const TICK: Duration = Duration::from_millis(250);

/// What the status line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asking {
    Nothing,
    Search(String),
    Time(String),
}

/// The alternate screen and raw mode as long as it lives, whatever ends it.
struct Stage {
    _raw: Raw,
}

const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?7h";

impl Stage {
    fn enter() -> io::Result<Self> {
        let raw = Raw::on()?;
        crossterm::execute!(io::stdout(), EnterAlternateScreen)?;
        // What does not fit must not wrap.
        io::stdout().write_all(b"\x1b[?7l")?;
        Ok(Self { _raw: raw })
    }
}

fn restore() {
    let mut out = io::stdout();
    let _ = out.write_all(LEAVE);
    let _ = crossterm::execute!(out, LeaveAlternateScreen);
    let _ = out.flush();
}

impl Drop for Stage {
    fn drop(&mut self) {
        restore();
    }
}

/// Plays until the person leaves.
pub fn perform(playback: Playback) -> Done {
    let stage = Stage::enter()?;
    restore_on_signals();
    let result =
        Show { playback, asking: Asking::Nothing, remark: String::new(), drawn: Vec::new(), size: crossterm::terminal::size().unwrap_or((80, 24)) }.run();
    drop(stage);
    result
}

/// A signal that ends the program must not leave the terminal in raw mode.
fn restore_on_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    for (kind, code) in [(SignalKind::terminate(), 143), (SignalKind::hangup(), 129)] {
        if let Ok(mut stream) = signal(kind) {
            tokio::spawn(async move {
                stream.recv().await;
                restore();
                let _ = crossterm::terminal::disable_raw_mode();
                std::process::exit(code);
            });
        }
    }
}

struct Show {
    playback: Playback,
    asking: Asking,
    remark: String,
    /// The rows as they were drawn last.
    drawn: Vec<Vec<u8>>,
    size: (u16, u16),
}

impl Show {
    fn run(&mut self) -> Done {
        let mut last = Instant::now();
        loop {
            self.draw()?;
            let wait = self.playback.wait().map_or(TICK, |w| w.clamp(FRAME, TICK));
            if poll(wait)? {
                match read()? {
                    Event::Resize(cols, rows) => {
                        self.size = (cols, rows);
                        self.drawn.clear();
                    }
                    Event::Key(key) if key.kind != KeyEventKind::Release && !self.key(key)? => return Ok(()),
                    _ => {}
                }
            }
            let now = Instant::now();
            self.playback.advance(now - last)?;
            last = now;
        }
    }

    /// One key; false to leave.
    fn key(&mut self, key: KeyEvent) -> Result<bool, super::super::Failure> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Ok(false);
        }
        if self.asking != Asking::Nothing {
            self.answer(key)?;
            return Ok(true);
        }
        self.remark.clear();
        match key.code {
            KeyCode::Char('q') => return Ok(false),
            KeyCode::Char(' ') => self.playback.paused = !self.playback.paused,
            KeyCode::Char('.') => {
                self.playback.paused = true;
                self.playback.step()?;
            }
            KeyCode::Left => self.playback.skip(-5)?,
            KeyCode::Right => self.playback.skip(5)?,
            KeyCode::Home => self.playback.seek(0)?,
            KeyCode::End => self.playback.seek(u64::MAX)?,
            KeyCode::Up | KeyCode::Char('+' | '=') => self.playback.change_speed(true),
            KeyCode::Down | KeyCode::Char('-') => self.playback.change_speed(false),
            KeyCode::Char('i') => self.playback.skip_idle = !self.playback.skip_idle,
            KeyCode::Char('/') => self.asking = Asking::Search(String::new()),
            KeyCode::Char('g') => self.asking = Asking::Time(String::new()),
            KeyCode::Char('n') => self.search(None)?,
            KeyCode::Char('?' | 'h') => self.remark = say("cli.play_keys", &[]),
            _ => {}
        }
        Ok(true)
    }

    /// A key while something is asked for.
    fn answer(&mut self, key: KeyEvent) -> Done {
        let (Asking::Search(text) | Asking::Time(text)) = &mut self.asking else { return Ok(()) };
        match key.code {
            KeyCode::Char(c) if text.len() < 256 && !key.modifiers.contains(KeyModifiers::CONTROL) => text.push(c),
            KeyCode::Char('u') => text.clear(),
            KeyCode::Backspace => {
                text.pop();
            }
            KeyCode::Esc => self.asking = Asking::Nothing,
            KeyCode::Enter => match std::mem::replace(&mut self.asking, Asking::Nothing) {
                Asking::Search(text) if !text.is_empty() => self.search(Some(&text))?,
                Asking::Search(_) => self.search(None)?,
                Asking::Time(text) => match text.parse::<Span>() {
                    Ok(span) => self.playback.seek(u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX))?,
                    Err(_) => self.remark = say("cli.bad_time", &[("text", &terminal::safe(&text))]),
                },
                Asking::Nothing => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn search(&mut self, text: Option<&str>) -> Done {
        if !self.playback.search(text)? {
            self.remark = say("cli.not_found_later", &[]);
        }
        Ok(())
    }

    /// Draws the rows that changed, then the status line, then the cursor.
    fn draw(&mut self) -> Done {
        let (cols, rows) = (usize::from(self.size.0.max(10)), usize::from(self.size.1.max(3)));
        let page = rows - 1;
        let (cursor_row, cursor_col, cursor_shown) = self.playback.screen.cursor_on_page();
        // A recording higher than this terminal is shown around its cursor.
        let top = (cursor_row + 1).saturating_sub(page);
        let mut out = Vec::with_capacity(8 * 1024);
        out.extend_from_slice(b"\x1b[?25l");
        if self.drawn.len() != page {
            out.extend_from_slice(b"\x1b[0m\x1b[2J");
            self.drawn = vec![Vec::new(); page];
        }
        for (n, before) in self.drawn.iter_mut().enumerate() {
            let line = self.playback.screen.line(top + n, cols);
            if line != *before {
                out.extend_from_slice(format!("\x1b[{};1H\x1b[0m", n + 1).as_bytes());
                out.extend_from_slice(&line);
                out.extend_from_slice(b"\x1b[0m\x1b[K");
                *before = line;
            }
        }
        out.extend_from_slice(format!("\x1b[{rows};1H\x1b[0;7m{}\x1b[0m", terminal::pad(&self.status(cols), cols)).as_bytes());
        if self.asking == Asking::Nothing && cursor_shown && cursor_row >= top && cursor_col < cols {
            out.extend_from_slice(format!("\x1b[{};{}H\x1b[?25h", cursor_row - top + 1, cursor_col + 1).as_bytes());
        }
        let mut screen = io::stdout().lock();
        screen.write_all(&out)?;
        screen.flush()?;
        Ok(())
    }

    fn status(&self, cols: usize) -> String {
        match &self.asking {
            Asking::Search(text) => return format!("/{}", terminal::safe(text)),
            Asking::Time(text) => return format!("{}: {}", say("cli.play_goto", &[]), terminal::safe(text)),
            Asking::Nothing if !self.remark.is_empty() => return self.remark.clone(),
            Asking::Nothing => {}
        }
        let p = &self.playback;
        let state = if p.at_end() && !p.live {
            say("cli.play_end", &[])
        } else if p.paused {
            say("cli.play_paused", &[])
        } else if p.at_end() {
            say("cli.play_live", &[])
        } else {
            format!("{}x", p.speed)
        };
        let idle = if p.skip_idle { format!(" {}", say("cli.play_skip", &[])) } else { String::new() };
        let left = format!(" {} / {}  {state}{idle} ", clock(p.position()), clock(p.duration()));
        let header = p.header();
        let right = format!("{} · {} · {}", header.user, header.account, header.asset);
        let room = cols.saturating_sub(terminal::width(&left) + 10);
        format!("{left} {}  {}", terminal::truncate(&terminal::safe(&right), room), "?")
    }
}

/// `1:02:03` or `02:03`.
fn clock(us: u64) -> String {
    let s = us / 1_000_000;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m:02}:{s:02}") }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn times_are_shown_as_on_a_clock() {
        assert_eq!(clock(0), "00:00");
        assert_eq!(clock(62_999_999), "01:02");
        assert_eq!(clock(3_723_000_000), "1:02:03");
    }
}
