use std::time::Instant;

use model::{
    AuditEntry, ChainHead, Checkpoint, Command, EndReason, Filter, Id, LoginLog, Op, OperateLog, Org, PasswordChangeLog, Query, SessionRow, SessionState, User,
};
use policy::OrgFilter;
use serde_json::json;
use store::{Backend, LogBatch, Store, StoreError};
use testkit::fixtures::*;
use tokio::task::JoinSet;

use super::world::*;

/// Reads a whole chain and checks every link; returns its length.
async fn verify(backend: &dyn Backend, node: &str) -> i64 {
    let mut head = ChainHead::empty(node);
    loop {
        let entries = backend.chain(node, head.seq, 700).await.unwrap();
        if entries.is_empty() {
            break;
        }
        for e in entries {
            assert_eq!((e.seq, &e.prev_hash), (head.seq + 1, &head.hash));
            assert_eq!(e.hash, AuditEntry::digest(&e.prev_hash, &e.node_id, e.seq, &e.event), "entry {} reads back as it was hashed", e.seq);
            head = ChainHead { node_id: node.into(), seq: e.seq, hash: e.hash };
        }
    }
    assert_eq!(backend.chain_head(node).await.unwrap(), head);
    head.seq
}

fn audits(events: Vec<model::AuditEvent>) -> LogBatch {
    LogBatch { audit: events, ..LogBatch::default() }
}

pub async fn the_chain_can_be_verified_after_a_restart(place: &Place) {
    let store = place.open().await;
    let mut odd = event("odd");
    odd.at = model::Time::from_timestamp_nanos(1_767_225_600_123_456_789);
    odd.data = json!({"z": 1.1, "a": [0.1, 1e300, -0.0, 123_456_789_012_345_678_u64, 2.5e-8, 0.300_000_000_000_000_04], "ü": {"b": null, "a": true}});
    odd.org = None;
    let entries = raw(&store).log(audits(vec![event("one"), odd])).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(entries[0].prev_hash, "0".repeat(64));
    let mut work = unit();
    work.insert(user("x")).audit(event("user.create")).audit(event("user.create"));
    let committed = store.commit(work).await.unwrap();
    assert_eq!(committed.audit.last().unwrap().seq, 4);
    assert_eq!(raw(&store).chain("local", 3, 10).await.unwrap(), committed.audit[1..]);
    assert_eq!(verify(raw(&store), "local").await, 4);
    raw(&store).close().await;

    let store = place.open().await;
    raw(&store).log(audits(vec![event("after")])).await.unwrap();
    assert_eq!(verify(raw(&store), "local").await, 5);

    let other = store_sql::open(&place.url, store_sql::Options::for_node("node-b")).await.unwrap();
    raw(&other).log(audits(vec![event("theirs")])).await.unwrap();
    raw(&store).log(audits(vec![event("ours")])).await.unwrap();
    assert_eq!(raw(&store).chain_nodes().await.unwrap(), ["local", "node-b"]);
    assert_eq!((verify(raw(&store), "local").await, verify(raw(&store), "node-b").await), (6, 1));
}

pub async fn a_failed_job_leaves_no_gap_and_spoils_nobody(place: &Place) {
    let store = place.open().await;
    let (alice, server) = (user("alice"), asset(Org::DEFAULT, "s", "h", &[]));
    let twice = session(Org::DEFAULT, &alice, &server);
    raw(&store).log(LogBatch { sessions_opened: vec![twice.clone()], ..LogBatch::default() }).await.unwrap();

    let mut jobs: JoinSet<Result<usize, String>> = JoinSet::new();
    for n in 0..300 {
        let (store, twice) = (store.clone(), twice.clone());
        jobs.spawn(async move {
            match n % 3 {
                0 => raw(&store).log(audits(vec![event("good"); 2])).await.map(|e| e.len()).map_err(|e| e.to_string()),
                1 => {
                    let batch = LogBatch { audit: vec![event("lost")], sessions_opened: vec![twice], ..LogBatch::default() };
                    let e = raw(&store).log(batch).await.unwrap_err();
                    assert!(matches!(e, StoreError::Conflict(_)), "{e}");
                    Ok(0)
                }
                _ => {
                    let mut work = unit();
                    work.insert(user(if n % 2 == 0 { "same" } else { "Same" })).audit(event("user.create"));
                    Ok(usize::from(store.commit(work).await.is_ok()))
                }
            }
        });
    }
    let mut written = 0;
    while let Some(r) = jobs.join_next().await {
        written += r.unwrap().unwrap();
    }

    assert_eq!(written, 201);
    assert_eq!(verify(raw(&store), "local").await, 201);
    let lost = store.read(us().every_org()).logs::<AuditEntry>(&Query::filter(Filter::eq("kind", "lost"))).await.unwrap();
    assert_eq!(lost.count, 0);
}

pub async fn a_burst_of_20000_events_loses_none(place: &Place) {
    let store = place.open().await;
    let began = Instant::now();
    let mut jobs = JoinSet::new();
    for n in 0..20_000 {
        let store: Store = store.clone();
        jobs.spawn(async move {
            let mut e = event("login.failed");
            e.target = format!("event {n}");
            raw(&store).log(audits(vec![e])).await.unwrap()[0].seq
        });
    }
    let mut seqs = Vec::new();
    while let Some(seq) = jobs.join_next().await {
        seqs.push(seq.unwrap());
    }
    eprintln!("20,000 events in {:?}", began.elapsed());

    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(1..=20_000));
    assert_eq!(verify(raw(&store), "local").await, 20_000);
}

pub async fn sessions_walk_their_life_cycle(place: &Place) {
    let store = place.open().await;
    let (alice, server) = (user("alice"), asset(Org::DEFAULT, "s", "h", &[]));
    let mut s = session(Org::DEFAULT, &alice, &server);
    let mut elsewhere = session(Org::DEFAULT, &alice, &server);
    elsewhere.node_id = "node-b".into();
    raw(&store).log(LogBatch { sessions_opened: vec![s.clone(), elsewhere.clone()], ..LogBatch::default() }).await.unwrap();
    let set = async |s: &SessionRow| raw(&store).log(LogBatch { sessions_updated: vec![s.clone()], ..LogBatch::default() }).await.map(drop);
    let stored = async |id| store.read(us().org(Org::DEFAULT)).log::<SessionRow>(id).await.unwrap();

    assert_eq!(stored(s.id).await, Some(s.clone()));
    assert_eq!(raw(&store).open_sessions(Some("local")).await.unwrap(), [s.clone()]);
    assert_eq!(raw(&store).open_sessions(None).await.unwrap().len(), 2);
    (s.state, s.is_success) = (SessionState::Connected, true);
    set(&s).await.unwrap();
    (s.state, s.date_alive, s.bytes_out) = (SessionState::Running, at(5), 77);
    set(&s).await.unwrap();
    set(&s).await.unwrap();
    let mut back = s.clone();
    back.state = SessionState::Connected;
    assert!(matches!(set(&back).await, Err(StoreError::Stale(_))), "life has one direction");
    let alive = s.clone();
    (s.state, s.end_reason, s.date_end, s.exit_code, s.recording_hash) =
        (SessionState::Closed, Some(EndReason::Client), Some(at(9)), Some(0), Some("ff".into()));
    set(&s).await.unwrap();
    assert_eq!(stored(s.id).await, Some(s.clone()));

    set(&alive).await.unwrap();
    set(&s).await.unwrap();
    let mut other_end = s.clone();
    other_end.end_reason = Some(EndReason::Killed);
    assert!(matches!(set(&other_end).await, Err(StoreError::Stale(_))));
    assert_eq!(stored(s.id).await, Some(s.clone()), "closed rows never change");
    let mut unknown = s.clone();
    unknown.id = Id::generate();
    assert!(matches!(set(&unknown).await, Err(StoreError::Missing(_))));
    assert!(raw(&store).open_sessions(Some("local")).await.unwrap().is_empty());
    let finished = store.read(us().org(Org::DEFAULT)).logs::<SessionRow>(&Query::filter(Filter::eq("is_finished", true))).await.unwrap();
    assert_eq!(finished.count, 1);
}

pub async fn logs_are_seen_by_their_organization(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme");
    let (alice, bob) = (user("alice"), user("bob(x)"));
    insert(&store, [acme.clone().into(), alice.clone().into(), bob.clone().into(), member(alice.id, acme.id).into()]).await.unwrap();
    let server = asset(acme.id, "s", "h", &[]);
    let (here, there) = (session(acme.id, &alice, &server), session(Org::DEFAULT, &bob, &server));
    let mut theirs = event("x");
    theirs.org = None;
    let mut ours = event("y");
    (ours.org, ours.session, ours.actor_id) = (Some(acme.id), Some(here.id), Some(alice.id));
    let batch = LogBatch {
        audit: vec![theirs, ours],
        logins: vec![login_log("alice", Some(alice.id), true), login_log("bob", Some(bob.id), false), login_log("ghost", None, false)],
        operate: vec![operate_log(Some(acme.id), "a"), operate_log(None, "b")],
        commands: vec![command(&here, "ls -l", 1), command(&here, "rm -rf /", 2), command(&there, "id", 3)],
        sessions_opened: vec![here.clone(), there.clone()],
        sessions_updated: vec![],
    };
    raw(&store).log(batch).await.unwrap();
    let mut work = unit();
    let row = |u: &User| PasswordChangeLog {
        id: Id::generate(),
        user: format!("{}({})", u.name, u.username),
        change_by: "X".into(),
        remote_addr: "h".into(),
        datetime: start(),
    };
    work.password.extend([row(&alice), row(&bob)]);
    store.commit(work).await.unwrap();

    let counts = async |reach: OrgFilter| {
        let mut n = Vec::new();
        for table in ["sessions", "commands", "login_logs", "operate_logs", "password_change_logs", "audit_entries"] {
            n.push(raw(&store).logs(reach, table, &Query::all()).await.unwrap().count);
        }
        n
    };
    assert_eq!(counts(OrgFilter::All).await, [2, 3, 3, 2, 2, 2]);
    assert_eq!(counts(OrgFilter::One(acme.id)).await, [1, 2, 1, 1, 1, 1]);
    assert_eq!(counts(OrgFilter::One(Org::SYSTEM)).await, [0; 6]);

    let all = store.read(us().every_org());
    let mine = all.logs::<Command>(&Query::filter(Filter::eq("session", here.id))).await.unwrap();
    assert_eq!(mine.rows.iter().map(|c| c.input.as_str()).collect::<Vec<_>>(), ["rm -rf /", "ls -l"], "newest first");
    let between = Query::filter(Filter { field: "timestamp".into(), op: Op::Ge, values: vec!["2026-01-01T00:00:02Z".into()] }).and(Filter {
        field: "timestamp".into(),
        op: Op::Lt,
        values: vec!["2026-01-01T00:00:03Z".into()],
    });
    assert_eq!(all.logs::<Command>(&between).await.unwrap().rows[0].input, "rm -rf /");
    assert_eq!(all.logs::<Command>(&Query::all().search("RM -rf")).await.unwrap().count, 1);
    assert_eq!(all.logs::<Command>(&Query::filter(Filter::eq("risk_level", 0))).await.unwrap().count, 3);
    assert_eq!(all.logs::<Command>(&Query::filter(Filter::eq("user_id", bob.id))).await.unwrap().count, 1);
    assert_eq!(all.logs::<SessionRow>(&Query::filter(Filter::eq("user_id", alice.id))).await.unwrap().rows, std::slice::from_ref(&here));
    assert_eq!(all.logs::<LoginLog>(&Query::filter(Filter::eq("status", false))).await.unwrap().count, 2);
    assert_eq!(all.logs::<LoginLog>(&Query::filter(Filter::eq("ip", "192.0.2.7"))).await.unwrap().count, 3);
    assert_eq!(all.logs::<OperateLog>(&Query::filter(Filter::eq("resource", "a"))).await.unwrap().rows[0].after, json!({"name": "a"}));
    for (field, value) in [("session", here.id.to_string()), ("kind", "y".into()), ("actor_id", alice.id.to_string()), ("seq", "2".into())] {
        let found = all.logs::<AuditEntry>(&Query::filter(Filter::eq(field, value))).await.unwrap();
        assert_eq!(found.rows.iter().map(|e| e.seq).collect::<Vec<_>>(), [2], "{field}");
    }
}

pub async fn hostile_text_is_stored(place: &Place) {
    let store = place.open().await;
    let (alice, server) = (user("alice"), asset(Org::DEFAULT, "s", "h", &[]));
    let s = session(Org::DEFAULT, &alice, &server);
    let nasty = "a\0b' \"; -- \u{1b}[2J ?1 $1 \u{202e} 中文 \r\n";
    let mut e = event("login.failed");
    (e.actor, e.target, e.data) = (nasty.into(), nasty.into(), json!({ "typed": nasty }));
    let batch = LogBatch { audit: vec![e], logins: vec![login_log(nasty, None, false)], commands: vec![command(&s, nasty, 1)], ..LogBatch::default() };
    raw(&store).log(batch).await.unwrap();

    assert_eq!(verify(raw(&store), "local").await, 1);
    assert_eq!(raw(&store).chain("local", 0, 1).await.unwrap()[0].event.actor, nasty);
    let all = store.read(us().every_org());
    assert_eq!(all.logs::<Command>(&Query::all()).await.unwrap().rows[0].input, nasty.replace('\0', "\u{fffd}"));
    assert_eq!(all.logs::<LoginLog>(&Query::all().search("中文")).await.unwrap().count, 1);
}

pub async fn checkpoints_are_kept(place: &Place) {
    let store = place.open().await;
    let c =
        |seq| Checkpoint { head: ChainHead { node_id: "local".into(), seq, hash: format!("{seq:064}") }, at: at(seq), key: "k".into(), signature: "s".into() };
    for n in [2, 1, 2] {
        raw(&store).put_checkpoint(c(n)).await.unwrap();
    }
    assert_eq!(raw(&store).checkpoints("local").await.unwrap(), [c(1), c(2)]);
    assert!(raw(&store).checkpoints("else").await.unwrap().is_empty());
}
