//! Outages, crashes, copies and speed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use model::{Asset, Filter, Org, Query, Record};
use policy::{Authority, OrgFilter};
use store::{AttemptKey, Backend, LogBatch, Store, StoreError, UnitOfWork};
use store_sql::Options;
use testkit::fixtures::*;

fn url(dir: &Path) -> String {
    format!("sqlite://{}", dir.join("rampart.db").display())
}

fn raw(store: &Store) -> &dyn Backend {
    store.node(Authority::of_this_node())
}

fn one_event() -> LogBatch {
    LogBatch { audit: vec![event("x")], ..LogBatch::default() }
}

#[allow(clippy::disallowed_methods, reason = "how a test talks to its other process")]
/// Started by the test below as a process of its own: writes until it is killed and says what was confirmed.
#[tokio::test]
async fn helper_that_writes_for_ever() {
    let Ok(url) = std::env::var("STORE_SQL_TEST_WRITE_TO") else { return };
    let store = store_sql::open(&url, Options::default()).await.unwrap();
    loop {
        let seq = raw(&store).log(one_event()).await.unwrap()[0].seq;
        eprintln!("confirmed {seq}");
    }
}

#[tokio::test]
async fn what_was_confirmed_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_writes_for_ever", "--nocapture"])
        .env("STORE_SQL_TEST_WRITE_TO", url(dir.path()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stderr.take().unwrap()).lines();
    let confirmed = |l: Option<std::io::Result<String>>| l.and_then(Result::ok).and_then(|l| l.strip_prefix("confirmed ").and_then(|n| n.parse::<i64>().ok()));
    let mut last = 0;
    while last < 200 {
        last = confirmed(lines.next()).unwrap_or(last);
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    while let Some(n) = confirmed(lines.next()) {
        last = n;
    }

    let store = store_sql::open(&url(dir.path()), Options::default()).await.unwrap();
    let head = raw(&store).chain_head("local").await.unwrap();
    assert!(head.seq >= last, "confirmed {last}, kept {}", head.seq);
    assert_eq!(raw(&store).log(one_event()).await.unwrap()[0].prev_hash, head.hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_is_reported_and_survived() {
    let mut server = tokio::task::spawn_blocking(testkit::Postgres::start).await.unwrap().unwrap();
    let store = store_sql::open(&server.database().unwrap(), Options::default()).await.unwrap();
    raw(&store).log(one_event()).await.unwrap();
    raw(&store).ping().await.unwrap();

    server = tokio::task::spawn_blocking(move || {
        server.halt();
        server
    })
    .await
    .unwrap();
    let began = Instant::now();
    assert!(matches!(raw(&store).log(one_event()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(raw(&store).ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(raw(&store).revision().await, Err(StoreError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(20), "callers hear of it soon: {:?}", began.elapsed());

    let _server = tokio::task::spawn_blocking(move || {
        server.resume().unwrap();
        server
    })
    .await
    .unwrap();
    assert_eq!(raw(&store).log(one_event()).await.unwrap()[0].seq, 2, "recovers by itself, without a gap");
    raw(&store).ping().await.unwrap();
    assert_eq!(raw(&store).chain("local", 0, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_share_one_fresh_database() {
    let server = tokio::task::spawn_blocking(testkit::Postgres::start).await.unwrap().unwrap();
    let url = server.database().unwrap();
    let mut nodes = tokio::task::JoinSet::new();
    for n in 0..4 {
        let url = url.clone();
        nodes.spawn(async move {
            let store = store_sql::open(&url, Options { readers: 2, ..Options::for_node(&format!("node-{n}")) }).await.unwrap();
            // all of them fight for the same names
            let mut made = 0;
            for i in 0..20 {
                let mut work = UnitOfWork::global(Authority::of_this_node().global());
                work.insert(group(Org::DEFAULT, &format!("g{i}"), &[])).audit(event("usergroup.create"));
                match store.commit(work).await {
                    Ok(_) => made += 1,
                    Err(StoreError::Duplicate { field: "name", .. }) => {}
                    Err(e) => panic!("{e}"),
                }
            }
            (store, made)
        });
    }
    let mut made = 0;
    let mut stores = Vec::new();
    while let Some(r) = nodes.join_next().await {
        let (store, n) = r.unwrap();
        made += n;
        stores.push(store);
    }
    assert_eq!(made, 20);
    assert_eq!(raw(&stores[0]).revision().await.unwrap(), 20);
    assert_eq!(raw(&stores[0]).list(OrgFilter::All, model::Kind::Org, &Query::all()).await.unwrap().count, 2);
}

#[tokio::test]
async fn a_backup_is_a_whole_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_sql::open(&url(dir.path()), Options::default()).await.unwrap();
    raw(&store).log(one_event()).await.unwrap();
    let copy = dir.path().join("o'copy.db");
    raw(&store).backup(&copy).await.unwrap();
    assert!(raw(&store).backup(&copy).await.is_err(), "a backup is never overwritten");

    let restored = store_sql::open(&format!("sqlite://{}", copy.display()), Options::default()).await.unwrap();
    assert_eq!(raw(&restored).chain_head("local").await.unwrap(), raw(&store).chain_head("local").await.unwrap());
}

#[tokio::test]
async fn bad_urls_are_named() {
    for bad in ["", "mysql://x", "sqlite://", "/tmp/x", "postgres://h:notaport/x"] {
        let e = store_sql::open(bad, Options::default()).await.err().expect(bad);
        assert!(matches!(e, StoreError::BadValue(_)), "{bad}: {e}");
        assert!(!e.to_string().contains("secret"));
    }
    assert!(matches!(store_sql::open("sqlite:///nowhere/at/all.db", Options::default()).await.err(), Some(StoreError::Unavailable(_))));
    let e = store_sql::open("postgres://u:secret@127.0.0.1:1/x", Options::default()).await.err().unwrap();
    assert!(matches!(&e, StoreError::Unavailable(_)) && !e.to_string().contains("secret"), "{e}");
}

/// The connect path: a person with many rules, an asset among many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_are_found_fast_among_many_assets() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_sql::open(&url(dir.path()), Options::default()).await.unwrap();
    let all = store.read(Authority::of_this_node().every_org());
    let top = all.find::<model::Node>(Query::filter(Filter::eq("key", "1"))).await.unwrap().unwrap();
    let alice = user("alice");
    let staff = group(Org::DEFAULT, "staff", &[alice.id]);
    let nodes: Vec<model::Node> = (1..=50).map(|n| node(&top, n, &format!("n{n}"))).collect();
    let assets: Vec<Asset> = (0..5000).map(|n| asset(Org::DEFAULT, &format!("a{n}"), "10.0.0.1", &[nodes[n % 50].id])).collect();
    let mut work = UnitOfWork::global(Authority::of_this_node().global());
    let mut records: Vec<Record> = vec![alice.clone().into(), staff.clone().into()];
    records.extend(nodes.iter().cloned().map(Record::from));
    records.extend(assets.iter().cloned().map(Record::from));
    records.extend(assets.iter().map(|a| account(a, "root").into()));
    for (n, folder) in nodes.iter().enumerate().take(30) {
        let mut r = rule(Org::DEFAULT, &format!("r{n}"));
        r.user_groups = vec![staff.id];
        r.nodes = vec![folder.id];
        r.assets = assets.iter().skip(n * 100).take(500).map(|a| a.id).collect();
        records.push(r.into());
    }
    for r in records {
        work.insert(r);
    }
    let began = Instant::now();
    store.commit(work).await.unwrap();
    eprintln!("10,000 objects written in {:?}", began.elapsed());

    let mut times: Vec<Duration> = Vec::new();
    for a in assets.iter().step_by(50) {
        let began = Instant::now();
        let facts = raw(&store).connect_facts(OrgFilter::All, alice.id, a.id).await.unwrap().unwrap();
        times.push(began.elapsed());
        assert_eq!((facts.rules.len(), facts.accounts.len()), (30, 1));
    }
    times.sort();
    let began = Instant::now();
    let page = raw(&store).granted_assets(alice.id, at(1), &Query::all().page(0, 50)).await.unwrap();
    eprintln!("connect_facts: median {:?}, worst {:?}; first page of {} granted assets: {:?}", times[50], times[99], page.count, began.elapsed());
    // generous: a debug build on a busy machine
    assert!(times[50] < Duration::from_millis(20), "{:?}", times[50]);
}

/// A process that has the file to itself does not ask for the revision or for failures; it must notice its own changes all
/// the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_file_alone_sees_his_own_changes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_sql::open(&url(dir.path()), Options { exclusive: true, ..Options::default() }).await.unwrap();
    let raw = raw(&store);
    let key = AttemptKey { scope: "user", value: "alice".into() };
    let now = start();
    assert!(raw.user_by_username("alice").await.unwrap().is_none());
    assert_eq!(raw.failures(&key, now, 60).await.unwrap(), 0);

    let alice = user("alice");
    let mut work = UnitOfWork::global(Authority::of_this_node().global());
    work.insert(alice.clone());
    store.commit(work).await.unwrap();
    assert_eq!(raw.user_by_username("alice").await.unwrap().map(|u| u.id), Some(alice.id));

    for n in 1..=3 {
        assert_eq!(raw.count_failure(&key, now, 60).await.unwrap(), n);
        assert_eq!(raw.failures(&key, now, 60).await.unwrap(), n);
    }
    raw.clear_failures(&key).await.unwrap();
    assert_eq!(raw.failures(&key, now, 60).await.unwrap(), 0);

    let again = store.read(Authority::of_this_node().every_org()).get(alice.id).await.unwrap().unwrap();
    let mut work = UnitOfWork::global(Authority::of_this_node().global());
    work.delete(again);
    store.commit(work).await.unwrap();
    assert!(raw.user_by_username("alice").await.unwrap().is_none());
}
