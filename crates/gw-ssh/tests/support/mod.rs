//! A gateway on a real control plane with a real `sshd` behind it, all in one directory and one process.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use model::{Account, Asset, AssetPermission, Id, MessagePair, Org, Query, SecretType, SystemClock, User};
use policy::{
    Authority, Identity,
    login::{Factor, Need, Step},
};
use session::{
    Bus, Committer, LocalBus, Login, LoginStart, Registry,
    local::{LocalControl, LoginDoor, Parts, Settings},
};
use store::{Store, UnitOfWork};
use testkit::fixtures;
use tokio_util::sync::CancellationToken;

/// `alice` has the key; `password`, `otp` and `gone` show other logins.
pub const PASSWORD: &str = "correct horse";
pub const CODE: &str = "123456";

struct Door {
    authority: Authority,
    users: Vec<User>,
    key: String,
}

struct OneLogin {
    start: LoginStart,
    user: Option<User>,
    key: String,
    authority: Authority,
    first: bool,
}

#[async_trait]
impl LoginDoor for Door {
    async fn begin(&self, start: LoginStart) -> Box<dyn Login> {
        let user = self.users.iter().find(|u| u.username == start.username).cloned();
        Box::new(OneLogin { start, user, key: self.key.clone(), authority: self.authority, first: false })
    }
}

impl OneLogin {
    fn who(&self) -> Identity {
        self.authority.credential_holder(self.user.as_ref().unwrap(), &self.start.client.to_string(), false)
    }
    fn wrong(need: Need) -> Step {
        Step::Need { any_of: vec![need], retry: Some(MessagePair::new("login.failed", "")) }
    }
    fn after_first(&mut self) -> Step {
        self.first = true;
        match self.start.username.as_str() {
            "otp" => Step::Need { any_of: vec![Need::Otp], retry: None },
            "enrol" => Step::Need { any_of: vec![Need::EnrolOtp { uri: "otpauth://totp/x?secret=ABC".into(), secret: "ABC".into() }], retry: None },
            "renew" => Step::Need { any_of: vec![Need::NewPassword { reason: "login.password_expired" }], retry: None },
            "gone" => Step::Refused(MessagePair::new("login.user_inactive", "")),
            _ => Step::Done(self.who()),
        }
    }
}

#[async_trait]
impl Login for OneLogin {
    async fn offers_key(&mut self, openssh: &str) -> bool {
        self.user.is_some() && openssh == self.key
    }
    async fn step(&mut self, factor: Factor) -> Step {
        match &factor {
            Factor::ProvedKey(k) if self.user.is_some() && *k == self.key => self.after_first(),
            Factor::Password(p) if self.user.is_some() && p == PASSWORD => self.after_first(),
            Factor::Otp(c) | Factor::EnrolOtp(c) if self.first && c == CODE => Step::Done(self.who()),
            Factor::NewPassword(p) if self.first && p.len() >= 12 => Step::Done(self.who()),
            Factor::Otp(_) => Self::wrong(Need::Otp),
            _ => Self::wrong(Need::Password),
        }
    }
}

/// A private `sshd` that lets root in with one key.
pub struct Sshd {
    child: Child,
    pub port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(path: &Path) {
    let ok = Command::new("ssh-keygen").args(["-qt", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).status().unwrap();
    assert!(ok.success());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sshd {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn start(dir: &Path) -> Self {
        let _ = std::fs::create_dir_all("/run/sshd");
        keygen(&dir.join("sshd_host"));
        let keys = std::fs::read_to_string(dir.join("target_key.pub")).unwrap();
        std::fs::write(dir.join("authorized_keys"), keys).unwrap();
        let port = free_port();
        let d = dir.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/sshd_host\nPidFile none\nUsePAM no\nPermitRootLogin yes\nAuthorizedKeysFile {d}/authorized_keys\nStrictModes no\n\
             MaxStartups 1000\nMaxSessions 100\nAcceptEnv LANG LC_* COLORTERM\nSubsystem sftp internal-sftp\nUseDNS no\nPrintMotd no\nPrintLastLog no\n"
        );
        std::fs::write(dir.join("sshd_config"), config).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { child, port }
    }
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub bus: Arc<dyn Bus>,
    pub control: Arc<LocalControl>,
    pub registry: Registry,
    pub authority: Authority,
    pub rule: AssetPermission,
    pub address: SocketAddr,
    pub sshd: Sshd,
    pub stop: CancellationToken,
    pub running: tokio::task::JoinHandle<()>,
}

pub async fn world() -> World {
    world_with(Settings::default(), |_| {}).await
}

pub async fn world_with(settings: Settings, change: impl FnOnce(&mut gw_ssh::Config)) -> World {
    let dir = tempfile::tempdir().unwrap();
    keygen(&dir.path().join("target_key"));
    keygen(&dir.path().join("user_key"));
    let sshd = Sshd::start(dir.path());
    let store = store_sql::open(&format!("sqlite://{}/r.db", dir.path().display()), store_sql::Options::default()).await.unwrap();
    let authority = Authority::of_this_node();
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::default());
    let registry = Registry::default();
    let signer = Arc::new(recording::Ed25519Signer::from_seed(&[7; 32]).unwrap());
    let recordings = dir.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    let spool = recording::Spool::start(recordings, recording::SpoolOptions::new(signer)).unwrap();
    let vault = vault::Vault::open_store(store.clone(), authority, vault::MasterKey::generate().unwrap()).await.unwrap();

    let root = store.read(authority.org(Org::DEFAULT)).find::<model::Node>(Query::all()).await.unwrap().unwrap();
    let users: Vec<User> = ["alice", "otp", "enrol", "renew", "gone"].iter().map(|n| fixtures::user(n)).collect();
    let mut asset: Asset = fixtures::asset(Org::DEFAULT, "web1", "127.0.0.1", &[root.id]);
    asset.protocols.iter_mut().for_each(|p| p.port = sshd.port);
    let mut account: Account = fixtures::account(&asset, "root");
    account.secret_type = SecretType::SshKey;
    let mut broken: Account = fixtures::account(&asset, "nobody");
    broken.secret_type = SecretType::Password;
    let now = model::Clock::now(&SystemClock);
    let mut rule = fixtures::rule(Org::DEFAULT, "ops");
    rule.users = users.iter().map(|u| u.id).collect();
    rule.assets = vec![asset.id];
    rule.accounts = vec!["@ALL".into()];
    rule.date_start = now - chrono::TimeDelta::hours(1);
    rule.date_expired = now + chrono::TimeDelta::hours(10);
    let seal = |a: &Account, text: String| vault.seal_account(a, 1, Some(&vault::Secret::new(text)), None, ("test", now)).unwrap();
    let key = std::fs::read_to_string(dir.path().join("target_key")).unwrap();
    let secrets = [seal(&account, key), seal(&broken, "wrong".into())];
    let mut work = UnitOfWork::global(authority.global());
    for user in &users {
        work.insert(user.clone());
    }
    work.insert(asset).insert(account).insert(broken).insert(rule.clone());
    for s in secrets {
        work.changes.push(store::Change::AddAccountSecret(Box::new(s)));
    }
    store.commit(work).await.unwrap();

    let user_key = std::fs::read_to_string(dir.path().join("user_key.pub")).unwrap().trim().to_owned();
    let control = LocalControl::start(Parts {
        store: store.clone(),
        authority,
        vault: Arc::new(vault),
        bus: bus.clone(),
        registry: registry.clone(),
        spool,
        clock: Arc::new(SystemClock),
        node_id: model::NIL_NODE_ID.into(),
        doors: Arc::new(Door { authority, users, key: user_key }),
        settings,
    });
    let mut config = gw_ssh::Config { listen: vec!["127.0.0.1:0".parse().unwrap()], host_key_dir: dir.path().join("keys"), ..Default::default() };
    change(&mut config);
    let gateway = gw_ssh::Gateway::bind(config, control.clone()).unwrap();
    let address = gateway.addresses()[0];
    let stop = CancellationToken::new();
    let running = tokio::spawn(gateway.run(stop.clone()));
    World { dir, store, bus, control, registry, authority, rule, address, sshd, stop, running }
}

/// What a finished client said.
pub struct Said {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

impl World {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// Options every client gets.
    pub fn options(&self) -> Vec<String> {
        let mut o = vec!["-F".into(), "none".into(), "-p".into(), self.address.port().to_string(), "-i".into(), self.path("user_key").display().to_string()];
        for opt in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes", "BatchMode=yes", "ControlPath=none"] {
            o.extend(["-o".into(), opt.into()]);
        }
        o
    }
    /// `ssh OPTIONS user@gateway ARGS` with what is put in, at most a minute.
    pub async fn ssh(&self, user: &str, args: &[&str], input: &[u8]) -> Said {
        self.ssh_with(&[], user, args, input).await
    }
    pub async fn ssh_with(&self, options: &[&str], user: &str, args: &[&str], input: &[u8]) -> Said {
        use tokio::io::AsyncWriteExt as _;
        let mut child = tokio::process::Command::new("ssh")
            .args(options)
            .args(self.options())
            .args(["-l", user, "127.0.0.1"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feed = tokio::spawn(async move {
            let _ = stdin.write_all(&input).await;
            let _ = stdin.shutdown().await;
        });
        let done = tokio::time::timeout(Duration::from_secs(90), child.wait_with_output()).await.expect("the client ends").unwrap();
        feed.abort();
        Said { code: done.status.code(), out: done.stdout, err: String::from_utf8_lossy(&done.stderr).into_owned() }
    }
    pub async fn change(&self, f: impl FnOnce(&mut UnitOfWork)) {
        let mut work = UnitOfWork::global(self.authority.global());
        f(&mut work);
        Committer::new(self.store.clone(), self.bus.clone()).commit(work).await.unwrap();
    }
    pub async fn sessions(&self) -> Vec<model::SessionRow> {
        self.store.read(self.authority.every_org()).logs::<model::SessionRow>(&Query::all()).await.unwrap().rows
    }
    pub async fn audited(&self, kind: &str) -> u64 {
        self.store.read(self.authority.every_org()).logs::<model::AuditEntry>(&Query::filter(model::Filter::eq("kind", kind))).await.unwrap().count
    }
    pub async fn until<F: Future<Output = bool>>(&self, mut f: impl FnMut() -> F) {
        for _ in 0..100 {
            if f().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it did not happen in five seconds");
    }
    pub fn rule_id(&self) -> Id<AssetPermission> {
        self.rule.id
    }
}
