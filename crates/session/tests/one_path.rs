//! The one path on a real store and a real recorder, with a link that does what the test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{
    Account, Asset, AssetPermission, Clock as _, EndReason, Filter, Id, LoginFrom, Org, Query, SessionKind, SessionRow, SessionState, SystemClock, User,
};
use policy::{Authority, Connect, Granted, Identity};
use session::{
    AccountAsk, Ask, Bus, Command, Committer, ConnectError, Connector, ControlPlane, End, LocalBus, Login, LoginStart, News, Notice, Opening, Registry,
    RelayEnd, Session, Stream,
    local::{LocalControl, LoginDoor, Parts, Settings},
};
use store::{Store, UnitOfWork};
use testkit::fixtures;

struct NoDoor;
#[async_trait]
impl LoginDoor for NoDoor {
    async fn begin(&self, _: LoginStart) -> Box<dyn Login> {
        unreachable!("no login in these tests")
    }
}

struct Dial(Result<(), ConnectError>);
#[async_trait]
impl Connector for Dial {
    type Link = ();
    async fn connect(&self, _: &dyn ControlPlane, _: &Granted<Connect>) -> Result<(), ConnectError> {
        self.0.clone()
    }
}

struct World {
    _dir: tempfile::TempDir,
    recordings: std::path::PathBuf,
    store: Store,
    bus: Arc<dyn Bus>,
    control: Arc<LocalControl>,
    registry: Registry,
    authority: Authority,
    signer: Arc<recording::Ed25519Signer>,
    user: User,
    asset: Asset,
    account: Account,
    rule: AssetPermission,
}

async fn world(settings: Settings) -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = store_sql::open(&format!("sqlite://{}/r.db", dir.path().display()), store_sql::Options::default()).await.unwrap();
    let authority = Authority::of_this_node();
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::default());
    let registry = Registry::default();
    let signer = Arc::new(recording::Ed25519Signer::from_seed(&[7; 32]).unwrap());
    let recordings = dir.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    let spool = recording::Spool::start(recordings.clone(), recording::SpoolOptions::new(signer.clone())).unwrap();
    let vault = vault::Vault::open_store(store.clone(), authority, vault::MasterKey::generate().unwrap()).await.unwrap();

    let root = store.read(authority.org(Org::DEFAULT)).find::<model::Node>(Query::all()).await.unwrap().unwrap();
    let user = fixtures::user("alice");
    let asset = fixtures::asset(Org::DEFAULT, "web1", "10.0.0.5", &[root.id]);
    let account = fixtures::account(&asset, "root");
    let now = SystemClock.now();
    let mut rule = fixtures::rule(Org::DEFAULT, "ops");
    rule.users = vec![user.id];
    rule.assets = vec![asset.id];
    rule.accounts = vec!["@ALL".into()];
    rule.date_start = now - chrono::TimeDelta::hours(1);
    rule.date_expired = now + chrono::TimeDelta::hours(1);
    let mut work = UnitOfWork::global(authority.global());
    work.insert(user.clone()).insert(asset.clone()).insert(account.clone()).insert(rule.clone());
    store.commit(work).await.unwrap();

    let control = LocalControl::start(Parts {
        store: store.clone(),
        authority,
        vault: Arc::new(vault),
        bus: bus.clone(),
        registry: registry.clone(),
        spool,
        clock: Arc::new(SystemClock),
        node_id: model::NIL_NODE_ID.into(),
        doors: Arc::new(NoDoor),
        settings,
    });
    World { _dir: dir, recordings, store, bus, control, registry, authority, signer, user, asset, account, rule }
}

impl World {
    fn who(&self) -> Identity {
        self.authority.credential_holder(&self.user, "127.0.0.1", false)
    }
    fn ask(&self) -> Ask {
        Ask { asset: self.asset.id, account: AccountAsk::Written("root".into()), protocol: "ssh".into(), client: [127, 0, 0, 1].into() }
    }
    async fn open(&self) -> Session<session::Opened> {
        let granted = self.control.authorize(&self.who(), &self.ask()).await.unwrap();
        let opening = Opening { kind: SessionKind::Normal, login_from: LoginFrom::Ssh, remote_addr: "127.0.0.1".into(), connection_id: "c".into() };
        Session::open(self.control.clone(), granted, &opening).await.unwrap()
    }
    /// Runs a session that types and prints until it is told to stop.
    async fn running(&self) -> (Id<SessionRow>, tokio::task::JoinHandle<(session::Ended, Option<Notice>)>) {
        let session = self.open().await;
        let id = session.id();
        let session = session.connect(&Dial(Ok(()))).await.unwrap();
        let session = session.record(Stream::Terminal { cols: 80, rows: 24, term: "xterm".into() }).await.unwrap();
        let (started, begun) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let (said, heard) = tokio::sync::oneshot::channel();
            let ended = session
                .run(|(), mut live| async move {
                    live.tap.output(Bytes::from_static(b"$ ")).await.unwrap();
                    started.send(()).unwrap();
                    while let Some(notice) = live.notices.recv().await {
                        if matches!(notice, Notice::Stop(_)) {
                            let _ = said.send(notice);
                            break;
                        }
                    }
                    RelayEnd { end: End::of(EndReason::Client), exit_code: None }
                })
                .await;
            (ended, heard.await.ok())
        });
        begun.await.unwrap();
        (id, task)
    }
    async fn row(&self, id: Id<SessionRow>) -> SessionRow {
        self.store.read(self.authority.every_org()).log(id).await.unwrap().unwrap()
    }
    async fn change(&self, f: impl FnOnce(&mut UnitOfWork)) {
        let mut work = UnitOfWork::global(self.authority.global());
        f(&mut work);
        Committer::new(self.store.clone(), self.bus.clone()).commit(work).await.unwrap();
    }
    async fn audited(&self, kind: &str) -> u64 {
        self.store.read(self.authority.every_org()).logs::<model::AuditEntry>(&Query::filter(Filter::eq("kind", kind))).await.unwrap().count
    }
}

async fn within_a_second<T>(task: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_secs(1), task).await.expect("ends within a second").unwrap()
}

#[tokio::test]
async fn a_session_leaves_row_recording_commands_and_audit() {
    let w = world(Settings::default()).await;
    let session = w.open().await;
    let id = session.id();
    assert_eq!(w.row(id).await.state, SessionState::Opened);
    assert_eq!(w.audited("session.open").await, 1);

    let session = session.connect(&Dial(Ok(()))).await.unwrap().record(Stream::Exec("uname -a".into())).await.unwrap();
    let ended = session
        .run(|(), live| async move {
            live.tap.output(Bytes::from_static(b"Linux\n")).await.unwrap();
            live.tap.stderr(Bytes::from_static(b"oops\n")).await.unwrap();
            RelayEnd { end: End::of(EndReason::Target), exit_code: Some(7) }
        })
        .await;

    assert_eq!(ended.exit_code, Some(7));
    let row = w.row(id).await;
    assert_eq!((row.state, row.end_reason, row.exit_code, row.bytes_out, row.command_amount), (SessionState::Closed, Some(EndReason::Target), Some(7), 11, 1));
    let report = recording::verify(w.recordings.join(row.recording.unwrap()), row.recording_hash.as_deref()).unwrap();
    assert!(report.broken.is_none(), "{:?}", report.broken);
    let commands = w.store.read(w.authority.every_org()).logs::<model::Command>(&Query::all()).await.unwrap();
    assert_eq!(commands.rows[0].input, "uname -a");
    assert!(commands.rows[0].output.contains("Linux") && commands.rows[0].output.contains("oops"));
    assert_eq!(w.audited("session.close").await, 1);
    assert!(w.registry.is_empty());
}

#[tokio::test]
async fn a_removed_rule_cuts_the_live_session() {
    let w = world(Settings::default()).await;
    let (id, task) = w.running().await;

    let rule = w.store.read(w.authority.org(Org::DEFAULT)).get(w.rule.id).await.unwrap().unwrap();
    w.change(|work| {
        work.delete(rule);
    })
    .await;

    let (ended, said) = within_a_second(task).await;
    assert_eq!(ended.end.reason, EndReason::Revoked);
    assert!(matches!(said, Some(Notice::Stop(m)) if m.code == "session.revoked"));
    assert_eq!(w.row(id).await.end_reason, Some(EndReason::Revoked));
}

#[tokio::test]
async fn a_disabled_user_is_cut_and_a_second_change_leaves_others_alone() {
    let w = world(Settings::default()).await;
    let (_, task) = w.running().await;

    let mut rule = w.store.read(w.authority.org(Org::DEFAULT)).get(w.rule.id).await.unwrap().unwrap();
    rule.comment = "harmless".into();
    w.change(|work| {
        work.update(rule);
    })
    .await;
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    let mut user = w.store.read(w.authority.every_org()).get(w.user.id).await.unwrap().unwrap();
    user.is_active = false;
    w.change(|work| {
        work.update(user);
    })
    .await;

    assert_eq!(within_a_second(task).await.0.end.reason, EndReason::Revoked);
}

#[tokio::test]
async fn an_expiring_permission_cuts_at_its_hour() {
    let w = world(Settings::default()).await;
    let mut rule = w.store.read(w.authority.org(Org::DEFAULT)).get(w.rule.id).await.unwrap().unwrap();
    rule.date_expired = SystemClock.now() + chrono::TimeDelta::milliseconds(1500);
    w.change(|work| {
        work.update(rule);
    })
    .await;
    let (_, task) = w.running().await;

    let (ended, said) = tokio::time::timeout(Duration::from_secs(4), task).await.unwrap().unwrap();
    assert_eq!(ended.end.reason, EndReason::Revoked);
    assert!(matches!(said, Some(Notice::Stop(m)) if m.code == "session.permission_expired"));
}

#[tokio::test]
async fn kill_over_the_bus_names_who_did_it() {
    let w = world(Settings::default()).await;
    let (id, task) = w.running().await;

    w.bus.publish(News::Control(id, Command::Kill("Root(root)".into())));

    let (ended, said) = within_a_second(task).await;
    assert_eq!(ended.end.reason, EndReason::Killed);
    assert!(matches!(said, Some(Notice::Stop(m)) if m.args == [("by", "Root(root)".to_owned())]));
}

#[tokio::test]
async fn idle_and_longest_time_end_a_session() {
    let w = world(Settings { max_idle: Duration::from_millis(300), warn: Duration::from_millis(100), ..Settings::default() }).await;
    let (_, task) = w.running().await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(3), task).await.unwrap().unwrap().0.end.reason, EndReason::Idle);

    let w = world(Settings { max_session: Duration::from_millis(300), warn: Duration::from_millis(100), ..Settings::default() }).await;
    let (_, task) = w.running().await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(3), task).await.unwrap().unwrap().0.end.reason, EndReason::MaxTime);
}

#[tokio::test]
async fn draining_refuses_new_sessions_and_cuts_live_ones() {
    let w = world(Settings::default()).await;
    let (_, task) = w.running().await;

    w.registry.refuse_new();
    let granted = w.control.authorize(&w.who(), &w.ask()).await.unwrap();
    let opening = Opening { kind: SessionKind::Normal, login_from: LoginFrom::Ssh, remote_addr: "127.0.0.1".into(), connection_id: "c".into() };
    let refused = Session::open(w.control.clone(), granted, &opening).await.err().unwrap();
    assert_eq!(refused.code, "system.draining");
    w.registry.cut();

    assert_eq!(within_a_second(task).await.0.end.reason, EndReason::Drained);
}

#[tokio::test]
async fn a_failed_connect_and_a_dropped_session_close_their_rows() {
    let w = world(Settings::default()).await;
    let session = w.open().await;
    let failed = session.id();
    let error = ConnectError { message: model::MessagePair::new("target.unreachable", "refused"), fault: model::Fault::Target };
    assert_eq!(session.connect(&Dial(Err(error))).await.err().unwrap().code, "target.unreachable");
    assert_eq!(w.row(failed).await.end_reason, Some(EndReason::ConnectFailed));

    let session = w.open().await;
    let dropped = session.id();
    drop(session);
    w.registry.tasks().close();
    w.registry.tasks().wait().await;
    assert_eq!(w.row(dropped).await.end_reason, Some(EndReason::Failed));
}

#[tokio::test]
async fn a_session_that_lasts_is_stored_as_running() {
    let w = world(Settings::default()).await;
    let (id, task) = w.running().await;

    let running = async {
        loop {
            let row = w.row(id).await;
            if row.state == SessionState::Running {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let row = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap();

    assert!(row.is_success);
    assert!(w.recordings.join(row.recording.unwrap()).is_file());
    task.abort();
}

#[tokio::test]
async fn refusals_name_their_reason_and_are_audited() {
    let w = world(Settings::default()).await;
    let code = |account: &str| {
        let ask = Ask { account: AccountAsk::Written(account.into()), ..w.ask() };
        let w = &w;
        async move { w.control.authorize(&w.who(), &ask).await.err().map(|m| m.code) }
    };
    assert_eq!(code("root").await, None);
    assert_eq!(code("nobody").await, Some("access.account_not_granted"));
    let mut rule = w.store.read(w.authority.org(Org::DEFAULT)).get(w.rule.id).await.unwrap().unwrap();
    rule.accounts.push("!root".into());
    w.change(|work| {
        work.update(rule.clone());
    })
    .await;
    assert_eq!(code("root").await, Some("access.account_excluded"));
    assert_eq!(w.audited("session.denied").await, 2);
    assert!(w.control.resolve(&w.who(), [127, 0, 0, 1].into(), "nowhere").await.is_err());
    assert_eq!(w.control.resolve(&w.who(), [127, 0, 0, 1].into(), "10.0.0.5").await.unwrap().asset.id, w.asset.id);
    assert_eq!(w.audited("session.denied").await, 3);
    let _ = (&w.account, &w.recordings);
}

#[tokio::test]
async fn what_a_dead_node_left_open_is_interrupted_playable_and_verifies() {
    let w = world(Settings::default()).await;
    let (id, task) = w.running().await;
    // The node "dies": the task is gone without closing anything, but the spool has flushed its half second. The row had no
    // time to say where the recording lies.
    let row = w.row(id).await;
    assert_eq!((row.state, &row.recording), (SessionState::Opened, &None));
    let path = w.recordings.join(recording::find(&w.recordings, id.uuid(), row.date_start.timestamp_micros()).unwrap());
    let written = || std::fs::metadata(&path).map(|m| m.len()).unwrap_or_default();
    let header_only = written();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    while written() == header_only && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let closed = session::local::recover(&w.store, w.authority, model::NIL_NODE_ID, &w.recordings, &*w.signer, SystemClock.now()).await.unwrap();

    assert_eq!(closed, 1);
    let row = w.row(id).await;
    assert_eq!((row.state, row.end_reason), (SessionState::Closed, Some(EndReason::Interrupted)));
    let report = recording::verify(&path, row.recording_hash.as_deref()).unwrap();
    assert!(report.broken.is_none(), "{:?}", report.broken);
    task.abort();
}
