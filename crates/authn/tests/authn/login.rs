//! The way in, and the ways that are not.

use authn::Settings;
use chrono::TimeDelta;
use model::{MfaLevel, Query, User, UserSource};
use policy::{
    login::{Factor, MfaPolicy, Need, Step},
    password::PasswordRules,
};

use crate::house::{ED25519, House, PASSWORD, SEED, done, here, needs, node, refused, retry, secret, user};

fn password(p: &str) -> Factor {
    Factor::Password(p.into())
}
fn otp(c: &str) -> Factor {
    Factor::Otp(c.into())
}

#[tokio::test]
async fn a_right_password_opens_and_leaves_evidence() {
    let h = House::new().await;

    let who = done(h.try_password(" ALICE ", PASSWORD).await);

    assert_eq!((who.user(), who.username(), who.client(), who.with_mfa()), (h.alice.id, "alice", "192.0.2.7", false));
    let row = &h.log().await[0];
    assert_eq!((row.status, row.backend.as_str(), row.reason.as_str(), row.user_id), (true, "password", "", Some(h.alice.id)));
    assert_eq!((row.ip.as_str(), row.user_agent.as_str(), row.username.as_str()), ("192.0.2.7", "OpenSSH_9.9", "ALICE"));
    assert_eq!(h.audit("login.success").await.len(), 1);
    assert!(h.row(h.alice.id).await.last_login.is_some());
}

#[tokio::test]
async fn an_unknown_name_looks_like_a_wrong_password() {
    let h = House::new().await;
    h.add(User { source: UserSource::Ldap, ..user("ldapper", h.alice.meta.date_created) }, None).await;
    h.add(User { is_service_account: true, ..user("robot", h.alice.meta.date_created) }, None).await;

    for name in ["alice", "nobody", "ldapper", "robot", "admin", ""] {
        let mut flow = h.begin(name);
        assert_eq!(flow.needs(), [Need::PublicKey, Need::Password], "{name}");
        assert_eq!(retry(flow.step(password("wrong wrong wrong")).await), "login.failed", "{name}");
        assert_eq!(flow.needs(), [Need::PublicKey, Need::Password]);
    }
    let log = h.log().await;
    assert_eq!(log.len(), 6);
    assert!(log.iter().all(|r| !r.status && r.reason == "login.failed"));
}

#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let h = House::new().await;
    h.try_password("nobody", "warm up").await;
    let time = async |name: &str| {
        let mut best = std::time::Duration::MAX;
        for i in 0..5 {
            let name = if name == "alice" { name.to_owned() } else { format!("{name}{i}") };
            let start = std::time::Instant::now();
            h.try_password(&name, "wrong wrong wrong").await;
            best = best.min(start.elapsed());
        }
        best.as_secs_f64()
    };

    let (known, unknown) = (time("alice").await, time("nobody").await);

    assert!((0.4..2.5).contains(&(known / unknown)), "known {known}, unknown {unknown}");
}

#[tokio::test]
async fn a_proved_key_opens_and_an_offered_one_does_not() {
    let h = House::new().await;
    let mut flow = h.begin("alice");

    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHKEYoVwEbYZy5rmxxVFAJSVdSTBLyOtJaUmE5e1AfJM x";
    assert!(flow.offers(ED25519).await);
    assert!(flow.offers(ED25519.rsplit_once(' ').unwrap().0).await, "the comment is no part of the key");
    assert!(!flow.offers(other).await);
    assert!(!flow.offers("garbage").await);
    assert!(!h.begin("nobody").offers(ED25519).await);
    assert_eq!(flow.needs(), [Need::PublicKey, Need::Password], "an offer proves nothing");
    assert_eq!(h.log().await.len(), 0);

    assert_eq!(retry(flow.step(Factor::ProvedKey(other.into())).await), "login.failed");
    let who = done(flow.step(Factor::ProvedKey(ED25519.into())).await);
    assert_eq!(who.user(), h.alice.id);
    assert_eq!(h.log().await[0].backend, "publickey");
    let keys = h.store.read(node().every_org()).list::<model::PublicKey>(&model::Query::filter(model::Filter::eq("user", h.alice.id))).await.unwrap();
    assert!(keys.rows[0].date_last_used.is_some());
}

#[tokio::test]
async fn a_key_switched_off_or_of_somebody_else_is_no_factor() {
    let h = House::new().await;
    h.add(user("bob", h.alice.meta.date_created), Some(PASSWORD)).await;
    assert_eq!(retry(h.begin("bob").step(Factor::ProvedKey(ED25519.into())).await), "login.failed");

    let mut key = h.store.node(node()).public_keys(h.alice.id).await.unwrap().remove(0);
    key.is_active = false;
    let mut work = store::UnitOfWork::global(node().global());
    work.update(key);
    h.store.commit(work).await.unwrap();

    assert!(!h.begin("alice").offers(ED25519).await);
    assert_eq!(retry(h.begin("alice").step(Factor::ProvedKey(ED25519.into())).await), "login.failed");
}

#[tokio::test]
async fn only_the_right_factor_tells_that_a_user_is_off() {
    let h = House::new().await;
    h.update(|u| u.is_active = false).await;
    assert_eq!(retry(h.try_password("alice", "wrong wrong wrong").await), "login.failed");
    assert_eq!(refused(h.try_password("alice", PASSWORD).await), "login.user_inactive");
    assert_eq!(refused(h.begin("alice").step(Factor::ProvedKey(ED25519.into())).await), "login.user_inactive");

    let now = model::Clock::now(&*h.clock);
    h.update(|u| {
        u.is_active = true;
        u.date_expired = Some(now);
    })
    .await;
    assert_eq!(retry(h.try_password("alice", "wrong wrong wrong").await), "login.failed");
    assert_eq!(refused(h.try_password("alice", PASSWORD).await), "login.user_expired");
}

#[tokio::test]
async fn the_second_factor_is_asked_for_after_password_and_after_key() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;

    for first in [password(PASSWORD), Factor::ProvedKey(ED25519.into())] {
        let mut flow = h.begin("alice");
        assert_eq!(needs(flow.step(first).await), [Need::Otp]);
        assert_eq!(retry(flow.step(otp("000000")).await), "login.otp_wrong");
        let who = done(flow.step(otp(&h.code(SEED))).await);
        assert!(who.with_mfa());
        h.pass(30);
    }
    assert_eq!(h.log().await[0].mfa, MfaLevel::On);
}

#[tokio::test]
async fn a_code_is_accepted_once() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;
    let code = h.code(SEED);
    let enter = async || {
        let mut flow = h.begin("alice");
        needs(flow.step(password(PASSWORD)).await);
        flow.step(otp(&code)).await
    };

    done(enter().await);
    assert_eq!(retry(enter().await), "login.otp_wrong");
    h.pass(30);
    assert_eq!(retry(enter().await), "login.otp_wrong", "also not while its step is still in the window");
}

#[tokio::test]
async fn three_wrong_codes_end_a_login() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;
    let mut flow = h.begin("alice");
    needs(flow.step(password(PASSWORD)).await);

    assert_eq!(retry(flow.step(otp("1")).await), "login.otp_wrong");
    assert_eq!(retry(flow.step(otp("2")).await), "login.otp_wrong");
    assert_eq!(refused(flow.step(otp("3")).await), "login.otp_wrong");
    assert_eq!(refused(flow.step(otp(&h.code(SEED))).await), "login.failed", "over is over");
    assert!(flow.is_over() && flow.needs().is_empty());
}

#[tokio::test]
async fn steps_cannot_be_skipped_or_replayed() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;

    let mut flow = h.begin("alice");
    assert_eq!(retry(flow.step(otp(&h.code(SEED))).await), "login.failed");
    assert_eq!(retry(flow.step(Factor::NewPassword("another fine saying".into())).await), "login.failed");
    assert_eq!(retry(flow.step(Factor::EnrolOtp(h.code(SEED))).await), "login.failed");
    assert_eq!(needs(flow.step(password(PASSWORD)).await), [Need::Otp]);
    // a second first factor is not a second factor
    assert_eq!(retry(flow.step(password(PASSWORD)).await), "login.failed");
    assert_eq!(retry(flow.step(Factor::ProvedKey(ED25519.into())).await), "login.failed");
    assert_eq!(flow.needs(), [Need::Otp]);
    done(flow.step(otp(&h.code(SEED))).await);
    assert_eq!(refused(flow.step(password(PASSWORD)).await), "login.failed");
}

#[tokio::test]
async fn whoever_needs_a_second_factor_and_has_none_binds_one_at_login() {
    for (level, policy, first) in [
        (MfaLevel::Forced, MfaPolicy::PerUser, password(PASSWORD)),
        (MfaLevel::On, MfaPolicy::PerUser, Factor::ProvedKey(ED25519.into())),
        (MfaLevel::Off, MfaPolicy::Everybody, Factor::ProvedKey(ED25519.into())),
    ] {
        let h = House::with(|u| u.mfa_level = level, Settings { mfa: policy, ..Settings::default() }).await;
        let mut flow = h.begin("alice");
        let asked = needs(flow.step(first).await);
        let [Need::EnrolOtp { uri, secret: seed }] = asked.as_slice() else { panic!("{asked:?}") };
        assert!(uri.starts_with("otpauth://totp/Rampart:alice?secret=") && uri.contains(seed.as_str()) && uri.ends_with("&issuer=Rampart"));
        assert_eq!(seed.len(), 32);

        assert_eq!(retry(flow.step(Factor::EnrolOtp("000000".into())).await), "login.otp_wrong");
        assert!(h.store.node(node()).user_secrets(h.alice.id).await.unwrap().otp.is_none(), "nothing is kept before the first right code");
        assert_eq!(flow.needs(), asked, "the same seed, so that the person need not scan again");
        let code = h.code(seed);
        assert!(done(flow.step(Factor::EnrolOtp(code.clone())).await).with_mfa());

        let kept = h.store.node(node()).user_secrets(h.alice.id).await.unwrap().otp.unwrap();
        assert!(!kept.0.contains(seed.as_str()));
        assert_eq!(h.audit("user.mfa_bound").await.len(), 1);
        let mut again = h.begin("alice");
        assert_eq!(needs(again.step(password(PASSWORD)).await), [Need::Otp]);
        assert_eq!(retry(again.step(otp(&code)).await), "login.otp_wrong", "the enrolment used the code up");
        h.pass(30);
        done(again.step(otp(&h.code(seed))).await);
    }
}

#[tokio::test]
async fn an_authenticator_bound_meanwhile_is_not_replaced_by_a_second_enrolment() {
    let h = House::with(|u| u.mfa_level = MfaLevel::Forced, Settings::default()).await;
    let mut flow = h.begin("alice");
    let asked = needs(flow.step(password(PASSWORD)).await);
    let [Need::EnrolOtp { secret: seed, .. }] = asked.as_slice() else { panic!("{asked:?}") };
    h.bind().await;

    assert_eq!(needs(flow.step(Factor::EnrolOtp(h.code(seed))).await), [Need::Otp]);

    done(flow.step(otp(&h.code(SEED))).await);
}

#[tokio::test]
async fn administrators_alone_can_be_asked_for_a_second_factor() {
    let h = House::with(|_| {}, Settings { mfa: MfaPolicy::Admins, ..Settings::default() }).await;
    h.auth.reset_password("admin", &secret("a long enough saying"), false).await.unwrap();

    done(h.try_password("alice", PASSWORD).await);
    let asked = needs(h.try_password("admin", "a long enough saying").await);
    assert!(matches!(asked.as_slice(), [Need::EnrolOtp { .. }]));
}

#[tokio::test]
async fn a_user_switched_off_between_the_factors_does_not_get_in() {
    let h = House::with(|u| u.mfa_level = MfaLevel::On, Settings::default()).await;
    h.bind().await;
    let mut flow = h.begin("alice");
    needs(flow.step(password(PASSWORD)).await);

    h.update(|u| u.is_active = false).await;

    assert_eq!(refused(flow.step(otp(&h.code(SEED))).await), "login.user_inactive");
}

#[tokio::test]
async fn a_password_that_must_change_is_changed_at_login_after_the_second_factor() {
    let h = House::with(
        |u| {
            u.need_update_password = true;
            u.mfa_level = MfaLevel::On;
        },
        Settings::default(),
    )
    .await;
    h.bind().await;
    let mut flow = h.begin("alice");
    assert_eq!(needs(flow.step(password(PASSWORD)).await), [Need::Otp]);
    assert_eq!(needs(flow.step(otp(&h.code(SEED))).await), [Need::NewPassword { reason: "login.password_must_change" }]);

    for (bad, code) in [("short", "password.too_short"), ("password123456", "password.common"), (PASSWORD, "password.reused")] {
        assert_eq!(retry(flow.step(Factor::NewPassword(bad.into())).await), code);
    }
    done(flow.step(Factor::NewPassword("eight blue tricycles".into())).await);

    assert!(!h.row(h.alice.id).await.need_update_password);
    assert_eq!(retry(h.try_password("alice", PASSWORD).await), "login.failed");
    assert_eq!(needs(h.try_password("alice", "eight blue tricycles").await), [Need::Otp]);
    assert_eq!(h.store.read(node().every_org()).logs::<model::PasswordChangeLog>(&Query::all()).await.unwrap().count, 1);
    assert_eq!(h.audit("user.password_changed").await.len(), 1);
}

#[tokio::test]
async fn an_expired_password_is_changed_at_login_and_keys_do_not_care() {
    let rules = PasswordRules { expiry_days: Some(90), ..Default::default() };
    let h = House::with(|_| {}, Settings { rules, ..Settings::default() }).await;
    done(h.try_password("alice", PASSWORD).await);

    h.pass(TimeDelta::days(90).num_seconds());

    assert_eq!(needs(h.try_password("alice", PASSWORD).await), [Need::NewPassword { reason: "login.password_expired" }]);
    done(h.begin("alice").step(Factor::ProvedKey(ED25519.into())).await);
}

#[tokio::test]
async fn six_wrong_passwords_end_a_connection() {
    let h = House::new().await;
    let mut flow = h.begin("alice");
    for i in 0..5 {
        let code = retry(flow.step(password("wrong wrong wrong")).await);
        assert_eq!(code, if i < 4 { "login.failed" } else { "login.failed_last" });
    }
    assert_eq!(refused(flow.step(password("wrong wrong wrong")).await), "login.failed");
    assert_eq!(refused(flow.step(password(PASSWORD)).await), "login.failed");
}

#[tokio::test]
async fn without_evidence_nobody_gets_in() {
    let h = House::new().await;
    let mut flow = h.begin("alice");
    assert!(flow.offers(ED25519).await);

    h.store.node(node()).close().await;

    let step = flow.step(Factor::ProvedKey(ED25519.into())).await;
    assert!(matches!(&step, Step::Refused(m) if matches!(m.code, "system.evidence" | "system.unavailable")), "{step:?}");
    let step = h.auth.begin("alice", here(), model::LoginType::Web, "").step(password(PASSWORD)).await;
    assert!(matches!(&step, Step::Refused(_)), "{step:?}");
}

#[tokio::test]
async fn what_clients_call_themselves_is_cleaned_for_the_log() {
    let h = House::new().await;
    let name = format!("\x1b[2Jbad\n{}", "x".repeat(500));
    h.auth.begin(&name, here(), model::LoginType::Web, "agent\r\n\x07evil").step(password("wrong wrong wrong")).await;

    let row = &h.log().await[0];
    assert_eq!(row.username.chars().count(), 128);
    assert!(!row.username.contains(char::is_control) && row.user_agent == "agentevil");
}
