//! Failures lock: a name, an address, a second factor.

use std::net::IpAddr;

use authn::{Lockout, Settings};
use model::{LoginType, MfaLevel};
use policy::login::{Factor, Step};

use crate::house::{ED25519, House, PASSWORD, SEED, done, needs, node, refused, retry};

const WRONG: &str = "wrong wrong wrong";

fn args(step: Step) -> (&'static str, String) {
    match step {
        Step::Refused(m) => (m.code, m.args.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        Step::Need { retry: Some(m), .. } => (m.code, m.args.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn seven_failures_lock_a_name_for_half_an_hour_whoever_asks() {
    let h = House::new().await;
    for i in 1..=4 {
        assert_eq!(args(h.try_password("alice", WRONG).await), ("login.failed", String::new()), "{i}");
    }
    assert_eq!(args(h.try_password("Alice", WRONG).await), ("login.failed_last", "left=2".into()));
    h.pass(600);
    assert_eq!(args(h.try_password(" alice", WRONG).await), ("login.failed_last", "left=1".into()));
    assert_eq!(args(h.try_password("ALICE", WRONG).await), ("login.locked", "minutes=30".into()));

    assert_eq!(args(h.try_password("alice", PASSWORD).await), ("login.locked", "minutes=30".into()));
    assert_eq!(refused(h.begin("alice").step(Factor::ProvedKey(ED25519.into())).await), "login.locked");
    h.pass(25 * 60);
    let (code, left) = args(h.try_password("alice", PASSWORD).await);
    assert!(code == "login.locked" && ["minutes=5", "minutes=6"].contains(&left.as_str()), "{left}");
    h.pass(5 * 60 + 60);
    done(h.try_password("alice", PASSWORD).await);

    assert_eq!(h.audit("login.locked").await.len(), 1);
    assert!(h.log().await.iter().any(|r| r.reason == "login.locked"));
}

#[tokio::test]
async fn the_right_password_forgets_earlier_failures() {
    let h = House::new().await;
    for _ in 0..3 {
        for _ in 0..6 {
            h.try_password("alice", WRONG).await;
        }
        done(h.try_password("alice", PASSWORD).await);
    }
}

#[tokio::test]
async fn an_unknown_name_locks_like_a_known_one() {
    let h = House::new().await;
    let seen: Vec<_> = {
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push((args(h.try_password("alice", WRONG).await), args(h.try_password("nobody", WRONG).await)));
        }
        seen
    };
    assert!(seen.iter().all(|(known, unknown)| known == unknown), "{seen:?}");
}

#[tokio::test]
async fn an_address_is_locked_by_failures_at_many_names() {
    let lockout = Lockout { address_limit: 10, ..Lockout::default() };
    let h = House::with(|_| {}, Settings { lockout, ..Settings::default() }).await;
    for i in 0..9 {
        assert_eq!(retry(h.try_password(&format!("user{i}"), WRONG).await), "login.failed");
    }
    assert_eq!(refused(h.try_password("user9", WRONG).await), "login.locked");
    assert_eq!(refused(h.try_password("alice", PASSWORD).await), "login.locked");

    let elsewhere: IpAddr = "192.0.2.8".parse().unwrap();
    done(h.auth.begin("alice", elsewhere, LoginType::Web, "").step(Factor::Password(PASSWORD.into())).await);
    let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
    assert_eq!(refused(h.auth.begin("alice", mapped, LoginType::Web, "").step(Factor::Password(PASSWORD.into())).await), "login.locked");
    assert!(h.auth.unlock_address(mapped).await.unwrap());
    done(h.try_password("alice", PASSWORD).await);
}

#[tokio::test]
async fn one_ipv6_network_is_one_address() {
    let lockout = Lockout { address_limit: 5, ..Lockout::default() };
    let h = House::with(|_| {}, Settings { lockout, ..Settings::default() }).await;
    let from = |n: u32| -> IpAddr { format!("2001:db8:1:2::{n:x}").parse().unwrap() };
    for i in 0..5 {
        h.auth.begin(&format!("user{i}"), from(i), LoginType::Web, "").step(Factor::Password(WRONG.into())).await;
    }

    assert_eq!(refused(h.auth.begin("alice", from(99), LoginType::Web, "").step(Factor::Password(PASSWORD.into())).await), "login.locked");
    let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
    done(h.auth.begin("alice", other, LoginType::Web, "").step(Factor::Password(PASSWORD.into())).await);
}

#[tokio::test]
async fn codes_have_a_counter_of_their_own_that_the_password_does_not_clear() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;
    let mut last = "";
    for _ in 0..7 {
        let mut flow = h.begin("alice");
        needs(flow.step(Factor::Password(PASSWORD.into())).await);
        last = match flow.step(Factor::Otp("000000".into())).await {
            Step::Refused(m) => m.code,
            Step::Need { retry, .. } => retry.unwrap().code,
            Step::Done(_) => panic!(),
        };
    }
    assert_eq!(last, "login.locked");

    assert_eq!(refused(h.try_password("alice", PASSWORD).await), "login.locked");
    assert_eq!(h.auth.locked_minutes("Alice").await.unwrap(), Some(30));
    assert!(h.auth.unlock("ALICE ").await.unwrap());
    assert_eq!(h.auth.locked_minutes("alice").await.unwrap(), None);
    let mut flow = h.begin("alice");
    needs(flow.step(Factor::Password(PASSWORD.into())).await);
    done(flow.step(Factor::Otp(h.code(SEED))).await);
}

#[tokio::test]
async fn guesses_in_parallel_are_all_counted_before_the_next_is_judged() {
    let h = House::new().await;
    let mut guesses = Vec::new();
    for _ in 0..40 {
        let mut flow = h.begin("alice");
        guesses.push(tokio::spawn(async move { flow.step(Factor::Password(WRONG.into())).await }));
    }
    let mut judged = 0;
    for g in guesses {
        let wrong_or_locking = matches!(g.await.unwrap(), Step::Need { .. });
        judged += u32::from(wrong_or_locking);
    }

    assert!(judged <= 6, "{judged} guesses were answered");
    assert_eq!(refused(h.try_password("alice", PASSWORD).await), "login.locked");
    assert_eq!(h.audit("login.locked").await.len(), 1);
}

#[tokio::test]
async fn many_right_logins_at_once_all_get_in() {
    let h = House::new().await;
    let mut logins = Vec::new();
    for i in 0..30 {
        let mut flow = h.begin("alice");
        let factor = if i % 2 == 0 { Factor::Password(PASSWORD.into()) } else { Factor::ProvedKey(ED25519.into()) };
        logins.push(tokio::spawn(async move { flow.step(factor).await }));
    }
    for l in logins {
        done(l.await.unwrap());
    }
    assert_eq!(
        h.store.node(node()).failures(&store::AttemptKey { scope: "user", value: "alice".into() }, model::Clock::now(&*h.clock), 1800).await.unwrap(),
        0
    );
}
