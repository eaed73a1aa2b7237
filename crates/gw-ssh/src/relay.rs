//! Moving bytes between a person and a target while the session runs.
//!
//! Everything is handed to the tap before it is passed on. Two directions run side by side in one task; nothing in it
//! queues without bound, and the library's own loops are never made to wait for the other leg: what either side sent
//! waits in a [`Backlog`].

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use model::{EndReason, Fault, MessagePair};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client};
use session::{End, Live, Notice, RecorderGone, RelayEnd, Tap};
use tokio::sync::mpsc;

use crate::{
    backlog::{Backlog, Item},
    inbox::{Event, PtyRequest, join_bytes},
    leg::TargetLink,
    person::{NO_SESSION, Person},
};

/// How long a relay waits to be told why the recorder is gone.
const RECORDER_PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of the output waits for the exit status.
const STATUS_PATIENCE: Duration = Duration::from_secs(1);
/// How long the last words may take on a client that does not read.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is asked of the target once the session runs.
pub struct Start {
    /// A command line; a shell without.
    pub command: Option<Bytes>,
    /// Tell the person that the session is recorded.
    pub notice: bool,
    /// The channel goes on after the session (the menu): nothing that ends it is passed on.
    pub keep_open: bool,
}

/// How the target's side ended.
enum TargetEnd {
    /// It closed the channel.
    Closed,
    /// The connection broke.
    Lost,
    /// It refused to start the shell or command.
    Refused,
    /// The tap is gone.
    Recorder,
}

struct Flow<'a> {
    person: &'a Person,
    keep_open: bool,
    locked: AtomicBool,
    tap: &'a Tap,
}

/// Relays until somebody ends it. `false` in the second place: the channel was not closed yet.
pub async fn relay(link: TargetLink, live: Live, person: &Person, start: Start) -> (RelayEnd, bool) {
    let TargetLink { transport, channel } = link;
    let Live { id, tap, mut notices } = live;
    let (from_target, to_target) = channel.split();
    let backlog = Backlog::new(transport.throttle.clone());
    let flow = Flow { person, keep_open: start.keep_open, locked: AtomicBool::new(false), tap: &tap };
    let mut exit_code = None;
    let begun = begin(&to_target, person, &start).await;
    if start.notice {
        let line = messages::text(person.lang, "session.notice", &[]);
        let _ = person.out.data_bytes(Bytes::from(format!("\x1b[2m{line}\x1b[0m\r\n"))).await;
    }
    let ended = tokio::select! {
        biased;
        message = flow.notices(&mut notices) => {
            person.say(&message).await;
            tracing::debug!(session = %id, code = message.code, "stopped");
            // Whoever stopped it knows why; the reason here is not used.
            return (RelayEnd { end: End::of(EndReason::Client), exit_code }, false);
        }
        () = person.inbox.gone() => return (RelayEnd { end: End::of(EndReason::Client), exit_code }, true),
        () = pump(from_target, &backlog) => TargetEnd::Lost,
        ended = flow.down(&backlog, begun, &mut exit_code) => ended,
        RecorderGone = flow.up(&to_target) => TargetEnd::Recorder,
    };
    let end = match ended {
        TargetEnd::Closed => End::of(EndReason::Target),
        TargetEnd::Lost => End { reason: EndReason::Target, fault: Some(Fault::Target), detail: "the connection to the target was lost".into() },
        TargetEnd::Refused => End { reason: EndReason::Target, fault: Some(Fault::Target), detail: "the target refused to start the shell or command".into() },
        TargetEnd::Recorder => {
            // The supervisor says why; if it does not, end all the same.
            if let Ok(message) = tokio::time::timeout(RECORDER_PATIENCE, flow.notices(&mut notices)).await {
                person.say(&message).await;
            }
            let end = End { reason: EndReason::RecordingFailed, fault: Some(Fault::Rampart), detail: "the tap is gone".into() };
            return (RelayEnd { end, exit_code }, false);
        }
    };
    let closed = flow.last_words(&ended, exit_code).await;
    drop(transport);
    (RelayEnd { end, exit_code }, closed)
}

/// What the target told; `None` at the end.
struct Told(Option<ChannelMsg>);

impl Item for Told {
    fn weight(&self) -> usize {
        match &self.0 {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => data.len(),
            _ => 0,
        }
    }
    fn join(&mut self, next: Self) -> Option<Self> {
        match (&mut self.0, next.0) {
            (Some(ChannelMsg::Data { data: first }), Some(ChannelMsg::Data { data })) => {
                join_bytes(first, data).map(|data| Told(Some(ChannelMsg::Data { data })))
            }
            (_, next) => Some(Told(next)),
        }
    }
}

/// Empties the library's queue, for ever.
async fn pump(mut from: ChannelReadHalf, to: &Backlog<Told>) {
    while let Some(message) = from.wait().await {
        if !matches!(message, ChannelMsg::WindowAdjusted { .. }) {
            to.give(Told(Some(message))).await;
        }
    }
    to.give(Told(None)).await;
    std::future::pending().await
}

/// Replies that the target owes, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    Pty,
    Start,
}

/// Everything the target is asked goes out in one go; its answers are looked at as they come.
async fn begin(to: &ChannelWriteHalf<client::Msg>, person: &Person, start: &Start) -> Result<VecDeque<Owed>, russh::Error> {
    let mut owed = VecDeque::with_capacity(2);
    for (name, value) in person.environ.iter() {
        to.set_env(false, name, value).await?;
    }
    if let Some(PtyRequest { term, size, modes }) = &person.pty {
        to.request_pty(true, term, size.cols, size.rows, size.wide, size.high, modes).await?;
        owed.push_back(Owed::Pty);
    }
    match &start.command {
        Some(line) => to.exec(true, line.to_vec()).await?,
        None => to.request_shell(true).await?,
    }
    owed.push_back(Owed::Start);
    Ok(owed)
}

impl Flow<'_> {
    /// Target to person.
    async fn down(&self, from: &Backlog<Told>, begun: Result<VecDeque<Owed>, russh::Error>, exit_code: &mut Option<i64>) -> TargetEnd {
        let Ok(mut owed) = begun else { return TargetEnd::Lost };
        let (tap, out) = (self.tap, &self.person.out);
        let bytes = metrics::counter!("rampart_ssh_bytes_total", "direction" => "out");
        // INVARIANT: the end of the output reaches the person after the exit status, if one comes soon. A client that has
        // sent its own end closes the channel as soon as it sees ours, and the status would find nobody.
        let mut held_eof: Option<tokio::time::Instant> = None;
        loop {
            let told = match held_eof {
                None => from.take().await,
                Some(until) => match tokio::time::timeout_at(until, from.take()).await {
                    Ok(told) => told,
                    Err(_) => {
                        held_eof = None;
                        let _ = out.eof().await;
                        continue;
                    }
                },
            };
            let Told(Some(message)) = told else { break };
            match message {
                ChannelMsg::Data { data } => {
                    bytes.increment(data.len() as u64);
                    if tap.output(data.clone()).await.is_err() {
                        return TargetEnd::Recorder;
                    }
                    if out.data_bytes(data).await.is_err() {
                        // The person is gone; that is noticed elsewhere.
                        std::future::pending::<()>().await;
                    }
                }
                ChannelMsg::ExtendedData { data, ext: 1 } => {
                    bytes.increment(data.len() as u64);
                    if tap.stderr(data.clone()).await.is_err() {
                        return TargetEnd::Recorder;
                    }
                    let _ = out.extended_data_bytes(1, data).await;
                }
                ChannelMsg::Eof if !self.keep_open => {
                    if exit_code.is_some() {
                        let _ = out.eof().await;
                    } else {
                        held_eof = Some(tokio::time::Instant::now() + STATUS_PATIENCE);
                    }
                }
                ChannelMsg::ExitStatus { exit_status } => {
                    *exit_code = Some(i64::from(exit_status));
                    let _ = tap.exit(*exit_code, None).await;
                    if !self.keep_open {
                        let _ = out.exit_status(exit_status).await;
                        if held_eof.take().is_some() {
                            let _ = out.eof().await;
                        }
                    }
                }
                ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, .. } => {
                    *exit_code = Some(128 + signal_number(&signal_name));
                    let _ = tap.exit(*exit_code, Some(signal_name_of(&signal_name))).await;
                    if !self.keep_open {
                        self.person.signalled(signal_name, core_dumped, crate::person::visible(&error_message)).await;
                        if held_eof.take().is_some() {
                            let _ = out.eof().await;
                        }
                    }
                }
                ChannelMsg::XonXoff { client_can_do } if !self.keep_open => {
                    let _ = self.person.handle.xon_xoff_request(out.id(), client_can_do).await;
                }
                ChannelMsg::Success => {
                    owed.pop_front();
                }
                // A session without the terminal it asked for still runs, as with ssh itself.
                ChannelMsg::Failure if owed.pop_front() == Some(Owed::Start) => return TargetEnd::Refused,
                ChannelMsg::Close => return TargetEnd::Closed,
                _ => {}
            }
        }
        if exit_code.is_some() { TargetEnd::Closed } else { TargetEnd::Lost }
    }

    /// Person to target; ends only when the tap is gone.
    async fn up(&self, to: &ChannelWriteHalf<client::Msg>) -> RecorderGone {
        let bytes = metrics::counter!("rampart_ssh_bytes_total", "direction" => "in");
        loop {
            match self.person.inbox.take().await {
                Event::Data(data) => {
                    if self.locked.load(Ordering::Relaxed) {
                        continue;
                    }
                    bytes.increment(data.len() as u64);
                    if let Err(gone) = self.tap.input(data.clone()).await {
                        return gone;
                    }
                    // A closed channel is noticed in the other direction.
                    let _ = to.data_bytes(data).await;
                }
                Event::Eof => {
                    let _ = to.eof().await;
                }
                Event::Resize(size) => {
                    let (cols, rows) = size.screen();
                    if let Err(gone) = self.tap.resize(cols, rows).await {
                        return gone;
                    }
                    let _ = to.window_change(size.cols, size.rows, size.wide, size.high).await;
                }
                Event::Signal(signal) => {
                    let _ = to.signal(signal).await;
                }
                Event::Pty(_) | Event::Env(..) | Event::Shell | Event::Exec(_) | Event::Subsystem(_) | Event::Refused(_) => {}
            }
        }
    }

    /// Shows what the session is told; ready with the words of the end.
    async fn notices(&self, notices: &mut mpsc::Receiver<Notice>) -> MessagePair {
        loop {
            match notices.recv().await {
                Some(Notice::Say(message)) => {
                    let _ = self.tap.note("notice", serde_json::json!({ "code": message.code })).await;
                    self.person.say(&message).await;
                }
                Some(Notice::Lock(on, message)) => {
                    self.locked.store(on, Ordering::Relaxed);
                    let _ = self.tap.note("notice", serde_json::json!({ "code": message.code })).await;
                    self.person.say(&message).await;
                }
                Some(Notice::Stop(message)) => return message,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the person's channel as the target ended; whether it is closed now.
    async fn last_words(&self, ended: &TargetEnd, exit_code: Option<i64>) -> bool {
        if matches!(ended, TargetEnd::Lost | TargetEnd::Refused) {
            self.person.say(&MessagePair::new("session.target_lost", "")).await;
        }
        if self.keep_open {
            return false;
        }
        let out = &self.person.out;
        let closing = async {
            if exit_code.is_none() && !matches!(ended, TargetEnd::Closed) {
                let _ = out.exit_status(NO_SESSION).await;
            }
            out.close().await.is_ok()
        };
        tokio::time::timeout(LAST_WORDS, closing).await.unwrap_or(false)
    }
}

/// The name of a signal without `SIG`, as the protocol writes it.
fn signal_name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => crate::person::visible(name),
        known => format!("{known:?}"),
    }
}

/// The number of a signal on Linux, for exit codes as shells count them.
fn signal_number(signal: &Sig) -> i64 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 127,
    }
}
