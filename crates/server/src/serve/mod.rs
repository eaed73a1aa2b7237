//! `rampart serve`: a node from start to graceful stop.

mod door;
mod lock;
mod node;
mod tls;
mod web;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use axum::Router;
use session::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{self, Config, Secrets};

pub use lock::private_from_now_on;
pub use node::Node;

/// A directory only its owner can enter.
///
/// # Errors
/// It cannot be made.
pub fn private_dir(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("cannot create {}", dir.display()))
}

fn start_logging(config: &Config) {
    use std::io::IsTerminal as _;

    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written (a full disk) must not become a panic of the task that wanted to say something, which
    // is what the library's own complaint about it on standard error would be.
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false).with_ansi(std::io::stderr().is_terminal());
    // A second initialisation (tests) keeps the first.
    let _ = if config.log_json { builder.json().flatten_event(true).try_init() } else { builder.compact().try_init() };
}

/// Runs a node until a signal ends it.
///
/// # Errors
/// One clear sentence for the operator.
pub async fn run(config: Config, secrets: Secrets) -> anyhow::Result<()> {
    start_logging(&config);
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().context("metrics cannot start")?;
    let mut node = Node::open(&config, &secrets, Some(metrics)).await?;
    let stop_accepting = CancellationToken::new();
    let web_tasks = TaskTracker::new();
    let gateway_tasks = TaskTracker::new();

    if !config.ssh_listen.is_empty() {
        let gateway = gw_ssh::Gateway::bind(
            gw_ssh::Config {
                listen: config.ssh_listen.clone(),
                host_key_dir: config.data_dir.join("keys"),
                trusted_proxies: config.trusted_proxies.clone(),
                ..Default::default()
            },
            node.control.clone(),
        )
        .context("the SSH port cannot be opened")?;
        gateway_tasks.spawn(gateway.run(stop_accepting.clone()));
    }
    let web = web::Web {
        router: node.router.clone(),
        tls: tls::server_config(&config.web_tls, &config.data_dir)?,
        trusted: std::sync::Arc::new(config.trusted_proxies.clone()),
        stop: stop_accepting.clone(),
        tasks: web_tasks.clone(),
    };
    for addr in &config.web_listen {
        let listener = web::Web::bind(*addr)?;
        web_tasks.spawn(web.clone().serve(listener));
    }
    let socket = config.data_dir.join("rampart.sock");
    // The local socket outlives the listeners: an administrator must be able to ask a draining node.
    let local_stop = CancellationToken::new();
    let local = web::Web { stop: local_stop.clone(), ..web.clone() }.local(&socket, node.dir.owner())?;
    web_tasks.spawn(local);

    announce(&config, node.setup.take());
    wait_for_signal().await?;
    drain(&node, &config, &stop_accepting).await;
    local_stop.cancel();
    gateway_tasks.close();
    web_tasks.close();
    let _ = tokio::time::timeout(Duration::from_secs(3), async {
        gateway_tasks.wait().await;
        web_tasks.wait().await;
    })
    .await;
    let _ = std::fs::remove_file(&socket);
    node.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Stop accepting, tell people, wait, cut, and let every session close its row.
async fn drain(node: &Node, config: &Config, stop_accepting: &CancellationToken) {
    node.registry.refuse_new();
    stop_accepting.cancel();
    let live = node.registry.ids();
    tracing::info!(sessions = live.len(), seconds = config.drain.as_secs(), "stopping");
    if !live.is_empty() && !config.drain.is_zero() {
        for id in live {
            node.registry.send(id, Command::Draining(config.drain.as_secs()));
        }
        let deadline = tokio::time::Instant::now() + config.drain;
        let empty = async {
            while !node.registry.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout_at(deadline, empty) => {}
            // A second signal means "now".
            _ = wait_for_signal() => {}
        }
    }
    node.registry.cut();
    node.registry.tasks().close();
    if tokio::time::timeout(Duration::from_secs(20), node.registry.tasks().wait()).await.is_err() {
        tracing::error!("some sessions did not close in time; the next start closes them as interrupted");
    }
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Tells the operator where the node is, and the setup link if the first administrator has no password yet.
fn announce(config: &Config, setup: Option<vault::Secret<String>>) {
    let scheme = if config.web_tls == config::WebTls::Off { "http" } else { "https" };
    let web = config.web_listen.first().map(|a| {
        let host = if a.ip().is_unspecified() { "localhost".to_owned() } else { a.ip().to_string() };
        format!("{scheme}://{host}:{}", a.port())
    });
    let ssh = config.ssh_listen.first().map(ToString::to_string);
    tracing::info!(web = web.as_deref().unwrap_or("off"), ssh = ssh.as_deref().unwrap_or("off"), data = %config.data_dir.display(), "ready");
    let mut lines = vec![format!("Rampart {} is ready.", env!("CARGO_PKG_VERSION"))];
    lines.push(format!("  web  {}", web.as_deref().unwrap_or("off")));
    lines.push(format!("  ssh  {}", ssh.as_deref().unwrap_or("off")));
    if let Some(token) = setup {
        let base = web.as_deref().unwrap_or("http://localhost");
        lines.push("No administrator password is set. Open this link once to set it; nobody can sign in before:".into());
        lines.push(format!("  {base}/setup?token={}", token.expose()));
    }
    crate::cli::out::lines(&lines);
}

/// The API of a data directory that no server is running on, for commands of the local administrator.
///
/// # Errors
/// A server runs there, or the directory cannot be opened.
pub async fn offline(data: &Path) -> anyhow::Result<(Router, Node)> {
    let file = config::process_env("RAMPART_CONFIG").filter(|f| !f.is_empty()).map(std::path::PathBuf::from);
    let (config, secrets) = config::load(file.as_deref(), Some(data), &config::process_env).map_err(|e| anyhow::anyhow!(e))?;
    let node = Node::open(&config, &secrets, None).await?;
    let router = node.router.clone().layer(axum::Extension(rest::LocalAdmin));
    Ok((router, node))
}
