//! Ways in and out of a login, with OpenSSH and with russh as clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use russh::{
    client::{self, AuthResult, KeyboardInteractiveAuthResponse as Answer},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use support::{CODE, PASSWORD, World, world, world_with};

struct Trusting;
impl client::Handler for Trusting {
    type Error = russh::Error;
    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn connect(w: &World) -> client::Handle<Trusting> {
    client::connect(Arc::default(), w.address, Trusting).await.unwrap()
}

async fn with_key(w: &World, c: &mut client::Handle<Trusting>, user: &str) -> AuthResult {
    let key = russh::keys::decode_secret_key(&std::fs::read_to_string(w.path("user_key")).unwrap(), None).unwrap();
    c.authenticate_publickey(user, PrivateKeyWithHashAlg::new(Arc::new(key), None)).await.unwrap()
}

async fn asked(c: &mut client::Handle<Trusting>, user: &str) -> (String, Vec<String>) {
    info(c.authenticate_keyboard_interactive_start(user, None).await.unwrap())
}

async fn answer(c: &mut client::Handle<Trusting>, answers: &[&str]) -> Answer {
    c.authenticate_keyboard_interactive_respond(answers.iter().map(|a| (*a).to_owned()).collect()).await.unwrap()
}

fn info(a: Answer) -> (String, Vec<String>) {
    match a {
        Answer::InfoRequest { instructions, prompts, .. } => (instructions, prompts.into_iter().map(|p| p.prompt).collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_then_a_code() {
    let w = world().await;
    let mut c = connect(&w).await;

    let first = with_key(&w, &mut c, "otp").await;
    assert!(matches!(first, AuthResult::Failure { partial_success: true, .. }), "{first:?}");
    let (_, prompts) = asked(&mut c, "otp").await;
    assert_eq!(prompts, ["One-time code: "]);
    let (retry, _) = info(answer(&mut c, &["000000"]).await);
    assert!(retry.contains("wrong"), "{retry}");

    assert!(matches!(answer(&mut c, &[CODE]).await, Answer::Success));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_then_an_enrolment_with_a_code_to_scan() {
    let w = world().await;
    let mut c = connect(&w).await;

    let (_, prompts) = asked(&mut c, "enrol").await;
    assert_eq!(prompts, ["Password: "]);
    let (cut_short, prompts) = info(answer(&mut c, &[PASSWORD]).await);
    let shown = prompts.concat();
    // In the prompt: OpenSSH escapes and cuts the instructions.
    assert!(shown.contains('█') && shown.contains("ABC") && cut_short.is_ascii(), "{shown}");

    assert!(matches!(answer(&mut c, &[CODE]).await, Answer::Success));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_password_is_changed_by_typing_the_new_one_twice() {
    let w = world().await;
    let mut c = connect(&w).await;

    asked(&mut c, "renew").await;
    let (reason, prompts) = info(answer(&mut c, &[PASSWORD]).await);
    assert!(reason.contains("expired") && prompts.len() == 2, "{reason}");
    let (differs, _) = info(answer(&mut c, &["one long password", "another long one"]).await);
    assert!(differs.contains("differ"), "{differs}");

    assert!(matches!(answer(&mut c, &["one long password", "one long password"]).await, Answer::Success));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_person_reads_why() {
    let w = world().await;
    let mut c = connect(&w).await;

    assert!(!with_key(&w, &mut c, "gone").await.success());
    let (sentence, prompts) = asked(&mut c, "gone").await;

    assert!(sentence.contains("disabled") && prompts.is_empty(), "{sentence}");
    assert!(matches!(answer(&mut c, &[]).await, Answer::Failure { .. }));
    let mut c = connect(&w).await;
    assert!(asked(&mut c, "JMS-abc").await.0.contains("token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_alone_works_and_a_wrong_one_does_not() {
    let w = world().await;
    let mut c = connect(&w).await;
    assert!(!c.authenticate_password("alice", "wrong").await.unwrap().success());
    assert!(c.authenticate_password("alice", PASSWORD).await.unwrap().success());

    let mut c = connect(&w).await;
    for _ in 0..10 {
        match c.authenticate_password("nobody-here", PASSWORD).await {
            Ok(r) => assert!(!r.success()),
            Err(_) => break,
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(c.is_closed(), "too many tries end the connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_never_log_in_are_bounded_and_disturb_nobody() {
    let w = world_with(session::local::Settings::default(), |c| {
        c.max_waiting = 40;
        c.max_waiting_per_address = 30;
        c.grace = std::time::Duration::from_secs(3);
    })
    .await;
    let mut idle = Vec::new();
    for i in 0..300 {
        let mut s = tokio::net::TcpStream::connect(w.address).await.unwrap();
        if i % 3 == 0 {
            use tokio::io::AsyncWriteExt as _;
            let _ = s.write_all(b"SSH-2.0-x\r\n\0\0\xff\xff garbage").await;
        }
        idle.push(s);
    }

    let said = w.ssh("alice@root@web1", &["echo fine"], b"").await;

    assert_eq!(said.text(), "fine\n", "{}", said.err);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let mut open = 0;
    for s in &idle {
        let mut buffer = [0; 4096];
        loop {
            match s.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    open += 1;
                    break;
                }
                Err(_) => break,
            }
        }
    }
    assert_eq!(open, 0, "the grace time ends the rest");
}
