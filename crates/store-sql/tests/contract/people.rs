use model::{Id, Org, Role, Sealed, TokenKind, User, UserSecrets};
use serde_json::json;
use store::{AttemptKey, KeyMaterial, StoreError};
use testkit::fixtures::*;

use super::world::*;

pub async fn user_names_compare_one_way(place: &Place) {
    let store = place.open().await;
    let mut anna = user("Änna");
    anna.username = "ÄNNA".into();
    insert(&store, [anna.clone().into()]).await.unwrap();
    for spelled in ["ÄNNA", "änna", "  Änna "] {
        assert_eq!(raw(&store).user_by_username(spelled).await.unwrap().map(|u| u.id), Some(anna.id));
    }
    assert!(raw(&store).user_by_username("anna").await.unwrap().is_none());
    assert!(raw(&store).user_by_username("").await.unwrap().is_none());

    let key = public_key(anna.id, "SHA256:k");
    insert(&store, [key.clone().into()]).await.unwrap();
    let revision = raw(&store).revision().await.unwrap();
    raw(&store).touch_login(anna.id, Some(key.id), at(9)).await.unwrap();
    assert_eq!(again(&store, &anna).await.last_login, Some(at(9)));
    assert_eq!(raw(&store).public_keys(anna.id).await.unwrap()[0].date_last_used, Some(at(9)));
    assert_eq!(raw(&store).revision().await.unwrap(), revision);
    let mut stale_copy = again(&store, &anna).await;
    stale_copy.last_login = None;
    update(&store, stale_copy).await.unwrap();
    assert_eq!(again(&store, &anna).await.last_login, Some(at(9)), "an editor does not undo logins");
}

pub async fn secrets_of_people_are_apart(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    insert(&store, [alice.clone().into()]).await.unwrap();
    assert_eq!(raw(&store).user_secrets(alice.id).await.unwrap(), UserSecrets::default());
    let secrets = UserSecrets {
        password_hash: Some("$argon2id$x".into()),
        password_history: vec!["b".into(), "a".into()],
        password_set: Some(at(3)),
        otp: Some(Sealed("seed".into())),
        otp_last_step: 4,
        setup_token_hash: Some("ab12".into()),
    };
    raw(&store).set_user_secrets(alice.id, secrets.clone()).await.unwrap();
    assert_eq!(raw(&store).user_secrets(alice.id).await.unwrap(), secrets);
    assert_eq!(raw(&store).user_by_setup_token("ab12").await.unwrap().map(|u| u.id), Some(alice.id));
    assert!(raw(&store).user_by_setup_token("").await.unwrap().is_none());
    assert!(matches!(raw(&store).set_user_secrets(Id::generate(), secrets).await, Err(StoreError::Missing(_))));
}

pub async fn a_totp_step_is_used_once(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    insert(&store, [alice.clone().into()]).await.unwrap();
    let mut secrets = UserSecrets { otp: Some(Sealed("seed".into())), ..Default::default() };
    raw(&store).set_user_secrets(alice.id, secrets.clone()).await.unwrap();

    let tries = futures(8, || raw(&store).claim_otp_step(alice.id, 100)).await;
    assert_eq!(tries.into_iter().filter(|ok| *ok).count(), 1);
    assert!(!raw(&store).claim_otp_step(alice.id, 99).await.unwrap());
    raw(&store).set_user_secrets(alice.id, secrets.clone()).await.unwrap();
    assert!(!raw(&store).claim_otp_step(alice.id, 100).await.unwrap(), "old bookkeeping brings no step back");
    assert!(raw(&store).claim_otp_step(alice.id, 101).await.unwrap());
    assert!(raw(&store).reseal_otp(alice.id, &Sealed("seed".into()), Sealed("same seed, new key".into())).await.unwrap());
    assert!(!raw(&store).reseal_otp(alice.id, &Sealed("seed".into()), Sealed("lost".into())).await.unwrap());
    assert!(!raw(&store).claim_otp_step(alice.id, 101).await.unwrap());
    secrets.otp = Some(Sealed("new seed".into()));
    raw(&store).set_user_secrets(alice.id, secrets).await.unwrap();
    assert!(raw(&store).claim_otp_step(alice.id, 5).await.unwrap());
    assert!(!raw(&store).claim_otp_step(Id::generate(), 5).await.unwrap());
}

async fn futures<F: Future<Output = store::Result<bool>>>(n: usize, f: impl Fn() -> F) -> Vec<bool> {
    let mut set: Vec<std::pin::Pin<Box<F>>> = (0..n).map(|_| Box::pin(f())).collect();
    let mut out = Vec::new();
    std::future::poll_fn(|cx| {
        set.retain_mut(|fut| match fut.as_mut().poll(cx) {
            std::task::Poll::Ready(r) => {
                out.push(r.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        });
        if set.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    out
}

pub async fn tokens_end(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    insert(&store, [alice.clone().into()]).await.unwrap();
    let (mut one, two) = (token(alice.id, "one"), token(alice.id, "two"));
    raw(&store).put_token(one.clone()).await.unwrap();
    raw(&store).put_token(two.clone()).await.unwrap();

    let find = async |hash: &str, s| raw(&store).token(TokenKind::Bearer, hash, at(s)).await.unwrap();
    assert_eq!(find("one", 1).await, Some(one.clone()));
    assert_eq!(find("one", 86_400).await, None);
    assert!(raw(&store).token(TokenKind::Session, "one", at(1)).await.unwrap().is_none());
    one.date_confirmed = Some(at(2));
    raw(&store).put_token(one.clone()).await.unwrap();
    assert_eq!(find("one", 3).await, Some(one.clone()));
    raw(&store).delete_token(one.id).await.unwrap();
    assert_eq!(find("one", 1).await, None);
    raw(&store).delete_tokens_of(alice.id).await.unwrap();
    assert_eq!(find("two", 1).await, None);
    assert!(matches!(raw(&store).put_token(token(Id::generate(), "x")).await, Err(StoreError::Reference(_))));
}

pub async fn failures_are_counted_in_a_window(place: &Place) {
    let store = place.open().await;
    let key = |scope, value: &str| AttemptKey { scope, value: value.into() };
    let (alice, from) = (key("user", "alice"), key("address", "alice"));
    for n in 1..=3_u32 {
        assert_eq!(raw(&store).count_failure(&alice, at(i64::from(n)), 60).await.unwrap(), n);
    }
    assert_eq!(raw(&store).failures(&alice, at(4), 60).await.unwrap(), 3);
    assert_eq!(raw(&store).failures(&from, at(4), 60).await.unwrap(), 0);
    assert_eq!(raw(&store).failures(&alice, at(62), 60).await.unwrap(), 1);
    assert_eq!(raw(&store).count_failure(&alice, at(100), 60).await.unwrap(), 1);
    let endless = key("user", &"ü".repeat(100_000));
    assert_eq!(raw(&store).count_failure(&endless, at(100), 60).await.unwrap(), 1);
    assert_eq!(raw(&store).failures(&endless, at(100), 60).await.unwrap(), 1);
    assert!(raw(&store).clear_failures(&alice).await.unwrap());
    assert!(!raw(&store).clear_failures(&alice).await.unwrap());
    assert_eq!(raw(&store).failures(&alice, at(100), 60).await.unwrap(), 0);
}

pub async fn memberships_carry_their_organization(place: &Place) {
    let store = place.open().await;
    let alice = user("alice");
    insert(&store, [alice.clone().into(), member(alice.id, Org::DEFAULT).into(), binding(alice.id, Role::SYSTEM_USER, None).into()]).await.unwrap();
    let got = raw(&store).memberships(alice.id).await.unwrap();
    assert_eq!(got.iter().map(|(r, o)| (r.id, *o)).collect::<Vec<_>>(), [(Role::SYSTEM_USER, None), (Role::ORG_USER, Some(Org::DEFAULT))]);
    assert!(got[1].0.permissions.contains(&"perms.connect_myassets".to_owned()));
    assert!(raw(&store).memberships(Id::<User>::generate()).await.unwrap().is_empty());
}

pub async fn settings_and_keys_are_kept(place: &Place) {
    let store = place.open().await;
    assert_eq!(raw(&store).setting("x").await.unwrap(), None);
    for v in [json!({"a": [1, "ü", null]}), json!(null), json!(false)] {
        raw(&store).put_setting("x", v.clone()).await.unwrap();
        assert_eq!(raw(&store).setting("x").await.unwrap(), Some(v));
    }
    let key = |id, active| KeyMaterial { id, wrapped: format!("w{id}"), algorithm: "aes-256-gcm".into(), active, date_created: at(id) };
    raw(&store).put_key_material(key(1, true)).await.unwrap();
    raw(&store).put_key_material(key(2, true)).await.unwrap();
    assert_eq!(raw(&store).key_material().await.unwrap(), [key(1, false), key(2, true)]);
    let mut rewrapped = key(1, false);
    rewrapped.wrapped = "new".into();
    raw(&store).put_key_material(rewrapped.clone()).await.unwrap();
    assert_eq!(raw(&store).key_material().await.unwrap(), [rewrapped, key(2, true)]);
}
