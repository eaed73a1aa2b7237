use std::str::FromStr;

use model::{Entity, Id, Kind, Org, Platform, Query, Record, Role, RoleBinding, User, builtin_platforms, builtin_roles};
use store::{Change, StoreError};
use testkit::fixtures::*;

use super::world::*;

pub async fn a_fresh_database_has_what_is_built_in(place: &Place) {
    let store = place.open().await;
    let all = store.read(us().every_org());

    let orgs = all.list::<Org>(&Query::all()).await.unwrap();
    assert_eq!(orgs.rows.iter().map(|o| o.id).collect::<Vec<_>>(), [Org::DEFAULT, Org::SYSTEM]);
    assert!(orgs.rows.iter().all(|o| o.builtin));
    let default_root = root(&store, Org::DEFAULT).await;
    assert_eq!((default_root.key.as_str(), default_root.value.as_str(), default_root.full_value.as_str()), ("1", "Default", "/Default"));
    assert_eq!(root(&store, Org::SYSTEM).await.key.as_str(), "2");
    assert_eq!(all.list::<Role>(&Query::all()).await.unwrap().count, 7);
    assert_eq!(all.list::<Platform>(&Query::all()).await.unwrap().count, builtin_platforms(start()).len() as u64);

    let admin = all.get(User::ADMIN).await.unwrap().unwrap();
    assert_eq!((admin.username.as_str(), admin.name.as_str()), ("admin", "Administrator"));
    assert_eq!(raw(&store).user_secrets(User::ADMIN).await.unwrap().password_hash, None);
    let roles = raw(&store).memberships(User::ADMIN).await.unwrap();
    assert!(roles.iter().any(|(r, o)| r.id == Role::SYSTEM_ADMIN && o.is_none()));
    assert!(roles.iter().any(|(r, o)| r.id == Role::ORG_ADMIN && *o == Some(Org::DEFAULT)));
    assert_eq!(raw(&store).revision().await.unwrap(), 0);
}

pub async fn every_kind_survives_the_round_trip(place: &Place) {
    let store = place.open().await;
    let org = org("Acme");
    insert(&store, [org.clone().into()]).await.unwrap();
    let top = root(&store, org.id).await;

    let mut alice = user("Alice");
    alice.date_expired = Some(at(99));
    alice.comment = "O'Brien said \"hi\"; -- 你好 \\ %".into();
    let bob = user("bob");
    let web = node(&top, 1, "Web");
    let mut server = asset(org.id, "web1", "10.0.0.1", &[web.id, top.id]);
    server.date_verified = Some(at(5));
    let mut login = account(&server, "root");
    let mut second = account(&server, "app");
    second.su_from = Some(login.id);
    login.date_change_secret = Some(at(7));
    let staff = group(org.id, "staff", &[bob.id, alice.id]);
    let mut grant = rule(org.id, "web for staff");
    grant.users = vec![bob.id, alice.id];
    grant.user_groups = vec![staff.id];
    grant.assets = vec![server.id];
    grant.nodes = vec![web.id, top.id];
    grant.actions = connect_only();
    grant.accounts = vec!["root".into(), "!app".into()];
    let mut platform = builtin_platforms(start()).remove(0);
    (platform.id, platform.name, platform.builtin) = (Id::generate(), "Mine".into(), false);
    let mut role = builtin_roles(start()).remove(1);
    (role.id, role.name, role.builtin) = (Id::generate(), "Own".into(), false);
    let everything: Vec<Record> = vec![
        platform.into(),
        role.into(),
        alice.clone().into(),
        bob.clone().into(),
        public_key(alice.id, "SHA256:aaa").into(),
        member(alice.id, org.id).into(),
        binding(bob.id, Role::SYSTEM_USER, None).into(),
        staff.into(),
        web.into(),
        server.into(),
        login.into(),
        second.into(),
        grant.into(),
    ];
    let revision = insert(&store, everything.clone()).await.unwrap();

    assert_eq!(revision, 2);
    for mut expected in everything {
        expected.meta_mut().revision = 1;
        let got = raw(&store).get(policy::OrgFilter::All, expected.kind(), expected.uuid()).await.unwrap();
        assert_eq!(got, Some(expected));
    }
    let mut changed = again(&store, &alice).await;
    changed.name = "Alice B.".into();
    changed.is_active = false;
    changed.date_expired = None;
    changed.meta.updated_by = "Root".into();
    changed.meta.date_updated = at(50);
    update(&store, changed.clone()).await.unwrap();
    changed.meta.revision = 2;
    assert_eq!(again(&store, &alice).await, changed);
    assert_eq!(raw(&store).revision().await.unwrap(), 3);
}

pub async fn an_existing_id_is_a_conflict(place: &Place) {
    let store = place.open().await;
    let first = user("first");
    insert(&store, [first.clone().into()]).await.unwrap();

    let mut second = user("second");
    second.id = first.id;
    let e = insert(&store, [second.into()]).await.unwrap_err();

    assert!(matches!(e, StoreError::Conflict(_)), "{e}");
}

pub async fn an_update_of_an_old_revision_is_stale(place: &Place) {
    let store = place.open().await;
    let group = group(Org::DEFAULT, "staff", &[]);
    insert(&store, [group.clone().into()]).await.unwrap();
    let mine = again(&store, &group).await;
    let mut theirs = mine.clone();
    theirs.comment = "theirs".into();
    update(&store, theirs).await.unwrap();

    let mut mine = mine;
    mine.comment = "mine".into();
    let e = update(&store, mine.clone()).await.unwrap_err();

    assert!(matches!(e, StoreError::Stale(_)), "{e}");
    assert_eq!(again(&store, &group).await.comment, "theirs");
    delete(&store, mine.clone()).await.unwrap();
    let e = update(&store, mine.clone()).await.unwrap_err();
    assert!(matches!(e, StoreError::Missing(_)), "{e}");
    let e = delete(&store, mine).await.unwrap_err();
    assert!(matches!(e, StoreError::Missing(_)), "{e}");
}

pub async fn a_unit_of_work_is_all_or_nothing(place: &Place) {
    let store = place.open().await;
    let good = user("good");
    let mut work = unit();
    work.insert(good.clone());
    work.insert(public_key(Id::generate(), "SHA256:nobody"));
    work.audit(event("user.create"));
    work.operate.push(operate_log(None, "good"));

    let e = store.commit(work).await.unwrap_err();

    assert!(matches!(e, StoreError::Reference(_)), "{e}");
    assert!(!there(&store, &good).await);
    assert_eq!(raw(&store).revision().await.unwrap(), 0);
    assert_eq!(raw(&store).chain_head("local").await.unwrap().seq, 0);
    assert_eq!(store.read(us().every_org()).logs::<model::OperateLog>(&Query::all()).await.unwrap().count, 0);
}

pub async fn names_are_unique_where_the_model_says_so(place: &Place) {
    let store = place.open().await;
    let other = org("Other");
    let alice = user("alice");
    let web = asset(Org::DEFAULT, "web1", "10.0.0.1", &[]);
    let root = account(&web, "root");
    let key = public_key(alice.id, "SHA256:a");
    let all: Vec<Record> = vec![
        other.clone().into(),
        alice.clone().into(),
        web.clone().into(),
        root.clone().into(),
        key.clone().into(),
        group(Org::DEFAULT, "staff", &[]).into(),
        rule(Org::DEFAULT, "r").into(),
        member(alice.id, Org::DEFAULT).into(),
    ];
    insert(&store, all).await.unwrap();

    let mut same_mail = user("someone");
    same_mail.email = alice.email.to_uppercase();
    let mut other_name = root.clone();
    (other_name.id, other_name.username) = (Id::generate(), "else".into());
    let mut same_login = root.clone();
    (same_login.id, same_login.name) = (Id::generate(), "else".into());
    let cases: Vec<(Record, &str)> = vec![
        (org("Other").into(), "name"),
        (user(" ALICE ").into(), "username"),
        (same_mail.into(), "email"),
        (asset(Org::DEFAULT, "web1", "10.0.0.2", &[]).into(), "name"),
        (other_name.into(), "name"),
        (same_login.into(), "username"),
        (public_key(alice.id, "SHA256:a").into(), "public_key"),
        (group(Org::DEFAULT, "staff", &[]).into(), "name"),
        (rule(Org::DEFAULT, "r").into(), "name"),
        (member(alice.id, Org::DEFAULT).into(), "role"),
    ];
    for (record, field) in cases {
        let kind = record.kind().resource();
        match insert(&store, [record]).await {
            Err(StoreError::Duplicate { kind: k, field: f, .. }) => assert_eq!((k, f), (kind, field)),
            other => panic!("{kind}.{field}: {other:?}"),
        }
    }

    let fine: Vec<Record> = vec![asset(other.id, "web1", "10.0.0.1", &[]).into(), group(other.id, "staff", &[]).into(), rule(other.id, "r").into()];
    insert(&store, fine).await.unwrap();
    let (mut a, mut b) = (user("nomail1"), user("nomail2"));
    (a.email, b.email) = (String::new(), String::new());
    insert(&store, [a.into(), b.into()]).await.unwrap();
    let mut renamed = again(&store, &alice).await;
    renamed.username = "NoMail1".into();
    assert!(matches!(update(&store, renamed).await, Err(StoreError::Duplicate { field: "username", .. })));
}

pub async fn references_must_exist_in_the_same_organization(place: &Place) {
    let store = place.open().await;
    let other = org("Other");
    insert(&store, [other.clone().into()]).await.unwrap();
    let theirs = root(&store, other.id).await;
    let far = asset(other.id, "far", "10.1.0.1", &[]);
    let crew = group(other.id, "crew", &[]);
    let near = asset(Org::DEFAULT, "near", "10.0.0.1", &[]);
    insert(&store, [far.clone().into(), crew.clone().into(), near.clone().into()]).await.unwrap();

    let in_far_node = asset(Org::DEFAULT, "a", "h", &[theirs.id]);
    let mut on_far_asset = account(&far, "root");
    on_far_asset.org = Org::DEFAULT;
    let mut no_platform = asset(Org::DEFAULT, "b", "h", &[]);
    no_platform.platform = Id::generate();
    let (mut r1, mut r2, mut r3, mut r4) = (rule(Org::DEFAULT, "1"), rule(Org::DEFAULT, "2"), rule(Org::DEFAULT, "3"), rule(Org::DEFAULT, "4"));
    r1.assets = vec![far.id];
    r2.nodes = vec![theirs.id];
    r3.user_groups = vec![crew.id];
    r4.users = vec![Id::generate()];
    let mut su = account(&near, "su");
    su.su_from = Some(Id::generate());
    let mut nowhere = group(Org::DEFAULT, "g", &[]);
    nowhere.org = Id::generate();
    let cases: Vec<Record> = vec![
        in_far_node.into(),
        on_far_asset.into(),
        no_platform.into(),
        r1.into(),
        r2.into(),
        r3.into(),
        r4.into(),
        su.into(),
        nowhere.into(),
        group(Org::DEFAULT, "g2", &[Id::generate()]).into(),
        binding(Id::generate(), Role::SYSTEM_USER, None).into(),
        binding(User::ADMIN, Id::generate(), None).into(),
    ];
    for record in cases {
        let name = format!("{:?} {}", record.kind(), record.name());
        let e = insert(&store, [record]).await.unwrap_err();
        assert!(matches!(e, StoreError::Reference(_)), "{name}: {e}");
    }
    let mut moved = again(&store, &near).await;
    moved.nodes = vec![theirs.id];
    assert!(matches!(update(&store, moved).await, Err(StoreError::Reference(_))));
    let mut secret = secret(&account(&near, "x"), 1, "s");
    secret.account = Id::generate();
    let mut work = unit();
    work.changes.push(Change::AddAccountSecret(Box::new(secret)));
    assert!(matches!(store.commit(work).await, Err(StoreError::Reference(_))));
}

pub async fn another_organization_cannot_be_read_changed_or_deleted(place: &Place) {
    let store = place.open().await;
    let (mine, theirs) = (org("Mine"), org("Theirs"));
    let secret_server = asset(theirs.id, "secret", "10.9.9.9", &[]);
    let login = account(&secret_server, "root");
    insert(&store, [mine.clone().into(), theirs.clone().into(), secret_server.clone().into(), login.clone().into()]).await.unwrap();

    let here = store.read(us().org(mine.id));
    assert_eq!(here.get(secret_server.id).await.unwrap(), None);
    assert_eq!(here.get(theirs.id).await.unwrap(), None);
    assert_eq!(here.get(root(&store, theirs.id).await.id).await.unwrap(), None);
    assert!(here.connect_facts(User::ADMIN, secret_server.id).await.unwrap().is_none());

    let stored = again(&store, &secret_server).await;
    let mut work = unit_in(mine.id);
    work.update(stored.clone());
    assert!(matches!(store.commit(work).await, Err(StoreError::Scope(_))));
    // a record that lies about its organization is not there
    let mut lie = stored.clone();
    lie.org = mine.id;
    let mut work = unit_in(mine.id);
    work.update(lie.clone());
    assert!(matches!(store.commit(work).await, Err(StoreError::Missing(_))));
    let mut work = unit_in(mine.id);
    work.delete(lie);
    assert!(matches!(store.commit(work).await, Err(StoreError::Missing(_))));
    assert_eq!(again(&store, &secret_server).await, stored);
    let mut work = unit_in(mine.id);
    work.changes.push(Change::ForgetHostKeys(secret_server.id));
    store.commit(work).await.unwrap();
}

pub async fn a_restart_keeps_everything(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    let revision = insert(&store, [alice.clone().into()]).await.unwrap();
    let kept = again(&store, &alice).await;
    raw(&store).close().await;
    assert!(matches!(raw(&store).ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(insert(&store, [user("late").into()]).await, Err(StoreError::Unavailable(_))));

    let store = place.open().await;

    assert_eq!(again(&store, &alice).await, kept);
    assert_eq!(raw(&store).revision().await.unwrap(), revision);
    let bindings = store.read(us().every_org()).list::<RoleBinding>(&Query::all()).await.unwrap();
    assert_eq!(bindings.count, 2);
    assert_eq!(store.read(us().every_org()).list::<Role>(&Query::all()).await.unwrap().rows[0].meta().revision, 1);
}

pub async fn secrets_of_accounts_have_a_history(place: &Place) {
    let store = place.open().await;
    let server = asset(Org::DEFAULT, "web1", "10.0.0.1", &[]);
    let login = account(&server, "root");
    let mut work = unit();
    work.insert(server.clone()).insert(login.clone());
    for v in 1..=3 {
        work.changes.push(Change::AddAccountSecret(Box::new(secret(&login, v, &format!("sealed{v}")))));
    }
    store.commit(work).await.unwrap();

    let here = store.read(us().org(Org::DEFAULT));
    let versions = |s: Vec<model::AccountSecret>| s.into_iter().map(|s| (s.version, s.secret.unwrap().0)).collect::<Vec<_>>();
    assert_eq!(versions(here.account_secrets(login.id).await.unwrap()), [(3, "sealed3".into()), (2, "sealed2".into()), (1, "sealed1".into())]);
    assert!(store.read(us().org(Org::SYSTEM)).account_secrets(login.id).await.unwrap().is_empty());

    let mut work = unit();
    work.changes.push(Change::ResealAccountSecret(Box::new(secret(&login, 2, "again2"))));
    store.commit(work).await.unwrap();
    assert_eq!(versions(raw(&store).all_account_secrets(1, 1).await.unwrap()), [(2, "again2".into())]);
    let mut work = unit();
    work.changes.push(Change::AddAccountSecret(Box::new(secret(&login, 3, "twice"))));
    assert!(matches!(store.commit(work).await, Err(StoreError::Stale(_))));
    let before = raw(&store).revision().await.unwrap();
    delete(&store, server).await.unwrap();
    assert_eq!(raw(&store).revision().await.unwrap(), before + 1);
    assert!(raw(&store).all_account_secrets(0, 10).await.unwrap().is_empty());
}

pub async fn host_keys_are_replaced_by_algorithm(place: &Place) {
    let store = place.open().await;
    let server = asset(Org::DEFAULT, "web1", "10.0.0.1", &[]);
    let (old, new) = (host_key(&server, "SHA256:old"), host_key(&server, "SHA256:new"));
    let mut rsa = host_key(&server, "SHA256:rsa");
    rsa.algorithm = "rsa-sha2-512".into();
    let mut work = unit();
    work.insert(server.clone());
    work.changes.extend([Change::PutHostKey(Box::new(old)), Change::PutHostKey(Box::new(rsa.clone())), Change::PutHostKey(Box::new(new.clone()))]);
    store.commit(work).await.unwrap();

    assert_eq!(store.read(us().org(Org::DEFAULT)).host_keys(server.id).await.unwrap(), [rsa, new]);
    assert!(store.read(us().org(Org::SYSTEM)).host_keys(server.id).await.unwrap().is_empty());

    let before = raw(&store).revision().await.unwrap();
    let mut work = unit_in(Org::DEFAULT);
    work.changes.push(Change::ForgetHostKeys(server.id));
    store.commit(work).await.unwrap();
    assert!(store.read(us().org(Org::DEFAULT)).host_keys(server.id).await.unwrap().is_empty());
    assert_eq!(raw(&store).revision().await.unwrap(), before + 1, "whoever keeps host keys in mind has to read them again");
    assert!(raw(&store).get(policy::OrgFilter::All, Kind::Asset, uuid::Uuid::from_str(&server.id.to_string()).unwrap()).await.unwrap().is_some());
}
