//! The closed list of things an identity may be granted.

use std::{borrow::Cow, marker::PhantomData};

use model::{Account, Asset, Entity, Listable, Platform, SessionRow, User};

mod sealed {
    pub trait Sealed {}
}

/// A thing an identity may do. Sealed: the list of actions is closed and lives in this file.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// What it is done to; `()` for collections.
    type On: Send + Sync;
    /// Everybody may do this to his own things; no role needed. The handler's resolver must restrict to the owner.
    const OWN: bool = false;
    /// Whether it changes anything (then an audit entry is due).
    const MUTATES: bool = false;
    /// Permission code, `<app>.<verb>_<resource>`.
    fn permission() -> Cow<'static, str>;
}

/// Actions whose proof opens a stored secret.
#[diagnostic::on_unimplemented(message = "`{Self}` does not open secrets", note = "use a grant for Connect or Reveal")]
pub trait OpensSecret: Action {
    /// The stored account whose secret this grant may open; `None` if the grant is for a virtual account.
    fn account(on: &Self::On) -> Option<&Account>;
}

/// The account part of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetAccount {
    /// A stored account.
    Real(Account),
    /// `@INPUT`: the person types user name and secret.
    Input {
        /// What was typed.
        username: String,
    },
    /// `@USER`: named like the person; the stored account of that name if there is one, else the secret is typed.
    SameName {
        /// The person's login name.
        username: String,
        /// The stored account of that name.
        stored: Option<Account>,
    },
    /// `@ANON`: no credential.
    Anonymous,
}

impl TargetAccount {
    /// The key in permissions: an account id or the alias.
    pub fn alias(&self) -> String {
        match self {
            TargetAccount::Real(a) => a.id.to_string(),
            TargetAccount::Input { .. } => "@INPUT".into(),
            TargetAccount::SameName { .. } => "@USER".into(),
            TargetAccount::Anonymous => "@ANON".into(),
        }
    }
    /// Login name on the target.
    pub fn username(&self) -> &str {
        match self {
            TargetAccount::Real(a) => &a.username,
            TargetAccount::Input { username } | TargetAccount::SameName { username, .. } => username,
            TargetAccount::Anonymous => "",
        }
    }
    /// The stored account behind it.
    pub fn stored(&self) -> Option<&Account> {
        match self {
            TargetAccount::Real(a) => Some(a),
            TargetAccount::SameName { stored, .. } => stored.as_ref(),
            TargetAccount::Input { .. } | TargetAccount::Anonymous => None,
        }
    }
    /// `name(username)`, as logs show it.
    pub fn display(&self) -> String {
        match self {
            TargetAccount::Real(a) => format!("{}({})", a.name, a.username),
            TargetAccount::Input { username } => format!("@INPUT({username})"),
            TargetAccount::SameName { username, .. } => format!("@USER({username})"),
            TargetAccount::Anonymous => "@ANON".into(),
        }
    }
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTarget {
    /// The asset.
    pub asset: Asset,
    /// Its schema.
    pub platform: Platform,
    /// As whom.
    pub account: TargetAccount,
    /// `ssh`, …; must be one of the asset's protocols.
    pub protocol: String,
}

/// Open a session on a target.
pub struct Connect;
impl sealed::Sealed for Connect {}
impl Action for Connect {
    type On = ConnectTarget;
    const OWN: bool = false;
    const MUTATES: bool = true;
    fn permission() -> Cow<'static, str> {
        "perms.connect_myassets".into()
    }
}
impl OpensSecret for Connect {
    fn account(on: &ConnectTarget) -> Option<&Account> {
        on.account.stored()
    }
}

/// Show a stored secret to an administrator.
pub struct Reveal;
impl sealed::Sealed for Reveal {}
impl Action for Reveal {
    type On = Account;
    const MUTATES: bool = true;
    fn permission() -> Cow<'static, str> {
        "accounts.view_accountsecret".into()
    }
}
impl OpensSecret for Reveal {
    fn account(on: &Account) -> Option<&Account> {
        Some(on)
    }
}

macro_rules! crud {
    ($($(#[$doc:meta])* $name:ident, $verb:literal, $on:ty, $mutates:literal;)*) => { $(
        $(#[$doc])*
        pub struct $name<E>(PhantomData<fn() -> E>);
        impl<E: Entity> sealed::Sealed for $name<E> {}
        impl<E: Entity> Action for $name<E> {
            type On = $on;
            const MUTATES: bool = $mutates;
            fn permission() -> Cow<'static, str> { format!("{}.{}_{}", E::KIND.app(), $verb, E::KIND.resource()).into() }
        }
    )* };
}
crud! {
    /// List objects of a kind.
    List, "view", (), false;
    /// Read one object.
    Read, "view", E, false;
    /// Make one.
    Create, "add", (), true;
    /// Change one.
    Update, "change", E, true;
    /// Remove one.
    Delete, "delete", E, true;
    /// Change several in one call; each is found and decided on its own.
    UpdateMany, "change", (), true;
    /// Remove several in one call; each is found and decided on its own.
    DeleteMany, "delete", (), true;
}

/// List or read rows of a log.
pub struct ReadLog<L>(PhantomData<fn() -> L>);
impl<L: Listable> sealed::Sealed for ReadLog<L> {}
impl<L: Listable> Action for ReadLog<L> {
    type On = ();
    fn permission() -> Cow<'static, str> {
        match L::TABLE {
            "sessions" => "terminal.view_session",
            "commands" => "terminal.view_command",
            "login_logs" => "audits.view_userloginlog",
            "operate_logs" => "audits.view_operatelog",
            "password_change_logs" => "audits.view_passwordchangelog",
            _ => "audits.view_auditentry",
        }
        .into()
    }
}

macro_rules! single {
    ($($(#[$doc:meta])* $name:ident, $perm:literal, $on:ty, mutates = $m:literal, own = $own:literal;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl Action for $name {
            type On = $on;
            const OWN: bool = $own;
            const MUTATES: bool = $m;
            fn permission() -> Cow<'static, str> { $perm.into() }
        }
    )* };
}
single! {
    /// See and change one's own profile, keys and tokens.
    Myself, "users.view_profile", (), mutates = false, own = true;
    /// Change one's own profile, keys, password, second factor.
    ChangeMyself, "users.change_profile", (), mutates = true, own = true;
    /// List the targets one may reach.
    MyAssets, "perms.view_myassets", (), mutates = false, own = true;
    /// Read the metadata of one session.
    ReadSession, "terminal.view_session", SessionRow, mutates = false, own = false;
    /// Play a recording.
    PlayReplay, "terminal.view_sessionreplay", SessionRow, mutates = false, own = false;
    /// Take a recording away as a file.
    DownloadReplay, "terminal.download_sessionreplay", SessionRow, mutates = true, own = false;
    /// End a live session.
    Terminate, "terminal.terminate_session", SessionRow, mutates = true, own = false;
    /// End several live sessions in one call; each is found and decided on its own.
    TerminateMany, "terminal.terminate_session", (), mutates = true, own = false;
    /// Stop or resume a live session's input.
    Lock, "terminal.lock_session", SessionRow, mutates = true, own = false;
    /// Set somebody else's password, reset his factors.
    ResetCredentials, "users.change_user", User, mutates = true, own = false;
    /// Lift a lock-out.
    Unlock, "users.change_user", User, mutates = true, own = false;
    /// Bring objects to a declared state.
    Apply, "state.apply", (), mutates = true, own = false;
    /// Print objects as declared state.
    Export, "state.export", (), mutates = false, own = false;
    /// Check the audit chain.
    VerifyAudit, "audits.view_auditentry", (), mutates = false, own = false;
    /// Take evidence out of the house as a bundle.
    ExportEvidence, "audits.export_auditentry", (), mutates = true, own = false;
    /// Make people members of an organization, or end that.
    Invite, "users.invite_user", (), mutates = true, own = false;
    /// Ask who may reach what and why.
    Explain, "perms.view_assetpermission", (), mutates = false, own = false;
    /// Accept a changed host key of a target.
    ForgetHostKey, "assets.change_hostkey", Asset, mutates = true, own = false;
    /// Operate the node: keys, backup, doctor.
    Operate, "settings.change_node", (), mutates = true, own = false;
    /// Read the metrics of the node.
    ReadMetrics, "terminal.view_metrics", (), mutates = false, own = false;
}
