//! The one path that every session of every protocol takes, on one screen:
//!
//! ```text
//! Session::open(control, granted)   row and audit entry exist before the first byte; takes the grant
//!   .connect(&connector)            dials, checks the host, opens the secret for this grant only
//!   .record(stream)                 no recorder, no run
//!   .run(relay)                     relays until: client, target, idle, time up, revoked, killed, drained, failed
//!   -> Ended                        recording sealed, row closed, audit entry with totals
//! ```
//!
//! Each step takes the one before by value, so none can be left out or done twice. A session that is dropped half-way
//! closes itself as `failed`. Control of a live session goes through its mailbox ([`Registry`]); nothing is shared.

mod bus;
mod commit;
mod control;
pub mod local;
mod registry;
mod supervise;
mod tap;

use std::sync::Arc;

use async_trait::async_trait;
use model::{EndReason, Fault, Id, MessagePair, SessionRow, SessionState};
use policy::{Connect, Granted};
use tokio::sync::mpsc;

pub use bus::{Bus, Command, LocalBus, News, Received, Subscription};
pub use commit::Committer;
pub use control::{
    AccountAsk, AccountChoice, Ask, ControlPlane, End, HostKeyVerdict, Limits, Login, LoginStart, Opening, SeenHostKey, Target, TargetQuery, TargetSecret,
    Totals,
};
pub use registry::Registry;
pub use supervise::{Live, Notice, RelayEnd};
pub use tap::{RecorderGone, Stream, Tap};
pub use vault::Secret;

/// How long the end of a session waits for its row to be written before it goes on in the background.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Makes the link to a target for one grant.
#[async_trait]
pub trait Connector: Send + Sync {
    /// The connected target.
    type Link: Send;
    /// Dials, verifies the host, authenticates as the granted account.
    async fn connect(&self, control: &dyn ControlPlane, granted: &Granted<Connect>) -> Result<Self::Link, ConnectError>;
}

/// A target could not be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// Words for the person and detail for the log.
    pub message: MessagePair,
    /// Whose fault.
    pub fault: Fault,
}

/// Row and audit entry exist.
pub struct Opened(());
/// The target is connected.
pub struct Connected<L> {
    link: L,
}
/// Every byte from here on is recorded.
pub struct Recorded<L> {
    link: L,
    tap: Tap,
    drained: tokio::task::JoinHandle<tap::Drained>,
    failed: tokio::sync::watch::Receiver<bool>,
    counters: Arc<tap::Counters>,
}

/// A session on its way. See the module's picture.
#[must_use = "a session must be run or closed"]
pub struct Session<S> {
    /// Boxed: each step takes the one before by value.
    core: Box<Core>,
    state: S,
}

/// A session that is over and closed.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Exit code of the command or shell, for the client.
    pub exit_code: Option<i64>,
}

/// What all states share.
struct Core {
    control: Arc<dyn ControlPlane>,
    granted: Granted<Connect>,
    row: SessionRow,
    mailbox: mpsc::Receiver<Command>,
    _entry: registry::Entry,
    closed: bool,
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        // INVARIANT: a session that is abandoned half-way (its task was aborted, a panic) still closes its row.
        let (control, row) = (self.control.clone(), self.row.clone());
        let tasks = control.registry().tasks().clone();
        if tokio::runtime::Handle::try_current().is_ok() {
            tasks.spawn(async move { control.close(row, &End::failed(Fault::Rampart, "abandoned"), &control::Totals::default()).await });
        }
    }
}

impl Core {
    async fn close(mut self: Box<Self>, end: End, totals: control::Totals) -> Ended {
        self.closed = true;
        let exit_code = totals.exit_code;
        let (control, row, told) = (self.control.clone(), self.row.clone(), end.clone());
        let closing = self.control.registry().tasks().spawn(async move { control.close(row, &told, &totals).await });
        // Evidence that cannot be written now (a full disk) is tried again for long; the person's connection ends meanwhile.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
        Ended { end, exit_code }
    }
}

impl Session<Opened> {
    /// Writes the row and the audit entry; fails closed.
    ///
    /// # Errors
    /// Words for the person; nothing was opened.
    pub async fn open(control: Arc<dyn ControlPlane>, granted: Granted<Connect>, opening: &Opening) -> Result<Self, MessagePair> {
        if control.registry().is_draining() {
            return Err(MessagePair::new("system.draining", "the node is draining"));
        }
        let row = control.open(&granted, opening).await?;
        let (mailbox, entry) = control.registry().enter(row.id);
        Ok(Self { core: Box::new(Core { control, granted, row, mailbox, _entry: entry, closed: false }), state: Opened(()) })
    }

    /// Connects the target. On failure the session is closed as `connect_failed` and the message is for the person.
    ///
    /// # Errors
    /// What the connector said, or that the grant was withdrawn or the session killed in the meantime.
    pub async fn connect<C: Connector>(mut self, connector: &C) -> Result<Session<Connected<C::Link>>, MessagePair> {
        let Core { control, granted, mailbox, .. } = &mut *self.core;
        let drain = control.registry().drain_token().clone();
        let connected = tokio::select! {
            r = connector.connect(&**control, granted) => r,
            m = supervise::interrupted(granted.watch(), &drain, mailbox) => Err(ConnectError { message: m, fault: Fault::Rampart }),
        };
        match connected {
            Ok(link) => {
                self.core.row.state = SessionState::Connected;
                self.core.row.is_success = true;
                Ok(Session { core: self.core, state: Connected { link } })
            }
            Err(e) => {
                let end = End { reason: EndReason::ConnectFailed, fault: Some(e.fault), detail: format!("{}: {}", e.message.code, e.message.detail) };
                self.core.close(end, control::Totals::default()).await;
                Err(e.message)
            }
        }
    }
}

impl<L: Send> Session<Connected<L>> {
    /// Starts the recorder. Without one the session is closed as `recording_failed`.
    ///
    /// # Errors
    /// Words for the person.
    pub async fn record(mut self, stream: Stream) -> Result<Session<Recorded<L>>, MessagePair> {
        match self.start_recorder(stream).await {
            Ok((tap, drained, failed, counters)) => {
                let Connected { link } = self.state;
                Ok(Session { core: self.core, state: Recorded { link, tap, drained, failed, counters } })
            }
            Err(detail) => {
                let end = End { reason: EndReason::RecordingFailed, fault: Some(Fault::Rampart), detail: detail.clone() };
                self.core.close(end, control::Totals::default()).await;
                Err(MessagePair::new("session.recording_unavailable", detail))
            }
        }
    }

    #[allow(clippy::type_complexity)]
    async fn start_recorder(
        &mut self,
        stream: Stream,
    ) -> Result<(Tap, tokio::task::JoinHandle<tap::Drained>, tokio::sync::watch::Receiver<bool>, Arc<tap::Counters>), String> {
        let core = &mut self.core;
        let start = core.control.clock().now();
        let (cols, rows, term) = match &stream {
            Stream::Terminal { cols, rows, term } | Stream::TerminalExec { cols, rows, term, .. } => (*cols, *rows, term.clone()),
            Stream::Exec(_) => (0, 0, String::new()),
        };
        let row = &core.row;
        let header = recording::Header {
            session: row.id.uuid(),
            org: row.org.to_string(),
            user: row.user.clone(),
            asset: row.asset.clone(),
            account: row.account.clone(),
            protocol: row.protocol.clone(),
            kind: serde_json::to_value(row.kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
            started_at: start.timestamp_micros(),
            cols,
            rows,
            term,
            remote_addr: row.remote_addr.clone(),
            node_id: row.node_id.clone(),
            title: match &stream {
                Stream::Exec(line) | Stream::TerminalExec { line, .. } => line.chars().take(200).collect(),
                Stream::Terminal { .. } => String::new(),
            },
            ..Default::default()
        };
        let recorder = core.control.spool().open(header).await.map_err(|e| e.to_string())?;
        core.row.recording = Some(recorder.path().to_owned());
        core.row.state = SessionState::Running;
        let failed = recorder.failed();
        let counters = tap::Counters::new();
        let describe = tap::Describe { control: core.control.clone(), row: core.row.clone(), start };
        let (tap, drained) = tap::start(recorder, stream, describe, counters.clone());
        Ok((tap, drained, failed, counters))
    }
}

impl<L: Send> Session<Recorded<L>> {
    /// Relays until something ends it, then seals the recording and closes the row.
    pub async fn run<F, R>(self, relay: F) -> Ended
    where
        F: FnOnce(L, Live) -> R + Send,
        R: Future<Output = RelayEnd> + Send,
    {
        supervise::run(self.core, self.state, relay).await
    }
}

impl<S> Session<S> {
    /// Its id.
    pub fn id(&self) -> Id<SessionRow> {
        self.core.row.id
    }
    /// What is allowed in it.
    pub fn actions(&self) -> model::Actions {
        self.core.granted.actions()
    }
    /// Closes it before it ran, for example because the person left during the connect.
    pub async fn abandon(self, end: End) -> Ended {
        self.core.close(end, control::Totals::default()).await
    }
}
