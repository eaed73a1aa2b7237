//! OpenSSH through the gateway to a real sshd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::world;

const TO: &str = "alice@root@web1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_and_signals_come_back() {
    let w = world().await;

    for code in [0, 7, 255] {
        let said = w.ssh(TO, &[&format!("exit {code}")], b"").await;
        assert_eq!(said.code, Some(code), "{}", said.err);
    }
    let said = w.ssh(TO, &["kill -TERM $$"], b"").await;
    assert_eq!(said.code, Some(255), "a signal is 255 as with ssh itself: {}", said.err);

    w.until(|| async { w.sessions().await.iter().all(model::SessionRow::is_finished) }).await;
    let rows = w.sessions().await;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().any(|r| r.exit_code == Some(7)));
    assert!(rows.iter().any(|r| r.exit_code == Some(143)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_the_user_name_reaches_the_target() {
    let w = world().await;

    for user in ["alice@root@web1", "alice#root#web1", "alice:root@web1", "alice@root@127.0.0.1"] {
        let said = w.ssh(user, &["echo ok"], b"").await;
        assert_eq!(said.text(), "ok\n", "{user}: {}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplex_stream_of_any_bytes_is_unchanged() {
    let w = world().await;
    let mut sent = vec![3u8];
    let mut x = 0x2545_f491_4f6c_dd1du64;
    while sent.len() < 64 * 1024 * 1024 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sent.extend(x.to_le_bytes());
    }

    let said = w.ssh(TO, &["cat"], &sent).await;

    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out == sent, "{} bytes came back", said.out.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_flows_although_nobody_reads_the_input() {
    let w = world().await;
    let unread = vec![b'x'; 24 * 1024 * 1024];

    let said = w.ssh(TO, &["head -c 40000000 /dev/zero; exit 6"], &unread).await;

    assert_eq!((said.code, said.out.len()), (Some(6), 40_000_000), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_error_stays_apart() {
    let w = world().await;

    let said = w.ssh(TO, &["head -c 3000000 /dev/zero | tr '\\0' e >&2; echo out"], b"").await;

    assert_eq!(said.text(), "out\n");
    assert_eq!(said.err.len(), 3_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_a_terminal() {
    let w = world().await;

    let said =
        w.ssh_with(&["-tt", "-o", "SetEnv=COLORTERM=truecolor LC_TIME=C.UTF-8"], TO, &["tty; stty size; echo $TERM $COLORTERM $LC_TIME; exit 3"], b"").await;

    let text = said.text();
    assert_eq!(said.code, Some(3), "{} {}", text, said.err);
    assert!(text.contains("/dev/pts/") && text.contains("truecolor C.UTF-8"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_with_a_terminal_echoes_and_ends() {
    let w = world().await;

    let said = w.ssh_with(&["-tt"], TO, &[], b"echo $((40+2))\nexit 5\n").await;

    assert_eq!(said.code, Some(5));
    assert!(said.text().contains("42"), "{}", said.text());
    assert!(said.text().contains("recorded"), "the notice is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_without_a_terminal_reads_a_script() {
    let w = world().await;

    let said = w.ssh(TO, &["-T"], b"echo one\necho two >&2\nexit 4\n").await;

    assert_eq!((said.code, said.text().as_str(), said.err.as_str()), (Some(4), "one\n", "two\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_channels_share_one_connection() {
    let w = world().await;
    let socket = w.path("mux");
    let path = format!("ControlPath={}", socket.display());
    let mut master =
        tokio::process::Command::new("ssh").args(["-N", "-M", "-o", &path]).args(w.options()).args(["-l", TO, "127.0.0.1"]).kill_on_drop(true).spawn().unwrap();
    w.until(|| async { socket.exists() }).await;

    let one = |i: usize| {
        let path = path.clone();
        let w = &w;
        async move { w.ssh_with(&["-o", &path], TO, &[&format!("sleep 0.3; echo {i}; exit {i}")], b"").await }
    };
    let all = futures_util::future::join_all((0..10).map(one)).await;

    for (i, said) in all.iter().enumerate() {
        assert_eq!((said.code, said.text()), (Some(i as i32), format!("{i}\n")), "{}", said.err);
    }
    let rows = w.sessions().await;
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|r| r.connection_id == rows[0].connection_id));
    master.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_channel_does_not_hold_up_its_siblings() {
    let w = world().await;
    let socket = w.path("mux");
    let path = format!("ControlPath={}", socket.display());
    let _master =
        tokio::process::Command::new("ssh").args(["-N", "-M", "-o", &path]).args(w.options()).args(["-l", TO, "127.0.0.1"]).kill_on_drop(true).spawn().unwrap();
    w.until(|| async { socket.exists() }).await;
    let mut stalled = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(format!("ssh -o {path} {} -l {TO} 127.0.0.1 'cat /dev/zero' | sleep 60", w.options().join(" ")))
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let began = std::time::Instant::now();
    let said = w.ssh_with(&["-o", &path], TO, &["echo alive"], b"").await;

    assert_eq!(said.text(), "alive\n", "{}", said.err);
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    let group = stalled.id().unwrap();
    let _ = std::process::Command::new("kill").args(["-9", "--", &format!("-{group}")]).status();
    let _ = stalled.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_doors_are_refused_with_a_sentence_and_an_audit_entry() {
    let w = world().await;

    let said = w.ssh_with(&["-s"], TO, &["sftp"], b"").await;
    assert!(said.err.contains("not available") && said.code == Some(255), "{:?} {}", said.code, said.err);
    let said = w.ssh(TO, &["scp -t /tmp"], b"").await;
    assert!(said.err.contains("scp") && said.code == Some(255), "{}", said.err);
    let said = w.ssh_with(&["-W", "127.0.0.1:1"], TO, &[], b"").await;
    assert_ne!(said.code, Some(0));

    assert!(w.sessions().await.is_empty());
    w.until(|| async { w.audited("session.refused").await >= 3 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_say_why() {
    let w = world().await;

    for (user, words) in [
        ("alice@root@nowhere", "No asset named nowhere"),
        ("alice@nobody@web1", "refused the stored credentials"),
        ("alice:web1", "Several accounts"),
        ("alice", "login@account@asset"),
    ] {
        let said = w.ssh(user, &["true"], b"").await;
        assert_eq!(said.code, Some(255), "{user}");
        assert!(said.err.contains(words), "{user}: {}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_rule_cuts_the_session_at_once() {
    let w = world().await;
    let client = w.ssh(TO, &["echo started; sleep 30"], b"");
    let cut = async {
        w.until(|| async { w.registry.len() == 1 }).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let rule = w.store.read(w.authority.org(model::Org::DEFAULT)).get(w.rule_id()).await.unwrap().unwrap();
        w.change(|work| {
            work.delete(rule);
        })
        .await;
        std::time::Instant::now()
    };

    let (said, at) = tokio::join!(client, cut);

    assert!(at.elapsed() < std::time::Duration::from_secs(2));
    assert_eq!(said.code, Some(255));
    assert!(said.err.contains("withdrawn"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_ends_the_process_on_the_target() {
    let w = world().await;
    let mark = w.path("mark");
    let mut child = tokio::process::Command::new("ssh")
        .args(["-tt"])
        .args(w.options())
        .args(["-l", TO, "127.0.0.1"])
        .arg(format!("touch {m}; trap 'rm -f {m}; exit' HUP; while :; do sleep 0.1; done", m = mark.display()))
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    w.until(|| async { mark.exists() }).await;

    child.kill().await.unwrap();

    w.until(|| async { !mark.exists() }).await;
    w.until(|| async { w.registry.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_gateway_ends_its_sessions_and_itself() {
    let w = world().await;
    let client = w.ssh(TO, &["sleep 30"], b"");
    let stop = async {
        w.until(|| async { w.registry.len() == 1 }).await;
        w.stop.cancel();
        w.registry.cut();
    };

    let (said, ()) = tokio::join!(client, stop);

    assert_eq!(said.code, Some(255));
    assert!(said.err.contains("restarting"), "{}", said.err);
    tokio::time::timeout(std::time::Duration::from_secs(5), w.running).await.expect("the gateway ends").unwrap();
}
