use model::{Id, Kind, MfaLevel, Org, Platform, Query, Role, User, UserSecrets, builtin_platforms};
use policy::OrgFilter;
use store::{Change, StoreError};
use testkit::fixtures::*;

use super::world::*;

fn in_use<T: std::fmt::Debug>(r: store::Result<T>) {
    assert!(matches!(r, Err(StoreError::InUse(..))), "{r:?}");
}

pub async fn built_in_objects_are_read_only(place: &Place) {
    let store = place.open().await;
    let all = store.read(us().every_org());
    let role = all.get(Role::ORG_USER).await.unwrap().unwrap();
    let platform = all.get(linux()).await.unwrap().unwrap();
    let mut org = all.get(Org::DEFAULT).await.unwrap().unwrap();

    in_use(delete(&store, role.clone()).await);
    in_use(update(&store, role).await);
    in_use(delete(&store, platform.clone()).await);
    in_use(update(&store, platform).await);
    in_use(delete(&store, org.clone()).await);
    org.comment = "ours".into();
    update(&store, org.clone()).await.unwrap();
    let mut org = again(&store, &org).await;
    org.name = "Renamed".into();
    in_use(update(&store, org).await);

    let mut own = builtin_platforms(start()).remove(0);
    (own.id, own.name) = (Id::generate(), "Own".into());
    insert(&store, [own.clone().into()]).await.unwrap();
    assert!(!again(&store, &own).await.builtin, "only the program makes built-in objects");
    delete(&store, own).await.unwrap();
}

pub async fn the_first_administrator_stays(place: &Place) {
    let store = place.open().await;
    let admin = store.read(us().every_org()).get(User::ADMIN).await.unwrap().unwrap();
    in_use(delete(&store, admin.clone()).await);
    let mut off = admin.clone();
    off.is_active = false;
    in_use(update(&store, off).await);
    let mut ends = admin.clone();
    ends.date_expired = Some(at(1));
    in_use(update(&store, ends).await);
    let mut fine = admin;
    fine.mfa_level = MfaLevel::Forced;
    update(&store, fine).await.unwrap();
}

pub async fn the_last_system_administrator_stays(place: &Place) {
    let store = place.open().await;
    let bindings = store.read(us().every_org()).list::<model::RoleBinding>(&Query::all()).await.unwrap().rows;
    let last = bindings.into_iter().find(|b| b.role == Role::SYSTEM_ADMIN).unwrap();
    in_use(delete(&store, last.clone()).await);
    let mut demoted = last.clone();
    demoted.role = Role::SYSTEM_USER;
    in_use(update(&store, demoted).await);

    let second = user("second");
    insert(&store, [second.clone().into(), binding(second.id, Role::SYSTEM_ADMIN, None).into()]).await.unwrap();
    delete(&store, last).await.unwrap();
    in_use(delete(&store, second.clone()).await);
    let mut off = again(&store, &second).await;
    off.is_active = false;
    in_use(update(&store, off).await);
}

pub async fn organizations_are_deleted_only_when_empty(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme");
    insert(&store, [acme.clone().into()]).await.unwrap();
    let top = root(&store, acme.id).await;
    let alice = user("alice");
    insert(&store, [alice.clone().into()]).await.unwrap();
    let mut below = org("Below");
    below.parent = Some(acme.id);
    let contents: Vec<model::Record> = vec![
        node(&top, 1, "Web").into(),
        asset(acme.id, "a", "h", &[]).into(),
        group(acme.id, "g", &[]).into(),
        rule(acme.id, "r").into(),
        member(alice.id, acme.id).into(),
        below.into(),
    ];
    for content in contents {
        insert(&store, [content.clone()]).await.unwrap();
        in_use(delete(&store, acme.clone()).await);
        delete(&store, content).await.unwrap();
    }

    delete(&store, acme.clone()).await.unwrap();

    assert!(!there(&store, &acme).await);
    assert!(!there(&store, &top).await);
    let next = org("Next");
    insert(&store, [next.clone().into()]).await.unwrap();
    let key = root(&store, next.id).await.key;
    assert_ne!(key, top.key, "keys are not used again");
}

pub async fn deleting_empties_memberships_and_takes_belongings_along(place: &Place) {
    let store = place.open().await;
    let (alice, bob) = (user("alice"), user("bob"));
    let (a, b) = (asset(Org::DEFAULT, "a", "h", &[]), asset(Org::DEFAULT, "b", "h", &[]));
    let login = account(&a, "root");
    let key = public_key(alice.id, "SHA256:x");
    let tie = member(alice.id, Org::DEFAULT);
    let staff = group(Org::DEFAULT, "staff", &[alice.id, bob.id]);
    let folder = node(&root(&store, Org::DEFAULT).await, 1, "Web");
    let mut grant = rule(Org::DEFAULT, "r");
    (grant.users, grant.user_groups, grant.assets, grant.nodes) = (vec![alice.id, bob.id], vec![staff.id], vec![a.id, b.id], vec![folder.id]);
    let all: Vec<model::Record> = vec![
        alice.clone().into(),
        bob.clone().into(),
        a.clone().into(),
        b.clone().into(),
        login.clone().into(),
        key.clone().into(),
        tie.clone().into(),
        staff.clone().into(),
        folder.clone().into(),
        grant.clone().into(),
    ];
    insert(&store, all).await.unwrap();
    raw(&store).put_token(token(alice.id, "hash")).await.unwrap();

    delete(&store, alice.clone()).await.unwrap();
    delete(&store, a.clone()).await.unwrap();
    assert_eq!(again(&store, &staff).await.users, [bob.id]);
    delete(&store, staff).await.unwrap();
    delete(&store, folder).await.unwrap();

    let left = again(&store, &grant).await;
    assert_eq!((left.users, left.user_groups, left.assets, left.nodes), (vec![bob.id], vec![], vec![b.id], vec![]));
    assert!(!there(&store, &login).await);
    assert!(!there(&store, &key).await);
    assert!(!there(&store, &tie).await);
    assert!(raw(&store).token(model::TokenKind::Bearer, "hash", start()).await.unwrap().is_none());
    assert!(matches!(raw(&store).user_secrets(alice.id).await, Err(StoreError::Missing(_))));
}

pub async fn what_is_used_cannot_be_deleted(place: &Place) {
    let store = place.open().await;
    let mut own: Platform = builtin_platforms(start()).remove(0);
    (own.id, own.name) = (Id::generate(), "Own".into());
    let mut server = asset(Org::DEFAULT, "a", "h", &[]);
    server.platform = own.id;
    let first = account(&server, "first");
    let mut then = account(&server, "then");
    then.su_from = Some(first.id);
    insert(&store, [own.clone().into(), server.clone().into(), first.clone().into(), then.into()]).await.unwrap();

    in_use(delete(&store, own.clone()).await);
    in_use(delete(&store, first).await);
    delete(&store, server).await.unwrap();
    delete(&store, own).await.unwrap();
}

pub async fn an_organization_writes_only_about_its_members(place: &Place) {
    let store = place.open().await;
    let acme = org("Acme");
    let (stranger, local) = (user("stranger"), user("local"));
    insert(&store, [acme.clone().into(), stranger.clone().into(), local.clone().into(), member(local.id, acme.id).into()]).await.unwrap();
    let scope = |r: store::Result<_>| assert!(matches!(r, Err(StoreError::Scope(_))), "{r:?}");

    let mut work = unit_in(acme.id);
    work.insert(user("nobody"));
    scope(store.commit(work).await.map(drop));
    let mut work = unit_in(acme.id);
    work.insert(member(stranger.id, acme.id)).update(again(&store, &stranger).await);
    scope(store.commit(work).await.map(drop));
    let mut work = unit_in(acme.id);
    work.changes.push(Change::SetUserSecrets(stranger.id, Box::default()));
    scope(store.commit(work).await.map(drop));
    let mut work = unit_in(acme.id);
    work.insert(public_key(stranger.id, "SHA256:mine"));
    scope(store.commit(work).await.map(drop));
    let mut work = unit_in(acme.id);
    work.insert(member(stranger.id, Org::DEFAULT));
    scope(store.commit(work).await.map(drop));
    let mut work = unit_in(acme.id);
    work.insert(org("More"));
    scope(store.commit(work).await.map(drop));

    let fresh = user("fresh");
    let mut work = unit_in(acme.id);
    work.insert(fresh.clone()).insert(member(fresh.id, acme.id)).update(again(&store, &local).await);
    work.changes.push(Change::SetUserSecrets(fresh.id, Box::new(UserSecrets { password_hash: Some("phc".into()), ..Default::default() })));
    store.commit(work).await.unwrap();
    assert_eq!(raw(&store).user_secrets(fresh.id).await.unwrap().password_hash.as_deref(), Some("phc"));
    assert_eq!(names(&store, OrgFilter::One(acme.id), Kind::User, &Query::all()).await, ["fresh", "local"]);
}

pub async fn who_leaves_an_organization_loses_its_groups_and_rules(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    let (tie, more) = (member(alice.id, Org::DEFAULT), binding(alice.id, Role::ORG_AUDITOR, Some(Org::DEFAULT)));
    let staff = group(Org::DEFAULT, "staff", &[alice.id]);
    let mut grant = rule(Org::DEFAULT, "r");
    grant.users = vec![alice.id];
    insert(&store, [alice.clone().into(), tie.clone().into(), more.clone().into(), staff.clone().into(), grant.clone().into()]).await.unwrap();

    delete(&store, tie).await.unwrap();
    assert_eq!(again(&store, &staff).await.users, [alice.id], "still a member");
    delete(&store, more).await.unwrap();

    assert!(again(&store, &staff).await.users.is_empty());
    assert!(again(&store, &grant).await.users.is_empty());
}

pub async fn bindings_fit_the_scope_of_their_role(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    insert(&store, [alice.clone().into()]).await.unwrap();
    for wrong in [binding(alice.id, Role::ORG_USER, None), binding(alice.id, Role::SYSTEM_ADMIN, Some(Org::DEFAULT))] {
        assert!(matches!(insert(&store, [wrong.into()]).await, Err(StoreError::Scope(_))));
    }
}
