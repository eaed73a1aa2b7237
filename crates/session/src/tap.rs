//! The tap: what a relay hands over for the record, off the relay's own path.
//!
//! A relay calls [`Tap::output`], [`Tap::input`], … in the order things happened and waits only when the recorder is
//! behind (back-pressure, never loss). One task a session owns the recorder and, for terminals, the tracker that
//! recognises commands and hides what was typed unseen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use model::{Command, Id, RiskLevel, SessionRow, Time};
use recording::{Event, Recorder};
use terminal::{Tracked, Tracker};
use tokio::sync::mpsc;

use crate::control::ControlPlane;

/// Messages waiting for the recorder. With 32 KiB packets a stalled disk holds at most 1 MiB a session.
const QUEUE: usize = 32;
/// Output of an exec command kept with its record.
const OUTPUT_KEPT: usize = 100 * 1024;

/// The recorder is gone; the session must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recorder stopped")]
pub struct RecorderGone;

enum Message {
    Output(u64, Bytes),
    Stderr(u64, Bytes),
    Input(u64, Bytes),
    Resize(u64, u16, u16),
    Exit(u64, Option<i64>, Option<String>),
    Note(u64, &'static str, serde_json::Value),
}

/// Counters a session's supervisor and its closing row read.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) commands: AtomicU64,
    /// Microseconds after the start when the person last typed.
    pub(crate) last_input: AtomicU64,
    start: Instant,
}

impl Counters {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            last_input: AtomicU64::new(0),
            start: Instant::now(),
        })
    }
    fn at(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The relay's end. Cheap to clone: one for each direction.
#[derive(Clone)]
pub struct Tap {
    tx: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl Tap {
    /// The target sent this to the person.
    ///
    /// # Errors
    /// [`RecorderGone`]: stop relaying at once.
    pub async fn output(&self, bytes: Bytes) -> Result<(), RecorderGone> {
        self.counters.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.send(Message::Output(self.counters.at(), bytes)).await
    }
    /// The target sent this on standard error.
    ///
    /// # Errors
    /// [`RecorderGone`]: stop relaying at once.
    pub async fn stderr(&self, bytes: Bytes) -> Result<(), RecorderGone> {
        self.counters.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.send(Message::Stderr(self.counters.at(), bytes)).await
    }
    /// The person sent this. Call before it goes to the target, so that the record knows the question before the answer.
    ///
    /// # Errors
    /// [`RecorderGone`]: do not relay it.
    pub async fn input(&self, bytes: Bytes) -> Result<(), RecorderGone> {
        let at = self.counters.at();
        self.counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.counters.last_input.store(at, Ordering::Relaxed);
        self.send(Message::Input(at, bytes)).await
    }
    /// The window changed.
    ///
    /// # Errors
    /// [`RecorderGone`].
    pub async fn resize(&self, cols: u16, rows: u16) -> Result<(), RecorderGone> {
        self.send(Message::Resize(self.counters.at(), cols, rows)).await
    }
    /// The command or shell ended with this code, or by this signal (name without `SIG`).
    ///
    /// # Errors
    /// [`RecorderGone`].
    pub async fn exit(&self, code: Option<i64>, signal: Option<String>) -> Result<(), RecorderGone> {
        self.send(Message::Exit(self.counters.at(), code, signal)).await
    }
    /// Something worth a line in the timeline.
    ///
    /// # Errors
    /// [`RecorderGone`].
    pub async fn note(&self, kind: &'static str, data: serde_json::Value) -> Result<(), RecorderGone> {
        self.send(Message::Note(self.counters.at(), kind, data)).await
    }
    /// The person is there although nothing is typed (file transfer, keep-alive of a tunnel).
    pub fn active(&self) {
        self.counters.last_input.store(self.counters.at(), Ordering::Relaxed);
    }
    async fn send(&self, m: Message) -> Result<(), RecorderGone> {
        self.tx.send(m).await.map_err(|_| RecorderGone)
    }
}

/// What kind of stream is tapped.
#[derive(Debug, Clone)]
pub enum Stream {
    /// A terminal of this size: commands are read off the screen.
    Terminal {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
        /// `TERM`, as the person's client named it.
        term: String,
    },
    /// One command with a terminal (`ssh -t host command`): its line is a command record, and what it may start (a shell,
    /// an editor) is read off the screen.
    TerminalExec {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
        /// `TERM`, as the person's client named it.
        term: String,
        /// The line.
        line: String,
    },
    /// One command without a terminal: its line is the command record.
    Exec(String),
}

/// What the tap task needs to write command records.
pub(crate) struct Describe {
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) row: SessionRow,
    pub(crate) start: Time,
}

/// What is left when the tap is done.
pub(crate) struct Drained {
    pub(crate) recorder: Recorder,
    pub(crate) result: Result<(), String>,
    /// Commands that wait to be stored with the closing row.
    pub(crate) unstored: Vec<Command>,
}

/// Starts the tap task. It ends when every [`Tap`] is dropped and gives the recorder back for closing.
pub(crate) fn start(recorder: Recorder, stream: Stream, describe: Describe, counters: Arc<Counters>) -> (Tap, tokio::task::JoinHandle<Drained>) {
    let (tx, rx) = mpsc::channel(QUEUE);
    let tap = Tap { tx, counters: counters.clone() };
    let describe_tasks = describe.control.registry().tasks().clone();
    let task = Task { recorder, describe, counters, pending: Vec::new() };
    let handle = describe_tasks.spawn(async move {
        match stream {
            Stream::Terminal { cols, rows, .. } => task.terminal(rx, Tracker::new(cols, rows), None).await,
            Stream::TerminalExec { cols, rows, line, .. } => task.terminal(rx, Tracker::new(cols, rows), Some(line)).await,
            Stream::Exec(line) => task.exec(rx, line).await,
        }
    });
    (tap, handle)
}

struct Task {
    recorder: Recorder,
    describe: Describe,
    counters: Arc<Counters>,
    pending: Vec<Command>,
}

impl Task {
    async fn terminal(mut self, mut rx: mpsc::Receiver<Message>, mut tracker: Tracker, line: Option<String>) -> Drained {
        let given = match line {
            Some(line) => self.command(self.counters.at(), line, String::new(), None).await,
            None => Ok(()),
        };
        let result = match given {
            Ok(()) => self.follow(&mut rx, &mut tracker).await,
            broken => broken,
        };
        // Whatever is still queued belongs to the record, also after an end that the relay decided.
        drop(rx);
        let at = self.counters.at();
        tracker.finish(at);
        let tail = self.take(&mut tracker).await;
        Drained { recorder: self.recorder, result: result.and(tail), unstored: self.pending }
    }

    async fn follow(&mut self, rx: &mut mpsc::Receiver<Message>, tracker: &mut Tracker) -> Result<(), String> {
        let mut unsettled = !self.pending.is_empty();
        loop {
            // The timer runs only while the tracker holds something back: an idle session costs no wake-ups.
            let message = if unsettled {
                match tokio::time::timeout(std::time::Duration::from_millis(500), rx.recv()).await {
                    Ok(m) => m,
                    Err(_) => {
                        tracker.tick(self.counters.at());
                        self.take(tracker).await?;
                        self.store_commands().await?;
                        unsettled = tracker.pending();
                        continue;
                    }
                }
            } else {
                rx.recv().await
            };
            let Some(message) = message else { return Ok(()) };
            match message {
                Message::Output(at, b) | Message::Stderr(at, b) => {
                    tracker.output(at, &b);
                    self.take(tracker).await?;
                    self.push(at, Event::Output(b)).await?;
                    if self.recorder.wants_keyframe() {
                        self.push(at, Event::Keyframe(tracker.keyframe())).await?;
                    }
                }
                Message::Input(at, b) => {
                    tracker.input(at, &b);
                    self.take(tracker).await?;
                }
                Message::Resize(at, cols, rows) => {
                    tracker.resize(cols, rows);
                    self.push(at, Event::Resize { cols, rows }).await?;
                }
                Message::Exit(at, code, signal) => self.push(at, Event::Exit { code, signal }).await?,
                Message::Note(at, kind, data) => self.push(at, Event::Note { kind: kind.to_owned(), data }).await?,
            }
            if self.pending.len() >= 16 {
                self.store_commands().await?;
            }
            unsettled = tracker.pending() || !self.pending.is_empty();
        }
    }

    /// Moves what the tracker has settled into the recording.
    async fn take(&mut self, tracker: &mut Tracker) -> Result<(), String> {
        let settled: Vec<Tracked> = tracker.drain().collect();
        for t in settled {
            match t {
                Tracked::Input { at_us, bytes } => self.push(at_us, Event::Input(bytes.into())).await?,
                Tracked::CommandStarted { .. } => {}
                Tracked::Command { at_us, text, output, duration_us, .. } => self.command(at_us, text, output, duration_us).await?,
            }
        }
        Ok(())
    }

    async fn exec(mut self, mut rx: mpsc::Receiver<Message>, line: String) -> Drained {
        let started = self.counters.at();
        let mut head: Vec<u8> = Vec::new();
        let result = loop {
            let Some(message) = rx.recv().await else { break Ok(()) };
            let (at, event) = match message {
                Message::Output(at, b) => (at, keep(&mut head, b, Event::Output)),
                Message::Stderr(at, b) => (at, keep(&mut head, b, Event::Stderr)),
                Message::Input(at, b) => (at, Event::Input(b)),
                Message::Resize(at, cols, rows) => (at, Event::Resize { cols, rows }),
                Message::Exit(at, code, signal) => (at, Event::Exit { code, signal }),
                Message::Note(at, kind, data) => (at, Event::Note { kind: kind.to_owned(), data }),
            };
            if let Err(e) = self.push(at, event).await {
                break Err(e);
            }
        };
        drop(rx);
        let at = self.counters.at();
        let kept = self.command(started, line, terminal::clean(&head), Some(at.saturating_sub(started))).await;
        Drained { recorder: self.recorder, result: result.and(kept), unstored: self.pending }
    }

    async fn push(&mut self, at: u64, event: Event) -> Result<(), String> {
        self.recorder.push(at, event).await.map_err(|e| e.to_string())
    }

    async fn command(&mut self, at_us: u64, text: String, output: String, duration_us: Option<u64>) -> Result<(), String> {
        let row = &self.describe.row;
        let micros = i64::try_from(at_us).unwrap_or(i64::MAX);
        let id = Id::generate();
        let command = Command {
            id,
            org: row.org,
            session: row.id,
            user: row.user.clone(),
            asset: row.asset.clone(),
            account: row.account.clone(),
            remote_addr: row.remote_addr.clone(),
            input: text.clone(),
            output,
            risk_level: RiskLevel::Accept,
            timestamp: self.describe.start + chrono::TimeDelta::microseconds(micros),
            offset_ms: micros / 1000,
            duration_ms: duration_us.map(|d| i64::try_from(d / 1000).unwrap_or(i64::MAX)),
        };
        self.counters.commands.fetch_add(1, Ordering::Relaxed);
        self.push(at_us, Event::Command { id: id.uuid(), text, entered_us: at_us }).await?;
        self.pending.push(command);
        Ok(())
    }

    async fn store_commands(&mut self) -> Result<(), String> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.pending);
        self.describe.control.commands(batch).await.map_err(|m| m.detail)
    }
}

fn keep(head: &mut Vec<u8>, bytes: Bytes, event: fn(Bytes) -> Event) -> Event {
    let room = OUTPUT_KEPT.saturating_sub(head.len());
    head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    event(bytes)
}
