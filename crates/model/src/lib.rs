//! The vocabulary of Rampart: ids, entities, enums and the transitions between their states.
//!
//! Everything here is plain data. No I/O, no clock, no randomness: times and ids come in as arguments.
//!
//! INVARIANT: no type in this crate holds a secret in clear text. Secrets travel as [`Sealed`] (an opaque
//! envelope that only `vault` opens) or live in `vault::Secret`.

mod access;
mod account;
mod asset;
mod clock;
mod entity;
mod error;
mod id;
mod log;
mod org;
mod query;
mod session;
mod user;

pub use access::{AccountAlias, Action, Actions, AssetPermission};
pub use account::{Account, AccountSecret, Sealed, SecretType};
pub use asset::{Asset, Category, Connectivity, HostKey, Node, NodeKey, Platform, PlatformProtocol, ProtocolPort, SuMethod, builtin_platforms};
pub use clock::{Clock, SystemClock, Time};
pub use entity::{Entity, Kind, Meta, Record};
pub use error::{Fault, MessagePair};
pub use id::{Id, NIL_NODE_ID};
pub use log::{AuditEntry, AuditEvent, ChainHead, Checkpoint, Command, LoginLog, LoginType, OperateLog, PasswordChangeLog, RiskLevel};
pub use org::{Org, Role, RoleBinding, RoleScope, builtin_roles};
pub use query::{Filter, Listable, Op, Order, Page, Query};
pub use session::{EndReason, LoginFrom, SessionKind, SessionRow, SessionState};
pub use user::{MfaLevel, PublicKey, Token, TokenKind, User, UserGroup, UserSecrets, UserSource};
