//! A gateway with a private sshd behind it, for measuring: prints where everything is and runs until it is killed.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let w = support::world_with(session::local::Settings { max_idle: std::time::Duration::from_secs(36_000), ..Default::default() }, |c| {
            c.listen = vec!["127.0.0.1:12022".parse().unwrap()];
        })
        .await;
        println!(
            "{{\"dir\":\"{}\",\"gateway\":{},\"sshd\":{},\"sshd_pid\":{},\"pid\":{}}}",
            w.dir.path().display(),
            w.address.port(),
            w.sshd.port,
            w.sshd.pid(),
            std::process::id()
        );
        std::future::pending::<()>().await;
    });
}
