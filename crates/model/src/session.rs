//! Sessions as rows, and the transitions of their state (jb §5.13).

use serde::{Deserialize, Serialize};

use crate::{Account, Asset, Fault, Id, Org, Time, User};

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// An interactive shell.
    Normal,
    /// One command (`ssh host command`).
    Command,
    /// File transfer.
    Sftp,
    /// A forwarded port.
    Tunnel,
}

/// The door a person came through; the wire words are JumpServer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoginFrom {
    /// SSH client.
    #[serde(rename = "ST")]
    Ssh,
    /// Web terminal.
    #[serde(rename = "WT")]
    Web,
    /// RDP client.
    #[serde(rename = "RT")]
    Rdp,
    /// Database client.
    #[serde(rename = "DT")]
    Db,
    /// VNC client.
    #[serde(rename = "VT")]
    Vnc,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The person left.
    Client,
    /// The target closed.
    Target,
    /// Nobody typed for too long.
    Idle,
    /// The longest allowed time is over.
    MaxTime,
    /// The permission was withdrawn or expired.
    Revoked,
    /// An administrator ended it.
    Killed,
    /// The node is shutting down.
    Drained,
    /// The recorder could not keep the evidence.
    RecordingFailed,
    /// The connection to the target was never made.
    ConnectFailed,
    /// The node died; found at the next start.
    Interrupted,
    /// Something else broke.
    Failed,
}

impl EndReason {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Client => "client",
            EndReason::Target => "target",
            EndReason::Idle => "idle",
            EndReason::MaxTime => "max_time",
            EndReason::Revoked => "revoked",
            EndReason::Killed => "killed",
            EndReason::Drained => "drained",
            EndReason::RecordingFailed => "recording_failed",
            EndReason::ConnectFailed => "connect_failed",
            EndReason::Interrupted => "interrupted",
            EndReason::Failed => "failed",
        }
    }
}

/// Where a session is in its life: opened → connected → recorded (running) → closed, or closed from anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Row and audit entry exist, no byte has flowed.
    Opened,
    /// The target answered and accepted the account.
    Connected,
    /// Recording and relaying.
    Running,
    /// Over; `end_reason` says why.
    Closed,
}

impl SessionState {
    /// Every state, in the order of a session's life.
    pub const ALL: [SessionState; 4] = [SessionState::Opened, SessionState::Connected, SessionState::Running, SessionState::Closed];

    /// Whether the row may go from here to `next`. A row may skip `connected`: a node writes once for "connected and
    /// recording", because each write is time the person waits.
    pub fn may_become(self, next: SessionState) -> bool {
        use SessionState::{Closed, Connected, Opened, Running};
        matches!((self, next), (Opened, Connected | Running) | (Connected, Running) | (Opened | Connected | Running, Closed))
    }
}

/// A session as the store keeps it. Names are copies: they stay true when the objects are renamed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Id.
    pub id: Id<SessionRow>,
    /// Owner.
    pub org: Id<Org>,
    /// Who.
    pub user_id: Id<User>,
    /// `Name(username)`.
    pub user: String,
    /// Where to.
    pub asset_id: Id<Asset>,
    /// `name(address)`.
    pub asset: String,
    /// The real account; `None` for virtual ones.
    pub account_id: Option<Id<Account>>,
    /// `name(username)`.
    pub account: String,
    /// `ssh`, …
    pub protocol: String,
    /// What it does.
    pub kind: SessionKind,
    /// Which door.
    pub login_from: LoginFrom,
    /// Address of the person.
    pub remote_addr: String,
    /// Node that runs it.
    pub node_id: String,
    /// Decision that allowed it.
    pub decision_id: String,
    /// Groups channels of one client connection.
    pub connection_id: String,
    /// Life cycle.
    pub state: SessionState,
    /// The target was reached.
    pub is_success: bool,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// Whose fault the end was, if anybody's.
    pub end_fault: Option<Fault>,
    /// Exit code of the command or shell.
    pub exit_code: Option<i64>,
    /// Path of the recording, relative to the recordings directory.
    pub recording: Option<String>,
    /// Hex hash of the last segment, set at close.
    pub recording_hash: Option<String>,
    /// Bytes of the recording.
    pub recording_size: i64,
    /// Number of recognised commands.
    pub command_amount: i64,
    /// Bytes from the person to the target.
    pub bytes_in: i64,
    /// Bytes from the target to the person.
    pub bytes_out: i64,
    /// Start.
    pub date_start: Time,
    /// End.
    pub date_end: Option<Time>,
    /// Last sign of life written by the node that runs it.
    pub date_alive: Time,
    /// Free text.
    pub comment: String,
}

impl SessionRow {
    /// Over.
    pub fn is_finished(&self) -> bool {
        self.state == SessionState::Closed
    }
}
