//! Objects with sensible values. Change what matters to the test, keep the rest.

use chrono::TimeDelta;
use model::{
    Account, AccountSecret, Action, Actions, Asset, AssetPermission, AuditEvent, Category, Command, Connectivity, HostKey, Id, LoginFrom, LoginLog, LoginType,
    Meta, MfaLevel, Node, OperateLog, Org, Platform, ProtocolPort, PublicKey, RiskLevel, Role, RoleBinding, Sealed, SecretType, SessionKind, SessionRow,
    SessionState, Time, Token, TokenKind, User, UserGroup, UserSource,
};

/// 2026-01-01T00:00:00Z.
pub fn start() -> Time {
    Time::from_timestamp_micros(1_767_225_600_000_000).unwrap_or_default()
}

/// [`start`] and some seconds.
pub fn at(seconds: i64) -> Time {
    start() + TimeDelta::seconds(seconds)
}

/// Bookkeeping of a new object.
pub fn meta() -> Meta {
    Meta::new("Tester", start())
}

/// The built-in platform `Linux`.
pub fn linux() -> Id<Platform> {
    Id::builtin(0x1001)
}

/// A tenant.
pub fn org(name: &str) -> Org {
    Org { id: Id::generate(), name: name.into(), parent: None, builtin: false, comment: String::new(), meta: meta() }
}

/// An active person.
pub fn user(username: &str) -> User {
    User {
        id: Id::generate(),
        username: username.into(),
        name: username.to_uppercase(),
        email: format!("{}@example.org", username.trim().to_lowercase()),
        phone: String::new(),
        source: UserSource::Local,
        is_active: true,
        date_expired: None,
        mfa_level: MfaLevel::Off,
        need_update_password: false,
        is_service_account: false,
        lang: String::new(),
        last_login: None,
        comment: String::new(),
        meta: meta(),
    }
}

/// Gives a role everywhere (`None`) or in an organization.
pub fn binding(user: Id<User>, role: Id<Role>, organization: Option<Id<Org>>) -> RoleBinding {
    RoleBinding { id: Id::generate(), user, role, organization, meta: meta() }
}

/// Makes a person a member of an organization.
pub fn member(user: Id<User>, org: Id<Org>) -> RoleBinding {
    binding(user, Role::ORG_USER, Some(org))
}

/// A key of a person; `fingerprint` stands for the key.
pub fn public_key(user: Id<User>, fingerprint: &str) -> PublicKey {
    PublicKey {
        id: Id::generate(),
        user,
        name: "laptop".into(),
        public_key: format!("ssh-ed25519 AAAA{fingerprint}"),
        fingerprint: fingerprint.into(),
        is_active: true,
        date_last_used: None,
        meta: meta(),
    }
}

/// A group.
pub fn group(org: Id<Org>, name: &str, users: &[Id<User>]) -> UserGroup {
    UserGroup { id: Id::generate(), org, name: name.into(), users: users.to_vec(), comment: String::new(), meta: meta() }
}

/// The `n`-th child of a folder.
pub fn node(parent: &Node, n: i64, value: &str) -> Node {
    Node {
        id: Id::generate(),
        org: parent.org,
        key: parent.key.child(n),
        value: value.into(),
        full_value: format!("{}/{value}", parent.full_value),
        child_mark: 0,
        meta: meta(),
    }
}

/// A Linux server with SSH and SFTP; without `nodes` it lies in the root.
pub fn asset(org: Id<Org>, name: &str, address: &str, nodes: &[Id<Node>]) -> Asset {
    let port = |name: &str| ProtocolPort { name: name.into(), port: 22 };
    Asset {
        id: Id::generate(),
        org,
        name: name.into(),
        address: address.into(),
        platform: linux(),
        category: Category::Host,
        nodes: nodes.to_vec(),
        protocols: vec![port("ssh"), port("sftp")],
        is_active: true,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        comment: String::new(),
        meta: meta(),
    }
}

/// An account with a password.
pub fn account(asset: &Asset, username: &str) -> Account {
    Account {
        id: Id::generate(),
        org: asset.org,
        asset: asset.id,
        name: username.into(),
        username: username.into(),
        secret_type: SecretType::Password,
        has_secret: true,
        privileged: false,
        is_active: true,
        secret_reset: true,
        su_from: None,
        source: "local".into(),
        version: 1,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        date_change_secret: None,
        comment: String::new(),
        meta: meta(),
    }
}

/// A version of an account's secret; `sealed` stands for the envelope.
pub fn secret(account: &Account, version: i64, sealed: &str) -> AccountSecret {
    AccountSecret {
        account: account.id,
        org: account.org,
        version,
        secret_type: account.secret_type,
        secret: Some(Sealed(sealed.into())),
        passphrase: None,
        created_by: "Tester".into(),
        date_created: at(version),
    }
}

/// A host key of a target.
pub fn host_key(asset: &Asset, fingerprint: &str) -> HostKey {
    HostKey {
        org: asset.org,
        asset: asset.id,
        address: format!("{}:22", asset.address),
        algorithm: "ssh-ed25519".into(),
        public_key: format!("ssh-ed25519 AAAA{fingerprint}"),
        fingerprint: fingerprint.into(),
        first_seen: start(),
        pinned: false,
    }
}

/// A rule for everything on every account, in force for a year; names nobody and nothing yet.
pub fn rule(org: Id<Org>, name: &str) -> AssetPermission {
    AssetPermission {
        id: Id::generate(),
        org,
        name: name.into(),
        users: Vec::new(),
        user_groups: Vec::new(),
        assets: Vec::new(),
        nodes: Vec::new(),
        accounts: vec!["@ALL".into()],
        protocols: vec!["all".into()],
        actions: Actions::ALL,
        date_start: start(),
        date_expired: at(31_536_000),
        is_active: true,
        comment: String::new(),
        meta: meta(),
    }
}

/// Only `connect`.
pub fn connect_only() -> Actions {
    Action::Connect.into()
}

/// A session that was just opened.
pub fn session(org: Id<Org>, user: &User, asset: &Asset) -> SessionRow {
    SessionRow {
        id: Id::generate(),
        org,
        user_id: user.id,
        user: format!("{}({})", user.name, user.username),
        asset_id: asset.id,
        asset: format!("{}({})", asset.name, asset.address),
        account_id: None,
        account: "root(root)".into(),
        protocol: "ssh".into(),
        kind: SessionKind::Normal,
        login_from: LoginFrom::Ssh,
        remote_addr: "192.0.2.7".into(),
        node_id: "local".into(),
        decision_id: "decision".into(),
        connection_id: "connection".into(),
        state: SessionState::Opened,
        is_success: false,
        end_reason: None,
        end_fault: None,
        exit_code: None,
        recording: None,
        recording_hash: None,
        recording_size: 0,
        command_amount: 0,
        bytes_in: 0,
        bytes_out: 0,
        date_start: start(),
        date_end: None,
        date_alive: start(),
        comment: String::new(),
    }
}

/// A command of a session, `offset` seconds after its start.
pub fn command(session: &SessionRow, input: &str, offset: i64) -> Command {
    Command {
        id: Id::generate(),
        org: session.org,
        session: session.id,
        user: session.user.clone(),
        asset: session.asset.clone(),
        account: session.account.clone(),
        remote_addr: session.remote_addr.clone(),
        input: input.into(),
        output: String::new(),
        risk_level: RiskLevel::Accept,
        timestamp: at(offset),
        offset_ms: offset * 1000,
        duration_ms: None,
    }
}

/// An attempt to sign in.
pub fn login_log(username: &str, user_id: Option<Id<User>>, status: bool) -> LoginLog {
    LoginLog {
        id: Id::generate(),
        username: username.into(),
        user_id,
        login_type: LoginType::Terminal,
        ip: "192.0.2.7".into(),
        user_agent: "OpenSSH".into(),
        mfa: MfaLevel::Off,
        backend: "password".into(),
        reason: if status { String::new() } else { "auth.failed".into() },
        status,
        datetime: start(),
    }
}

/// A row of the operate log.
pub fn operate_log(org: Option<Id<Org>>, resource: &str) -> OperateLog {
    OperateLog {
        id: Id::generate(),
        org,
        user: "ALICE(alice)".into(),
        action: "update".into(),
        resource_type: "asset".into(),
        resource: resource.into(),
        resource_id: String::new(),
        before: serde_json::json!({}),
        after: serde_json::json!({ "name": resource }),
        remote_addr: "192.0.2.7".into(),
        datetime: start(),
    }
}

/// An event for the audit chain.
pub fn event(kind: &str) -> AuditEvent {
    AuditEvent {
        kind: kind.into(),
        org: Some(Org::DEFAULT),
        actor: "ALICE(alice)".into(),
        actor_id: None,
        target: "web1".into(),
        target_id: String::new(),
        session: None,
        remote_addr: "192.0.2.7".into(),
        at: start(),
        data: serde_json::json!({ "note": "x" }),
    }
}

/// A bearer token that ends after a day; `hash` stands for its SHA-256.
pub fn token(user: Id<User>, hash: &str) -> Token {
    Token {
        id: Id::generate(),
        user,
        kind: TokenKind::Bearer,
        hash: hash.into(),
        csrf_hash: String::new(),
        date_created: start(),
        date_expired: at(86_400),
        client: "192.0.2.7".into(),
        date_confirmed: None,
    }
}
