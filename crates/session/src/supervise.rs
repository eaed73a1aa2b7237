//! Watching over a running session: withdrawal, kill, lock, idle and maximum time, drain, a failing recorder.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use model::{EndReason, Fault, Id, MessagePair, SessionRow};
use policy::Withdrawal;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Core, Ended, Recorded, Tap,
    bus::Command,
    control::{End, Limits, Totals},
    tap::Counters,
};

/// A session that runs for so long is stored as running; a shorter one goes from opened to closed, for each write is work
/// that hundreds of short commands at once would wait for.
const SETTLED: Duration = Duration::from_millis(300);
/// How long a relay may take to tell its person why the session ends.
const FAREWELL: Duration = Duration::from_millis(800);

/// What a relay is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Show this line.
    Say(MessagePair),
    /// Ignore (`true`) or take again (`false`) the person's input, and say so.
    Lock(bool, MessagePair),
    /// Show this line and finish; the session is over in any case.
    Stop(MessagePair),
}

/// What a relay gets besides its link.
pub struct Live {
    /// Which session.
    pub id: Id<SessionRow>,
    /// Where everything that flows must be handed first.
    pub tap: Tap,
    /// Orders from outside. A relay must listen.
    pub notices: mpsc::Receiver<Notice>,
}

/// How a relay finished by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayEnd {
    /// Why.
    pub end: End,
    /// Exit code, if the target gave one.
    pub exit_code: Option<i64>,
}

fn withdrawn(why: Withdrawal) -> MessagePair {
    match why {
        Withdrawal::Changed => MessagePair::new("session.revoked", "the grant was withdrawn"),
        Withdrawal::Expired => MessagePair::new("session.permission_expired", "the grant expired"),
    }
}

/// Ready when the grant is withdrawn; never for a grant without a watch.
async fn withdrawal(watch: &mut Option<tokio::sync::watch::Receiver<Option<Withdrawal>>>) -> Withdrawal {
    let Some(rx) = watch else { return pending().await };
    loop {
        if let Some(why) = *rx.borrow_and_update() {
            return why;
        }
        if rx.changed().await.is_err() {
            // INVARIANT: nobody watches the rules any more, so the grant cannot be trusted any more.
            return Withdrawal::Changed;
        }
    }
}

/// Ready when the session must not even connect any more.
pub(crate) async fn interrupted(
    mut watch: Option<tokio::sync::watch::Receiver<Option<Withdrawal>>>,
    drain: &CancellationToken,
    mailbox: &mut mpsc::Receiver<Command>,
) -> MessagePair {
    loop {
        tokio::select! {
            why = withdrawal(&mut watch) => return withdrawn(why),
            () = drain.cancelled() => return MessagePair::new("session.drained", "the node is draining"),
            c = mailbox.recv() => match c {
                Some(Command::Kill(by)) => return MessagePair::new("session.killed", "killed while connecting").with("by", by),
                Some(_) => {}
                None => return pending().await,
            },
        }
    }
}

/// The two clocks of a session.
struct Timers {
    limits: Limits,
    started: Instant,
    expires: Option<Instant>,
    warned_idle: bool,
    warned_end: bool,
}

enum Due {
    Nothing,
    Say(MessagePair),
    End(EndReason, MessagePair),
}

impl Timers {
    fn new(core: &Core) -> Self {
        let now = core.control.clock().now();
        let expires = core.granted.expires().map(|e| Instant::now() + (e - now).to_std().unwrap_or_default());
        Self { limits: core.control.limits(&core.granted), started: Instant::now(), expires, warned_idle: false, warned_end: false }
    }
    fn idle_end(&self, counters: &Counters) -> Instant {
        self.started + Duration::from_micros(counters.last_input.load(Ordering::Relaxed)) + self.limits.idle
    }
    /// When the permission's own end comes before the longest time, it is the end.
    fn end(&self) -> (Instant, bool) {
        let max = self.started + self.limits.max;
        match self.expires {
            Some(e) if e < max => (e, true),
            _ => (max, false),
        }
    }
    fn next(&self, counters: &Counters) -> Instant {
        let before = |at: Instant, warned: bool| if warned { at } else { at.checked_sub(self.limits.warn).unwrap_or(at) };
        before(self.idle_end(counters), self.warned_idle).min(before(self.end().0, self.warned_end)).max(Instant::now() + Duration::from_millis(5))
    }
    fn due(&mut self, counters: &Counters) -> Due {
        let now = Instant::now();
        let minutes = |d: Duration| (d.as_secs().div_ceil(60)).to_string();
        let left = |at: Instant| at.saturating_duration_since(now).as_secs().max(1).to_string();
        let (end, by_permission) = self.end();
        let idle = self.idle_end(counters);
        if now >= end {
            return if by_permission {
                Due::End(EndReason::Revoked, withdrawn(Withdrawal::Expired))
            } else {
                Due::End(EndReason::MaxTime, MessagePair::new("session.max_time", "maximum time").with("minutes", minutes(self.limits.max)))
            };
        }
        if now >= idle {
            return Due::End(EndReason::Idle, MessagePair::new("session.idle", "idle").with("minutes", minutes(self.limits.idle)));
        }
        if !self.warned_end && now + self.limits.warn >= end {
            self.warned_end = true;
            return Due::Say(MessagePair::new("session.time_warning", "time is nearly up").with("seconds", left(end)));
        }
        let near_idle = now + self.limits.warn >= idle;
        if !self.warned_idle && near_idle {
            self.warned_idle = true;
            return Due::Say(MessagePair::new("session.idle_warning", "idle").with("seconds", left(idle)));
        }
        if !near_idle {
            self.warned_idle = false;
        }
        Due::Nothing
    }
}

/// Runs the relay and whatever may end it, then closes.
pub(crate) async fn run<L, F, R>(mut core: Box<Core>, state: Recorded<L>, relay: F) -> Ended
where
    F: FnOnce(L, Live) -> R + Send,
    R: Future<Output = RelayEnd> + Send,
{
    let Recorded { link, tap, drained, failed, counters } = state;
    let (notices, rx) = mpsc::channel(8);
    // boxed: it is handed on several times, and each time would hold room for it
    let relay = Box::pin(relay(link, Live { id: core.row.id, tap, notices: rx }));
    let relayed = watch_over(&mut core, &counters, failed, &notices, relay).await;

    // The relay is gone and with it every tap: the tap task empties its queue and hands the recorder back.
    let (mut end, exit_code) = (relayed.end, relayed.exit_code);
    let mut totals = totals_of(&counters, exit_code);
    let recording = match drained.await {
        Ok(mut drained) => {
            totals = totals_of(&counters, exit_code);
            totals.unstored = std::mem::take(&mut drained.unstored);
            finish_recording(drained, &end, &totals).await
        }
        Err(e) => Err(format!("tap task: {e}")),
    };
    match recording {
        Ok(finished) => {
            core.row.recording_hash = Some(finished.hash);
            core.row.recording_size = i64::try_from(finished.size).unwrap_or(i64::MAX);
        }
        Err(detail) => end = End { reason: EndReason::RecordingFailed, fault: Some(Fault::Rampart), detail },
    }
    core.close(end, totals).await
}

fn totals_of(counters: &Counters, exit_code: Option<i64>) -> Totals {
    Totals {
        bytes_in: counters.bytes_in.load(Ordering::Relaxed),
        bytes_out: counters.bytes_out.load(Ordering::Relaxed),
        commands: counters.commands.load(Ordering::Relaxed),
        exit_code,
        unstored: Vec::new(),
    }
}

async fn finish_recording(drained: crate::tap::Drained, end: &End, totals: &Totals) -> Result<recording::Finished, String> {
    let summary = recording::EndSummary {
        reason: end.reason.as_str().to_owned(),
        exit_code: totals.exit_code,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        commands: totals.commands,
        torn_bytes: 0,
    };
    let finished = drained.recorder.close(summary).await.map_err(|e| e.to_string());
    drained.result.and(finished)
}

async fn watch_over<R>(
    core: &mut Core,
    counters: &Arc<Counters>,
    mut failed: tokio::sync::watch::Receiver<bool>,
    notices: &mpsc::Sender<Notice>,
    relay: R,
) -> RelayEnd
where
    R: Future<Output = RelayEnd> + Send,
{
    tokio::pin!(relay);
    let mut unsettled = Some(Box::pin(settle(core.control.clone(), core.row.clone())));
    let mut grant = core.granted.watch();
    let drain = core.control.registry().drain_token().clone();
    let mut timers = Timers::new(core);
    let timer = tokio::time::sleep_until(timers.next(counters));
    tokio::pin!(timer);
    let (reason, message) = loop {
        tokio::select! {
            ended = &mut relay => {
                // A recorder that failed makes the relay stop; name the cause, not the symptom.
                return if *failed.borrow() { RelayEnd { end: End { reason: EndReason::RecordingFailed, fault: Some(Fault::Rampart), detail: ended.end.detail }, ..ended } } else { ended };
            }
            why = withdrawal(&mut grant) => break (EndReason::Revoked, withdrawn(why)),
            () = drain.cancelled() => break (EndReason::Drained, MessagePair::new("session.drained", "the node is draining")),
            stored = async { match &mut unsettled { Some(storing) => storing.await, None => pending().await } } => {
                unsettled = None;
                if let Err(message) = stored {
                    break (EndReason::RecordingFailed, message);
                }
            }
            () = recorder_failed(&mut failed) => break (EndReason::RecordingFailed, MessagePair::new("session.recording_unavailable", "the recorder failed")),
            () = &mut timer => {
                match timers.due(counters) {
                    Due::End(reason, message) => break (reason, message),
                    Due::Say(m) => { let _ = notices.try_send(Notice::Say(m)); }
                    Due::Nothing => {}
                }
                timer.as_mut().reset(timers.next(counters));
            }
            Some(command) = core.mailbox.recv() => match command {
                Command::Kill(by) => break (EndReason::Killed, MessagePair::new("session.killed", format!("killed by {by}")).with("by", by)),
                Command::Lock(by) => { let _ = notices.try_send(Notice::Lock(true, MessagePair::new("session.locked", "locked").with("by", by))); }
                Command::Unlock => { let _ = notices.try_send(Notice::Lock(false, MessagePair::new("session.unlocked", "unlocked"))); }
                Command::Draining(seconds) => { let _ = notices.try_send(Notice::Say(MessagePair::new("session.drain_warning", "the node is draining").with("seconds", seconds.to_string()))); }
                Command::Say(text) => { let _ = notices.try_send(Notice::Say(MessagePair::new("session.message", "message").with("text", text))); }
            },
        }
    };
    let fault = (reason == EndReason::RecordingFailed).then_some(Fault::Rampart);
    let end = End { reason, fault, detail: message.detail.clone() };
    let _ = notices.try_send(Notice::Stop(message));
    let farewell = tokio::time::timeout(FAREWELL, &mut relay).await;
    RelayEnd { end, exit_code: farewell.ok().and_then(|e| e.exit_code) }
}

/// Stores, a moment later, that the session runs and where its recording lies.
async fn settle(control: Arc<dyn crate::ControlPlane>, row: SessionRow) -> Result<(), MessagePair> {
    tokio::time::sleep(SETTLED).await;
    control.advance(&row).await
}

async fn recorder_failed(failed: &mut tokio::sync::watch::Receiver<bool>) {
    if failed.wait_for(|f| *f).await.is_err() {
        pending::<()>().await;
    }
}
