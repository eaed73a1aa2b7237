//! A recording being played, without a terminal and without a clock of its own: times come in, a screen comes out.

use std::time::Duration;

use recording::{Event, Header, Player, RecordError, export::Stripper};
use terminal::Screen;

use super::source::Source;

/// Speeds that the keys step through.
const SPEEDS: [f64; 9] = [0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0];
/// Pauses longer than this are shortened when idle time is skipped and no other limit was said.
const SKIP_TO: f64 = 1.0;
/// Text kept while searching: a hit may span this much.
const SEARCH_TAIL: usize = 4096;

/// A screen of the size the recording began with.
pub fn screen_of(header: &Header) -> Screen {
    if header.cols == 0 || header.rows == 0 { Screen::new(80, 24) } else { Screen::new(header.cols.into(), header.rows.into()) }
}

/// Shows bytes, all of them.
pub fn feed(screen: &mut Screen, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let used = screen.feed(bytes).max(1);
        screen.take_events();
        bytes = bytes.get(used..).unwrap_or_default();
    }
}

/// What plays.
pub struct Playback {
    source: Source,
    player: Player,
    /// What is seen now.
    pub screen: Screen,
    next: Option<(u64, Event)>,
    /// Without a terminal, line feeds do not return the carriage.
    raw_lines: bool,
    position: u64,
    duration: u64,
    /// How many times faster than it happened.
    pub speed: f64,
    /// Nothing moves.
    pub paused: bool,
    /// Long pauses are shortened.
    pub skip_idle: bool,
    idle_limit: f64,
    searched: String,
    /// The recording is being written.
    pub live: bool,
}

impl Playback {
    /// Begins at a moment.
    pub fn new(source: Source, from_us: u64, speed: f64, idle_limit: Option<f64>) -> Result<Self, RecordError> {
        let player = source.play(from_us)?;
        let index = player.recording().index()?;
        let header = player.header();
        let mut playback = Self {
            screen: screen_of(header),
            raw_lines: header.cols == 0,
            source,
            player,
            next: None,
            position: 0,
            duration: index.duration_us,
            speed,
            paused: false,
            skip_idle: idle_limit.is_some(),
            idle_limit: idle_limit.unwrap_or(SKIP_TO),
            searched: String::new(),
            live: !index.closed,
        };
        playback.catch_up(from_us)?;
        Ok(playback)
    }

    /// Whose session it is.
    pub fn header(&self) -> &Header {
        self.player.header()
    }
    /// Where it stands, microseconds.
    pub fn position(&self) -> u64 {
        self.position
    }
    /// How long it is so far, microseconds.
    pub fn duration(&self) -> u64 {
        self.duration.max(self.position)
    }
    /// Nothing more to show.
    pub fn at_end(&self) -> bool {
        self.next.is_none()
    }

    /// How long until something changes; `None` while nothing will.
    pub fn wait(&self) -> Option<Duration> {
        if self.paused {
            return None;
        }
        let (at, _) = self.next.as_ref()?;
        let mut gap = at.saturating_sub(self.position) as f64 / 1e6;
        if self.skip_idle {
            gap = gap.min(self.idle_limit);
        }
        Some(Duration::from_secs_f64((gap / self.speed).min(86_400.0)))
    }

    /// Time went by. True when the screen may have changed.
    pub fn advance(&mut self, elapsed: Duration) -> Result<bool, RecordError> {
        if self.paused {
            return Ok(false);
        }
        if self.next.is_none() {
            if self.live {
                self.next = self.player.next_event()?;
                self.live = self.player.recording().end().is_none();
            }
            return Ok(false);
        }
        let mut left = elapsed.as_secs_f64() * self.speed;
        let mut changed = false;
        while let Some((at, _)) = &self.next {
            let at = *at;
            let gap = at.saturating_sub(self.position) as f64 / 1e6;
            let shown_gap = if self.skip_idle { gap.min(self.idle_limit) } else { gap };
            if shown_gap > left {
                // Of a shortened pause the same share is over as of the time it is shown.
                let share = if shown_gap > 0.0 { left / shown_gap } else { 0.0 };
                self.position += (gap * share * 1e6) as u64;
                break;
            }
            left -= shown_gap;
            self.show()?;
            changed = true;
        }
        Ok(changed)
    }

    /// Shows the next thing that can be seen.
    pub fn step(&mut self) -> Result<(), RecordError> {
        while let Some((_, event)) = &self.next {
            let seen = matches!(event, Event::Output(_) | Event::Stderr(_) | Event::Resize { .. });
            self.show()?;
            if seen {
                break;
            }
        }
        Ok(())
    }

    /// Goes to a moment, in either direction.
    pub fn seek(&mut self, at_us: u64) -> Result<(), RecordError> {
        let at_us = at_us.min(self.duration());
        self.player.seek(at_us)?;
        self.screen = screen_of(self.player.header());
        self.next = None;
        self.position = 0;
        self.catch_up(at_us)
    }

    /// Goes some seconds back or forth.
    pub fn skip(&mut self, seconds: i64) -> Result<(), RecordError> {
        self.seek(self.position.saturating_add_signed(seconds.saturating_mul(1_000_000)))
    }

    /// Faster or slower, by one step.
    pub fn change_speed(&mut self, faster: bool) {
        let other = if faster { SPEEDS.iter().find(|s| **s > self.speed + 1e-9) } else { SPEEDS.iter().rev().find(|s| **s < self.speed - 1e-9) };
        self.speed = other.copied().unwrap_or(self.speed);
    }

    /// Goes to where `text` (or what was searched last) is shown next. False when it is nowhere later.
    pub fn search(&mut self, text: Option<&str>) -> Result<bool, RecordError> {
        if let Some(text) = text {
            self.searched = text.to_lowercase();
        }
        if self.searched.is_empty() {
            return Ok(false);
        }
        let mut recording = self.source.open()?;
        recording.seek(self.position)?;
        let mut strip = Stripper::default();
        let mut tail = String::new();
        while let Some((at, event)) = recording.next_event()? {
            let bytes = match event {
                Event::Output(b) | Event::Stderr(b) => b,
                Event::Command { text, .. } if at > self.position && text.to_lowercase().contains(&self.searched) => {
                    self.seek(at)?;
                    return Ok(true);
                }
                _ => continue,
            };
            tail.push_str(&strip.push(&bytes).to_lowercase());
            // The line being written counts too: it is on the screen already.
            let line = strip.clone().finish().to_lowercase();
            if at > self.position && (tail.contains(&self.searched) || line.contains(&self.searched)) {
                self.seek(at)?;
                return Ok(true);
            }
            let keep = if at > self.position { self.searched.len().saturating_sub(1).min(SEARCH_TAIL) } else { 0 };
            let cut = tail.ceil_char_boundary(tail.len().saturating_sub(keep));
            tail.drain(..cut);
        }
        Ok(false)
    }

    fn catch_up(&mut self, at_us: u64) -> Result<(), RecordError> {
        self.next = self.player.next_event()?;
        while self.next.as_ref().is_some_and(|(at, _)| *at <= at_us) {
            self.show()?;
        }
        self.position = at_us.min(self.duration());
        Ok(())
    }

    /// Applies the event that is due and fetches the one after it.
    fn show(&mut self) -> Result<(), RecordError> {
        let Some((at, event)) = self.next.take() else { return Ok(()) };
        self.position = self.position.max(at);
        match event {
            Event::Output(b) | Event::Stderr(b) if self.raw_lines => {
                for piece in b.split_inclusive(|c| *c == b'\n') {
                    feed(&mut self.screen, piece.strip_suffix(b"\n").unwrap_or(piece));
                    if piece.ends_with(b"\n") {
                        feed(&mut self.screen, b"\r\n");
                    }
                }
            }
            Event::Output(b) | Event::Stderr(b) => feed(&mut self.screen, &b),
            Event::Resize { cols, rows } if cols > 0 && rows > 0 => self.screen.resize(cols.into(), rows.into()),
            Event::Keyframe(bytes) => {
                let (cols, rows) = self.screen.size();
                self.screen = Screen::new(cols, rows);
                feed(&mut self.screen, &bytes);
            }
            _ => {}
        }
        self.next = self.player.next_event()?;
        if self.next.is_none() {
            self.live = self.player.recording().end().is_none();
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "playback_tests.rs"]
mod tests;
