//! Tokens, the setup link, password changes, confirmation.

use authn::{Authenticator, AuthnError};
use chrono::TimeDelta;
use model::{MfaLevel, TokenKind, User};
use policy::{
    login::{Factor, Need},
    password::Violation,
};
use store::UnitOfWork;

use crate::house::{ED25519, House, PASSWORD, SEED, done, here, needs, node, retry, secret};

fn code(e: &AuthnError) -> &'static str {
    e.message().code
}

#[tokio::test]
async fn a_bearer_token_stands_for_its_owner_until_it_expires() {
    let h = House::new().await;
    let who = h.identity().await;
    let (token, shown) = h.auth.issue_token(&who, TokenKind::Bearer, "192.0.2.7", TimeDelta::hours(24)).await.unwrap();

    assert_eq!(shown.token.expose().len(), 43);
    assert!(!format!("{shown:?}{token:?}").contains(shown.token.expose().as_str()));
    let back = h.auth.identify_bearer(shown.token.expose(), "198.51.100.1").await.unwrap().unwrap();
    assert_eq!((back.user(), back.client(), back.with_mfa()), (h.alice.id, "198.51.100.1", false));
    for wrong in ["", "x", &token.hash, &shown.token.expose().to_lowercase(), &"x".repeat(100_000)] {
        assert!(h.auth.identify_bearer(wrong, "c").await.unwrap().is_none());
    }
    assert!(h.auth.identify_session(shown.token.expose(), "c").await.unwrap().is_none(), "one kind is not another");

    h.pass(24 * 3600);
    assert!(h.auth.identify_bearer(shown.token.expose(), "c").await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_ends_with_its_owner_its_revocation_and_a_password_change() {
    let h = House::new().await;
    let who = h.identity().await;
    let issue = async || h.auth.issue_token(&who, TokenKind::Bearer, "c", TimeDelta::hours(1)).await.unwrap();
    let works = async |t: &str| h.auth.identify_bearer(t, "c").await.unwrap().is_some();

    let (token, one) = issue().await;
    let (_, two) = issue().await;
    assert!(works(one.token.expose()).await && works(two.token.expose()).await);
    h.auth.revoke(token.id).await.unwrap();
    assert!(!works(one.token.expose()).await && works(two.token.expose()).await);

    h.update(|u| u.is_active = false).await;
    assert!(!works(two.token.expose()).await);
    h.update(|u| u.is_active = true).await;

    let (_, three) = issue().await;
    h.auth.change_own_password(&who, secret(PASSWORD), &secret("eight blue tricycles"), here()).await.unwrap();
    assert!(!works(three.token.expose()).await);
}

#[tokio::test]
async fn a_session_has_a_csrf_value_of_its_own() {
    let h = House::new().await;
    let who = h.identity().await;
    let (_, shown) = h.auth.issue_token(&who, TokenKind::Session, "c", TimeDelta::hours(1)).await.unwrap();
    let (_, other) = h.auth.issue_token(&who, TokenKind::Session, "c", TimeDelta::hours(1)).await.unwrap();
    let (csrf, other_csrf) = (shown.csrf.unwrap(), other.csrf.unwrap());

    let (_, token) = h.auth.identify_session(shown.token.expose(), "c").await.unwrap().unwrap();

    assert!(Authenticator::csrf_matches(&token, csrf.expose()));
    for wrong in ["", other_csrf.expose().as_str(), shown.token.expose().as_str()] {
        assert!(!Authenticator::csrf_matches(&token, wrong));
    }
    let (bearer, shown) = h.auth.issue_token(&who, TokenKind::Bearer, "c", TimeDelta::hours(1)).await.unwrap();
    assert!(shown.csrf.is_none() && !Authenticator::csrf_matches(&bearer, ""));
}

#[tokio::test]
async fn the_setup_link_works_once_and_before_it_nobody_is_the_administrator() {
    let h = House::new().await;
    let key = model::PublicKey { user: User::ADMIN, id: model::Id::generate(), ..h.store.node(node()).public_keys(h.alice.id).await.unwrap().remove(0) };
    let mut work = UnitOfWork::global(node().global());
    work.insert(key);
    h.store.commit(work).await.unwrap();
    let first = h.auth.create_setup_link().await.unwrap().unwrap();
    let token = h.auth.create_setup_link().await.unwrap().unwrap();
    let new = secret("a long enough saying");

    assert_eq!(retry(h.try_password("admin", "").await), "login.failed");
    assert_eq!(retry(h.try_password("admin", token.expose()).await), "login.failed");
    assert_eq!(retry(h.begin("admin").step(Factor::ProvedKey(ED25519.into())).await), "login.failed");
    assert_eq!(code(&h.auth.redeem_setup(&first, &new, here()).await.unwrap_err()), "login.failed", "a newer link ends the older");
    assert!(matches!(h.auth.redeem_setup(&token, &secret("short"), here()).await, Err(AuthnError::Weak(v)) if v.contains(&Violation::TooShort(12))));
    assert!(h.auth.setup_is_open(token.expose()).await.unwrap());

    h.auth.redeem_setup(&token, &new, here()).await.unwrap();

    done(h.try_password("admin", "a long enough saying").await);
    assert!(!h.auth.setup_is_open(token.expose()).await.unwrap());
    assert_eq!(code(&h.auth.redeem_setup(&token, &secret("another long saying"), here()).await.unwrap_err()), "login.failed");
    assert!(h.auth.create_setup_link().await.unwrap().is_none(), "no link for an administrator with a password");
}

#[tokio::test]
async fn guessing_setup_tokens_locks_out_the_guesser_only() {
    let h = House::new().await;
    let token = h.auth.create_setup_link().await.unwrap().unwrap();
    let new = secret("a long enough saying");
    let mut last = "";
    for i in 0..9 {
        last = code(&h.auth.redeem_setup(&secret(&format!("guess{i}")), &new, here()).await.unwrap_err());
    }
    assert_eq!(last, "login.locked");
    assert_eq!(code(&h.auth.redeem_setup(&token, &new, here()).await.unwrap_err()), "login.locked");

    h.auth.redeem_setup(&token, &new, "192.0.2.99".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn one_setup_link_used_twice_at_once_sets_one_password() {
    let h = House::new().await;
    let token = h.auth.create_setup_link().await.unwrap().unwrap();
    let (one, two) = (secret("the first of sayings"), secret("the second of sayings"));

    let (a, b) = tokio::join!(h.auth.redeem_setup(&token, &one, here()), h.auth.redeem_setup(&token, &two, here()));

    assert!(a.is_ok() ^ b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn the_last_five_passwords_do_not_come_back() {
    let h = House::new().await;
    let who = h.identity().await;
    let words = ["zero", "one", "two", "three", "four", "five"].map(|w| format!("{w} yellow lighthouse"));
    let mut old = PASSWORD.to_owned();
    for new in &words[..5] {
        h.auth.change_own_password(&who, secret(&old), &secret(new), here()).await.unwrap();
        old.clone_from(new);
    }

    for reused in &words[..5] {
        let e = h.auth.change_own_password(&who, secret(&old), &secret(reused), here()).await.unwrap_err();
        assert!(matches!(&e, AuthnError::Weak(v) if v == &[Violation::Reused(5)]), "{reused}: {e}");
    }
    h.auth.change_own_password(&who, secret(&old), &secret(PASSWORD), here()).await.unwrap();
}

#[tokio::test]
async fn changing_ones_password_needs_the_old_one_and_guesses_count() {
    let h = House::new().await;
    let who = h.identity().await;
    let mut last = "";
    for _ in 0..8 {
        last = code(&h.auth.change_own_password(&who, secret("wrong wrong wrong"), &secret("eight blue tricycles"), here()).await.unwrap_err());
    }
    assert_eq!(last, "login.locked");
    done({
        h.auth.unlock("alice").await.unwrap();
        h.try_password("alice", PASSWORD).await
    });
}

#[tokio::test]
async fn an_administrator_sets_a_password_within_his_own_unit_of_work() {
    let h = House::new().await;
    let admin = node().local_admin();
    let change = h.auth.password_change(&admin, &h.alice, &secret("eight blue tricycles"), true).await.unwrap();
    assert!(!format!("{change:?}").contains("tricycles"));
    let mut work = UnitOfWork::global(node().global());
    change.add_to(&mut work);
    h.store.commit(work).await.unwrap();

    assert_eq!(needs(h.try_password("alice", "eight blue tricycles").await), [Need::NewPassword { reason: "login.password_must_change" }]);
}

#[tokio::test]
async fn the_local_administrator_resets_and_unlocks() {
    let h = House::new().await;
    for _ in 0..8 {
        h.try_password("alice", "wrong wrong wrong").await;
    }

    assert!(h.auth.reset_password("Alice", &secret("eight blue tricycles"), false).await.unwrap());

    done(h.try_password("alice", "eight blue tricycles").await);
    assert!(!h.auth.reset_password("nobody", &secret("eight blue tricycles"), false).await.unwrap());
    assert!(matches!(h.auth.reset_password("alice", &secret("short"), false).await, Err(AuthnError::Weak(_))));
}

#[tokio::test]
async fn confirming_takes_a_password_or_a_code_and_nothing_else() {
    let h = House::with(|u| u.mfa_level = MfaLevel::Off, Default::default()).await;
    let who = h.identity().await;
    h.bind().await;

    h.auth.confirm(&who, Factor::Password(PASSWORD.into()), here()).await.unwrap();
    h.auth.confirm(&who, Factor::Otp(h.code(SEED)), here()).await.unwrap();
    assert_eq!(code(&h.auth.confirm(&who, Factor::Otp(h.code(SEED)), here()).await.unwrap_err()), "login.otp_wrong");
    assert_eq!(code(&h.auth.confirm(&who, Factor::Password("wrong".into()), here()).await.unwrap_err()), "login.failed");
    assert!(h.auth.confirm(&who, Factor::ProvedKey(ED25519.into()), here()).await.is_err());
}

#[tokio::test]
async fn a_person_binds_an_authenticator_and_an_administrator_unbinds_it() {
    let h = House::new().await;
    let who = h.identity().await;
    let enrolment = h.auth.enrolment(&who).unwrap();
    let seed = enrolment.secret().expose().clone();

    assert!(!h.auth.enrol(&who, &enrolment, "000000").await.unwrap());
    let kept = h.auth.enrolment_of(&who, secret(&seed));
    assert!(h.auth.enrol(&who, &kept, &h.code(&seed)).await.unwrap());
    assert!(h.auth.enrol(&who, &enrolment, &h.code(&seed)).await.is_err(), "bound already");

    let mut work = UnitOfWork::global(node().global());
    work.changes.extend(h.auth.otp_reset(&h.row(h.alice.id).await).await.unwrap());
    h.store.commit(work).await.unwrap();
    assert!(h.store.node(node()).user_secrets(h.alice.id).await.unwrap().otp.is_none());
}

#[tokio::test]
async fn binding_an_authenticator_never_brings_an_old_password_back() {
    let h = House::with(|u| u.mfa_level = MfaLevel::Forced, Default::default()).await;
    for round in 0..10 {
        let new = format!("saying number {round} of many");
        let mut flow = h.begin("alice");
        let current = if round == 0 { PASSWORD.to_owned() } else { format!("saying number {} of many", round - 1) };
        let asked = needs(flow.step(Factor::Password(current)).await);
        let [Need::EnrolOtp { secret: seed, .. }] = asked.as_slice() else { panic!("{asked:?}") };
        let code = h.code(seed);

        let new_secret = secret(&new);
        let (_, reset) = tokio::join!(flow.step(Factor::EnrolOtp(code)), h.auth.reset_password("alice", &new_secret, false));
        if reset.is_err() {
            h.auth.reset_password("alice", &secret(&new), false).await.unwrap();
        }

        let hash = h.store.node(node()).user_secrets(h.alice.id).await.unwrap();
        let mut work = UnitOfWork::global(node().global());
        work.changes.extend(h.auth.otp_reset(&h.row(h.alice.id).await).await.unwrap());
        h.store.commit(work).await.unwrap();
        assert!(hash.password_hash.is_some());
        assert!(matches!(h.try_password("alice", &new).await, policy::login::Step::Need { retry: None, .. }), "round {round}");
    }
}

#[test]
fn every_code_a_person_can_meet_has_a_sentence() {
    use authn::keys::KeyError;
    let violations = [
        Violation::TooShort(12),
        Violation::TooLong,
        Violation::Control,
        Violation::Upper,
        Violation::Lower,
        Violation::Digit,
        Violation::Special,
        Violation::Common,
        Violation::ContainsUsername,
        Violation::Reused(5),
    ];
    let keys = [KeyError::Format, KeyError::Private, KeyError::Options, KeyError::Kind, KeyError::Short(1024)].map(KeyError::code);
    let login = ["failed", "failed_last", "locked", "user_inactive", "user_expired", "otp_wrong", "password_expired", "password_must_change"]
        .map(|c| format!("login.{c}"));
    for code in violations.map(Violation::code).into_iter().chain(keys).chain(login.iter().map(String::as_str)).chain(["system.evidence", "system.unavailable"])
    {
        assert!(messages::exists(code), "{code}");
    }
    for v in violations {
        assert!(!messages::render(messages::Lang::En, &v.message()).contains('{'), "{v:?}");
    }
}
