//! Who may do what: pure decisions, and the only crate that can mint proofs.
//!
//! * [`Identity`]: somebody proved who he is (made by [`login::Login`] only, or for the machine itself by [`Authority`]).
//! * [`OrgScope`], [`EveryOrg`], [`GlobalScope`]: where an identity may act.
//! * [`Granted<A>`]: action `A` was allowed on one thing. Not `Clone`: one decision, one use.
//!
//! Nothing here does I/O. Facts and the time come in as arguments; every answer can explain itself.

pub mod access;
pub mod action;
pub mod login;
pub mod password;
mod proof;
pub mod rbac;

pub use access::{Access, AccountAccess, Denial, DenialReason, Explanation, Facts, Protocols, RuleEffect};
pub use action::{Action, Connect, ConnectTarget, OpensSecret, TargetAccount};
pub use proof::{Authority, Decider, EveryOrg, GlobalScope, GrantWatch, Granted, Identity, OrgFilter, OrgScope, Reach, Withdrawal};
pub use rbac::{Memberships, PermissionSet};
