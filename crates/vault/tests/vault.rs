//! The vault over a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use model::{Account, Asset, Category, Clock as _, Connectivity, Id, Meta, Node, Org, ProtocolPort, Query, SecretType, SystemClock, User, builtin_platforms};
use policy::{Authority, Decider, Granted, Memberships, action::Reveal};
use proptest::prelude::*;
use store::{Change, Store, UnitOfWork};
use vault::{Aad, Algorithm, Field, MasterKey, Own, Secret, Vault, VaultError};

fn authority() -> Authority {
    Authority::of_this_node()
}
fn secret(s: &str) -> Secret<String> {
    Secret::new(s.to_owned())
}

struct House {
    dir: tempfile::TempDir,
    store: Store,
    vault: Vault,
    accounts: Vec<Account>,
}

/// A database with one asset and `n` accounts, each with two versions of its secret.
async fn house(n: usize) -> House {
    let dir = tempfile::tempdir().unwrap();
    let store = store_sql::open(&format!("sqlite://{}/db", dir.path().display()), store_sql::Options::default()).await.unwrap();
    let master = MasterKey::load_or_create(dir.path().join("keys/master.key")).unwrap();
    let vault = Vault::open_store(store.clone(), authority(), master).await.unwrap();
    let now = SystemClock.now();
    let scope = authority().org(Org::DEFAULT);
    let root = store.read(scope).list::<Node>(&Query::all()).await.unwrap().rows[0].id;
    let platform = builtin_platforms(now)[0].clone();
    let asset = Asset {
        id: Id::generate(),
        org: Org::DEFAULT,
        name: "web1".into(),
        address: "192.0.2.1".into(),
        platform: platform.id,
        category: Category::Host,
        nodes: vec![root],
        protocols: vec![ProtocolPort { name: "ssh".into(), port: 22 }],
        is_active: true,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        comment: String::new(),
        meta: Meta::new("test", now),
    };
    let accounts: Vec<Account> = (0..n).map(|i| account(&asset, i)).collect();
    let mut work = UnitOfWork::in_org(scope);
    work.insert(asset.clone());
    for a in &accounts {
        work.insert(a.clone());
        for version in 1..=2 {
            let s = vault.seal_account(a, version, Some(&secret(&format!("pw-{}-{version}", a.username))), Some(&secret("kV9 saying")), ("test", now)).unwrap();
            work.changes.push(Change::AddAccountSecret(Box::new(s)));
        }
    }
    store.commit(work).await.unwrap();
    House { dir, store, vault, accounts }
}

fn account(asset: &Asset, i: usize) -> Account {
    Account {
        id: Id::generate(),
        org: asset.org,
        asset: asset.id,
        name: format!("user{i}"),
        username: format!("user{i}"),
        secret_type: SecretType::Password,
        has_secret: true,
        privileged: false,
        is_active: true,
        secret_reset: true,
        su_from: None,
        source: "local".into(),
        version: 2,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        date_change_secret: None,
        comment: String::new(),
        meta: Meta::new("test", SystemClock.now()),
    }
}

fn reveal(account: &Account) -> Granted<Reveal> {
    reveal_in(account, account.org)
}
fn reveal_in(account: &Account, org: Id<Org>) -> Granted<Reveal> {
    let who = authority().local_admin();
    Decider.decide::<Reveal>(&who, &Memberships::default(), authority().org(org), account.clone()).unwrap()
}

#[tokio::test]
async fn a_grant_opens_the_newest_secret_of_its_account_and_of_no_other() {
    let h = house(2).await;

    let opened = h.vault.open(&reveal(&h.accounts[0])).await.unwrap();
    assert_eq!(opened.secret.expose(), "pw-user0-2");
    assert_eq!(opened.passphrase.unwrap().expose(), "kV9 saying");
    assert_eq!(opened.version, 2);
    assert_eq!(h.vault.open(&reveal(&h.accounts[1])).await.unwrap().secret.expose(), "pw-user1-2");
    assert_eq!(h.vault.open_version(&reveal(&h.accounts[0]), 1).await.unwrap().secret.expose(), "pw-user0-1");

    let elsewhere = h.vault.open(&reveal_in(&h.accounts[0], Org::SYSTEM)).await;
    assert!(matches!(elsewhere, Err(VaultError::NoSecret)));
    let stranger = Account { id: Id::generate(), ..h.accounts[0].clone() };
    assert!(matches!(h.vault.open(&reveal(&stranger)).await, Err(VaultError::NoSecret)));
}

#[tokio::test]
async fn a_sealed_secret_moved_to_another_account_version_or_field_does_not_open() {
    let h = house(2).await;
    let rows = h.store.node(authority()).all_account_secrets(0, 100).await.unwrap();
    let of = |i: usize, v: i64| rows.iter().find(|r| r.account == h.accounts[i].id && r.version == v).unwrap().clone();
    let places = [
        // user1's newest gets the secret of user0, the older one of its own, its own passphrase
        store_row(of(1, 2), of(0, 2).secret),
        store_row(of(1, 2), of(1, 1).secret),
        store_row(of(1, 2), of(1, 2).passphrase),
    ];
    for row in places {
        let mut work = UnitOfWork::in_org(authority().org(Org::DEFAULT));
        work.changes.push(Change::ResealAccountSecret(Box::new(row)));
        h.store.commit(work).await.unwrap();

        assert!(matches!(h.vault.open(&reveal(&h.accounts[1])).await, Err(VaultError::Integrity)));
    }
}

fn store_row(mut row: model::AccountSecret, secret: Option<model::Sealed>) -> model::AccountSecret {
    row.secret = secret;
    row
}

#[tokio::test]
async fn every_flipped_bit_of_a_sealed_text_is_found() {
    let h = house(0).await;
    let (user, other) = (Id::<User>::generate(), Id::<User>::generate());
    for algorithm in [Algorithm::Aes256Gcm, Algorithm::Sm4Gcm] {
        h.vault.rotate_data_key(algorithm).await.unwrap();
        let sealed = h.vault.seal_own(&Own::OtpSeed(user), &secret("JBSWY3DPEHPK3PXP")).unwrap();
        assert!(sealed.0.starts_with(&format!("v1:{}:", algorithm.as_str())), "{}", sealed.0);
        assert_eq!(h.vault.open_own(&Own::OtpSeed(user), &sealed).await.unwrap().expose(), "JBSWY3DPEHPK3PXP");
        assert!(h.vault.open_own(&Own::OtpSeed(other), &sealed).await.is_err());
        assert!(h.vault.open_own(&Own::Setting(format!("user:{user}:otp")), &sealed).await.is_err());

        for i in 0..sealed.0.len() {
            for bit in 0..7 {
                let mut bytes = sealed.0.clone().into_bytes();
                bytes[i] ^= 1 << bit;
                let changed = model::Sealed(String::from_utf8(bytes).unwrap());
                assert!(h.vault.open_own(&Own::OtpSeed(user), &changed).await.is_err(), "byte {i} bit {bit}: {}", changed.0);
            }
            let cut = model::Sealed(sealed.0[..i].to_owned());
            assert!(h.vault.open_own(&Own::OtpSeed(user), &cut).await.is_err());
        }
    }
}

#[tokio::test]
async fn the_database_holds_no_secret_in_clear() {
    let h = house(3).await;
    h.store.node(authority()).close().await;

    for file in std::fs::read_dir(h.dir.path()).unwrap().map(Result::unwrap).filter(|f| f.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        for planted in ["pw-user0-2", "pw-user1-1", "kV9 saying"] {
            assert!(!bytes.windows(planted.len()).any(|w| w == planted.as_bytes()), "{planted} in {:?}", file.path());
        }
    }
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_with_a_clear_sentence() {
    let h = house(1).await;
    let right = h.vault.master_id();

    let wrong = MasterKey::generate().unwrap();
    let error = Vault::open_store(h.store.clone(), authority(), wrong.clone()).await.unwrap_err();

    let text = error.to_string();
    assert!(text.contains("wrong master key") && text.contains(&right) && text.contains(&wrong.id()), "{text}");
}

#[tokio::test]
async fn the_master_key_rotates_and_its_file_with_it() {
    let h = house(2).await;
    let path = h.dir.path().join("keys/master.key");
    let before = h.vault.master_id();
    let old = MasterKey::load(&path).unwrap();

    h.vault.rotate_master(MasterKey::generate().unwrap()).await.unwrap();

    assert_ne!(h.vault.master_id(), before);
    assert_eq!(h.vault.open(&reveal(&h.accounts[0])).await.unwrap().secret.expose(), "pw-user0-2");
    let reopened = Vault::open_store(h.store.clone(), authority(), MasterKey::load(&path).unwrap()).await.unwrap();
    assert_eq!(reopened.open(&reveal(&h.accounts[1])).await.unwrap().secret.expose(), "pw-user1-2");
    assert!(matches!(Vault::open_store(h.store.clone(), authority(), old).await, Err(VaultError::WrongMasterKey { .. })));
    assert!(!path.with_extension("key.next").exists());
}

#[tokio::test]
async fn a_master_key_rotation_that_was_interrupted_is_finished_at_the_next_start() {
    let h = house(1).await;
    h.vault.rotate_data_key(Algorithm::Sm4Gcm).await.unwrap();
    h.vault.rotate_data_key(Algorithm::Aes256Gcm).await.unwrap();
    let path = h.dir.path().join("keys/master.key");
    let new = MasterKey::from_text(&"ab".repeat(32)).unwrap();

    // the state after a crash: the successor lies beside the key, one data key of three is done
    let half = Vault::open_store(h.store.clone(), authority(), MasterKey::load(&path).unwrap()).await.unwrap();
    half.rotate_master(new).await.unwrap();
    let after: Vec<_> = h.store.node(authority()).key_material().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let old = MasterKey::generate().unwrap();
    let revived = Vault::open_store(h.store.clone(), authority(), MasterKey::from_text(&text).unwrap()).await.unwrap();
    revived.rotate_master(old.clone()).await.unwrap();
    h.store.node(authority()).put_key_material(after.into_iter().find(|k| k.id == 1).unwrap()).await.unwrap();

    let stuck = Vault::open_store(h.store.clone(), authority(), old.clone()).await;
    assert!(matches!(stuck, Err(VaultError::WrongMasterKey { .. })));
    let next = MasterKey::from_text(&text).unwrap();
    let vault = Vault::open_store(h.store.clone(), authority(), old.with_next(next.clone())).await.unwrap();
    assert_eq!(vault.master_id(), next.id());
    assert_eq!(vault.open(&reveal(&h.accounts[0])).await.unwrap().secret.expose(), "pw-user0-2");
    Vault::open_store(h.store.clone(), authority(), next).await.unwrap();
}

#[tokio::test]
async fn data_keys_rotate_while_secrets_stay_readable_and_everything_is_sealed_anew() {
    let h = house(230).await;
    let user = User::ADMIN;
    let backend = h.store.node(authority());
    let mut secrets = backend.user_secrets(user).await.unwrap();
    secrets.otp = Some(h.vault.seal_own(&Own::OtpSeed(user), &secret("JBSWY3DPEHPK3PXP")).unwrap());
    backend.set_user_secrets(user, secrets).await.unwrap();

    let key = h.vault.rotate_data_key(Algorithm::Sm4Gcm).await.unwrap();
    assert_eq!(h.vault.open(&reveal(&h.accounts[7])).await.unwrap().secret.expose(), "pw-user7-2");
    let mut windows = Vec::new();
    let done = h.vault.reseal_all(|p| windows.push(p)).await.unwrap();

    assert_eq!((done.total.resealed, done.total.damaged, h.vault.active_key()), (461, 0, (key, Algorithm::Sm4Gcm)));
    assert!(windows.len() > 3 && windows.iter().any(|p| p.resealed == 200));
    let prefix = format!("v1:sm4-gcm:{key}:");
    for row in backend.all_account_secrets(0, 1000).await.unwrap() {
        assert!(row.secret.unwrap().0.starts_with(&prefix) && row.passphrase.unwrap().0.starts_with(&prefix));
    }
    let otp = backend.user_secrets(user).await.unwrap().otp.unwrap();
    assert_eq!(h.vault.open_own(&Own::OtpSeed(user), &otp).await.unwrap().expose(), "JBSWY3DPEHPK3PXP");
    for a in [0, 100, 229] {
        assert_eq!(h.vault.open(&reveal(&h.accounts[a])).await.unwrap().secret.expose(), &format!("pw-user{a}-2"));
    }
    let again = h.vault.reseal_all(|_| {}).await.unwrap();
    assert_eq!(again.total.resealed, 0);
}

#[tokio::test]
async fn a_damaged_row_is_named_and_stops_nothing() {
    let h = house(3).await;
    let mut row = h.store.node(authority()).all_account_secrets(0, 1).await.unwrap().remove(0);
    let (account, version) = (row.account, row.version);
    let mut text = row.secret.unwrap().0;
    text.replace_range(text.len() - 3.., "AAA");
    row.secret = Some(model::Sealed(text));
    let mut work = UnitOfWork::global(authority().global());
    work.changes.push(Change::ResealAccountSecret(Box::new(row)));
    h.store.commit(work).await.unwrap();

    h.vault.rotate_data_key(Algorithm::Aes256Gcm).await.unwrap();
    let done = h.vault.reseal_all(|_| {}).await.unwrap();

    assert_eq!(done.damaged, [format!("account {account} version {version}")]);
    assert_eq!(done.total.resealed, 5);
}

#[tokio::test]
async fn a_vault_that_is_open_reads_what_another_node_sealed_with_a_newer_key() {
    let h = house(1).await;
    let other = Vault::open_store(h.store.clone(), authority(), MasterKey::load(h.dir.path().join("keys/master.key")).unwrap()).await.unwrap();

    other.rotate_data_key(Algorithm::Sm4Gcm).await.unwrap();
    let sealed = other.seal_own(&Own::Setting("x".into()), &secret("y")).unwrap();

    assert_eq!(h.vault.open_own(&Own::Setting("x".into()), &sealed).await.unwrap().expose(), "y");
}

#[tokio::test]
async fn rotation_leaves_evidence() {
    let h = house(1).await;
    h.vault.rotate_data_key(Algorithm::Sm4Gcm).await.unwrap();
    h.vault.reseal_all(|_| {}).await.unwrap();
    h.vault.rotate_master(MasterKey::generate().unwrap()).await.unwrap();

    let kinds: Vec<String> = h.store.node(authority()).chain("local", 0, 100).await.unwrap().into_iter().map(|e| e.event.kind).collect();
    for kind in ["vault.data_key_rotated", "vault.resealed", "vault.master_rotated"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn the_key_file_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/master.key");

    let made = MasterKey::load_or_create(&path).unwrap();

    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(MasterKey::load_or_create(&path).unwrap().id(), made.id());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(MasterKey::load_or_create(&path), Err(VaultError::MasterKeyOpen { mode: 0o640, .. })));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "short").unwrap();
    assert!(matches!(MasterKey::load_or_create(&path), Err(VaultError::MasterKeyFormat)), "a broken key file is never replaced");
}

#[test]
fn master_keys_come_as_hex_or_base64() {
    let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let id = MasterKey::from_text(hex).unwrap().id();

    let loud = format!(" {}\n", hex.to_uppercase());
    for same in ["ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=", "ABEiM0RVZneImaq7zN3u_wARIjNEVWZ3iJmqu8zd7v8", &loud] {
        assert_eq!(MasterKey::from_text(same).unwrap().id(), id, "{same}");
    }
    for bad in ["", "00", &hex[1..], "password"].map(str::to_owned).into_iter().chain([format!("{hex}00"), "zz".repeat(32), "a".repeat(100_000)]) {
        assert!(matches!(MasterKey::from_text(&bad), Err(VaultError::MasterKeyFormat)), "{bad:.80}");
    }
    let shown = format!("{:?}", MasterKey::from_text(hex).unwrap());
    assert!(!shown.to_lowercase().contains("00112233"), "{shown}");
}

#[test]
fn any_text_round_trips_and_any_garbage_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let h = Arc::new(runtime.block_on(house(0)));
    runtime.block_on(h.vault.rotate_data_key(Algorithm::Sm4Gcm)).unwrap();
    let place = Own::Setting("p".into());

    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&(".{0,200}", "(v1:(aes-256-gcm|sm4-gcm):[0-9]{1,3}:)?[A-Za-z0-9+/]{0,80}"), |(text, garbage)| {
            let sealed = h.vault.seal_own(&place, &secret(&text)).unwrap();
            let opened = runtime.block_on(h.vault.open_own(&place, &sealed)).unwrap();
            prop_assert_eq!(opened.expose(), &text);
            prop_assert!(runtime.block_on(h.vault.open_own(&place, &model::Sealed(garbage))).is_err());
            Ok(())
        })
        .unwrap();

    let long = Secret::new("x".repeat(vault::MAX_SECRET));
    let sealed = h.vault.seal_for(&Aad::account(Id::generate(), 1, Field::Secret), &long);
    assert!(sealed.is_ok());
    assert!(matches!(h.vault.seal_own(&place, &Secret::new("x".repeat(vault::MAX_SECRET + 1))), Err(VaultError::TooLong)));
    let sealed = h.vault.seal_own(&place, &long).unwrap();
    assert_eq!(runtime.block_on(h.vault.open_own(&place, &sealed)).unwrap().expose().len(), vault::MAX_SECRET);
}
