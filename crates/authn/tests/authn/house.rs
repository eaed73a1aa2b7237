//! A database, a vault, a clock that stands where the test wants, and people.

use std::{net::IpAddr, sync::Arc};

use authn::{Authenticator, LoginFlow, Settings};
use chrono::TimeDelta;
use model::{AuditEvent, Clock, Id, LoginLog, LoginType, Meta, MfaLevel, PublicKey, Query, Time, User};
use parking_lot::Mutex;
use policy::{
    Authority, Identity,
    login::{Factor, Need, Step},
};
use store::{Store, UnitOfWork};
use vault::{MasterKey, Own, Secret, Vault};

pub const PASSWORD: &str = "seven green bicycles";
pub const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFBJXN6DXgpCnY2IgV5hZfJoxgu45RsUMT2eD0GUyWNN alice@laptop";
pub const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

pub struct TestClock(Mutex<Time>);
impl Clock for TestClock {
    fn now(&self) -> Time {
        *self.0.lock()
    }
}

pub struct House {
    _dir: tempfile::TempDir,
    pub store: Store,
    pub vault: Arc<Vault>,
    pub clock: Arc<TestClock>,
    pub auth: Authenticator,
    pub alice: User,
}

pub fn node() -> Authority {
    Authority::of_this_node()
}
pub fn secret(s: &str) -> Secret<String> {
    Secret::new(s.to_owned())
}
pub fn here() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

impl House {
    /// Alice with a password and a key.
    pub async fn new() -> Self {
        Self::with(|_| {}, Settings::default()).await
    }
    pub async fn with(change: impl FnOnce(&mut User), settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = store_sql::open(&format!("sqlite://{}/db", dir.path().display()), store_sql::Options::default()).await.unwrap();
        let vault = Arc::new(Vault::open_store(store.clone(), node(), MasterKey::generate().unwrap()).await.unwrap());
        let clock = Arc::new(TestClock(Mutex::new("2026-06-01T12:00:00Z".parse().unwrap())));
        let auth = Authenticator::new(store.clone(), vault.clone(), clock.clone(), settings, node());
        let mut alice = user("alice", clock.now());
        change(&mut alice);
        let mut house = Self { _dir: dir, store, vault, clock, auth, alice };
        house.add(house.alice.clone(), Some(PASSWORD)).await;
        house.alice = house.row(house.alice.id).await;
        house.key(ED25519).await;
        house
    }
    pub async fn add(&self, user: User, password: Option<&str>) {
        let mut work = UnitOfWork::global(node().global());
        work.insert(user.clone());
        if let Some(p) = password {
            let secrets = self.auth.first_secrets(&user.username, &secret(p)).await.unwrap();
            work.changes.push(store::Change::SetUserSecrets(user.id, Box::new(secrets)));
        }
        self.store.commit(work).await.unwrap();
    }
    pub async fn row(&self, id: Id<User>) -> User {
        self.store.read(node().every_org()).get(id).await.unwrap().unwrap()
    }
    pub async fn update(&self, change: impl FnOnce(&mut User)) {
        let mut user = self.row(self.alice.id).await;
        change(&mut user);
        let mut work = UnitOfWork::global(node().global());
        work.update(user);
        self.store.commit(work).await.unwrap();
    }
    pub async fn key(&self, line: &str) {
        let parsed = authn::keys::parse(line).unwrap();
        let mut work = UnitOfWork::global(node().global());
        work.insert(PublicKey {
            id: Id::generate(),
            user: self.alice.id,
            name: "key".into(),
            public_key: line.to_owned(),
            fingerprint: parsed.fingerprint(),
            is_active: true,
            date_last_used: None,
            meta: Meta::new("test", self.clock.now()),
        });
        self.store.commit(work).await.unwrap();
    }
    /// Binds alice's authenticator with [`SEED`].
    pub async fn bind(&self) {
        let backend = self.store.node(node());
        let mut secrets = backend.user_secrets(self.alice.id).await.unwrap();
        secrets.otp = Some(self.vault.seal_own(&Own::OtpSeed(self.alice.id), &secret(SEED)).unwrap());
        backend.set_user_secrets(self.alice.id, secrets).await.unwrap();
    }
    pub fn pass(&self, seconds: i64) {
        let mut now = self.clock.0.lock();
        *now += TimeDelta::seconds(seconds);
    }
    pub fn begin(&self, username: &str) -> LoginFlow {
        self.auth.begin(username, here(), LoginType::Terminal, "OpenSSH_9.9")
    }
    pub async fn try_password(&self, username: &str, password: &str) -> Step {
        self.begin(username).step(Factor::Password(password.into())).await
    }
    pub async fn identity(&self) -> Identity {
        done(self.try_password("alice", PASSWORD).await)
    }
    /// The code of `seed` now.
    pub fn code(&self, seed: &str) -> String {
        let secret = totp_rs::Secret::try_from_base32(seed).unwrap();
        let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
        totp.generate(u64::try_from(self.clock.now().timestamp()).unwrap()).to_string()
    }
    pub async fn log(&self) -> Vec<LoginLog> {
        self.store.read(node().every_org()).logs::<LoginLog>(&Query::all()).await.unwrap().rows
    }
    pub async fn audit(&self, kind: &str) -> Vec<AuditEvent> {
        let entries = self.store.node(node()).chain("local", 0, 1000).await.unwrap();
        entries.into_iter().map(|e| e.event).filter(|e| e.kind == kind).collect()
    }
}

pub fn user(username: &str, now: Time) -> User {
    User {
        id: Id::generate(),
        username: username.into(),
        name: username.to_uppercase(),
        email: String::new(),
        phone: String::new(),
        source: model::UserSource::Local,
        is_active: true,
        date_expired: None,
        mfa_level: MfaLevel::Off,
        need_update_password: false,
        is_service_account: false,
        lang: String::new(),
        last_login: None,
        comment: String::new(),
        meta: Meta::new("test", now),
    }
}

pub fn done(step: Step) -> Identity {
    match step {
        Step::Done(who) => who,
        other => panic!("not in: {other:?}"),
    }
}
/// The code of a refusal.
pub fn refused(step: Step) -> &'static str {
    match step {
        Step::Refused(m) => m.code,
        other => panic!("not refused: {other:?}"),
    }
}
/// The code of "try again".
pub fn retry(step: Step) -> &'static str {
    match step {
        Step::Need { retry: Some(m), .. } => m.code,
        other => panic!("no retry: {other:?}"),
    }
}
pub fn needs(step: Step) -> Vec<Need> {
    match step {
        Step::Need { any_of, retry: None } => any_of,
        other => panic!("not asked for more: {other:?}"),
    }
}
