//! A node put together: store, vault, logins, recorder, control plane, API. Used by `serve` and, without listeners, by
//! commands that run while no server does.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use audit::{Checkpointer, NodeKey};
use authn::{Authenticator, AuthnError};
use axum::Router;
use model::{Clock, SystemClock, User};
use policy::Authority;
use recording::{Spool, SpoolOptions};
use session::{
    Bus, Committer, LocalBus, Registry,
    local::{LocalControl, Parts},
};
use store::Store;
use vault::{MasterKey, Vault};

use super::{door::Doors, lock::DataDir};
use crate::config::{Config, Secrets, WebTls};

/// A first password shorter than this is refused; between this and the password rules it is a warning.
const SHORTEST_FIRST_PASSWORD: usize = 8;

/// Everything a running node has.
pub struct Node {
    /// The lock on the data directory.
    pub dir: DataDir,
    /// The database.
    pub store: Store,
    /// The right of the node itself.
    pub authority: Authority,
    /// What gateways talk to.
    pub control: Arc<LocalControl>,
    /// Live sessions.
    pub registry: Registry,
    /// Recordings.
    pub spool: Spool,
    /// Signs the audit chain.
    pub checkpointer: Arc<Checkpointer>,
    /// The API.
    pub router: Router,
    /// The one-time link token for the first administrator, when no password was given.
    pub setup: Option<vault::Secret<String>>,
}

fn master_key(data: &Path, secrets: &Secrets) -> anyhow::Result<MasterKey> {
    if let Some(text) = &secrets.master_key {
        return MasterKey::from_text(text.expose()).context("RAMPART_MASTER_KEY cannot be used");
    }
    if let Some(path) = &secrets.master_key_file {
        return MasterKey::load(path).with_context(|| format!("the master key file {} cannot be used", path.display()));
    }
    MasterKey::load_or_create(data.join("keys/master.key")).context("the master key in the data directory cannot be used")
}

/// The node's name: made at the first start, then kept.
fn node_id(data: &Path) -> anyhow::Result<String> {
    let path = data.join("keys/node.id");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() && text.len() <= 64 => Ok(text.trim().to_owned()),
        Ok(_) => anyhow::bail!("{} does not hold a node name", path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let id = format!("node-{:.8}", uuid::Uuid::new_v4().simple().to_string());
            std::fs::write(&path, &id)?;
            Ok(id)
        }
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

impl Node {
    /// Opens everything under the data directory. With `recover` sessions that the last run left open are closed.
    ///
    /// # Errors
    /// One clear sentence; nothing was started.
    pub async fn open(config: &Config, secrets: &Secrets, metrics: Option<metrics_exporter_prometheus::PrometheusHandle>) -> anyhow::Result<Node> {
        let data = config.data_dir.as_path();
        let dir = DataDir::lock(data)?;
        super::private_dir(&data.join("keys"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Authority::of_this_node();
        let node_id = node_id(data)?;
        let store = store_sql::open(&config.database_url, store_sql::Options { node_id: node_id.clone(), exclusive: true, ..Default::default() })
            .await
            .map_err(|e| anyhow::anyhow!("the database cannot be opened: {e}"))?;
        let vault = Vault::open_store(store.clone(), authority, master_key(data, secrets)?).await.context("the vault cannot be opened")?;
        let vault = Arc::new(vault);
        let key = NodeKey::load_or_create(data.join("keys/audit.key")).context("the audit key cannot be used")?;
        let recordings = data.join("recordings");
        super::private_dir(&recordings)?;

        let recovered = session::local::recover(&store, authority, &node_id, &recordings, &key, clock.now()).await?;
        if recovered > 0 {
            tracing::warn!(recovered, "sessions of the last run were closed as interrupted");
        }
        let spool = Spool::start(recordings.clone(), SpoolOptions::new(Arc::new(key.clone()))).context("the recorder cannot start")?;
        super::private_dir(&data.join("audit"))?;
        let checkpoints = data.join("audit/checkpoints.jsonl");
        let checkpointer = Checkpointer::start(store.clone(), authority, &node_id, key.clone(), checkpoints, clock.clone())
            .await
            .context("the audit chain cannot be continued")?;
        let checkpointer = Arc::new(checkpointer);

        let bus: Arc<dyn Bus> = Arc::new(LocalBus::default());
        let registry = Registry::default();
        let committer = Committer::new(store.clone(), bus.clone());
        let logins = authn::Settings { mfa: config.mfa, ..Default::default() };
        let authn = Authenticator::new(store.clone(), vault.clone(), clock.clone(), logins, authority);
        let setup = first_administrator(&store, authority, &authn, secrets).await?;
        let control = LocalControl::start(Parts {
            store: store.clone(),
            authority,
            vault: vault.clone(),
            bus: bus.clone(),
            registry: registry.clone(),
            spool: spool.clone(),
            clock: clock.clone(),
            node_id: node_id.clone(),
            doors: Arc::new(Doors(authn.clone())),
            settings: config.session.clone(),
        });
        let app = rest::App::new(rest::Parts {
            store: store.clone(),
            committer,
            vault,
            authn: Arc::new(authn),
            registry: registry.clone(),
            bus,
            clock,
            authority,
            spool: spool.clone(),
            data_dir: data.to_path_buf(),
            node_id,
            node_key: Arc::new(key),
            trusted_proxies: config.trusted_proxies.clone(),
            checkpointer: Arc::downgrade(&checkpointer),
            metrics,
            secure_cookies: config.web_tls != WebTls::Off,
        });
        Ok(Node { dir, store, authority, control, registry, spool, checkpointer, router: rest::router(app), setup })
    }

    /// Flushes and closes in the order that keeps the evidence: recordings, then the signed head of the chain, then the database.
    pub async fn close(self) {
        self.spool.shutdown().await;
        match Arc::try_unwrap(self.checkpointer) {
            Ok(checkpointer) => checkpointer.stop().await,
            // A request still holds it: sign what there is; the task ends with the process.
            Err(checkpointer) => {
                if let Err(e) = checkpointer.sign_now().await {
                    tracing::error!(error = %e, "the last audit entries could not be signed; the next start signs them");
                }
            }
        }
        self.store.node(self.authority).close().await;
    }
}

/// On the very first start: sets the password of `admin`, or opens the one-time link.
async fn first_administrator(store: &Store, authority: Authority, authn: &Authenticator, secrets: &Secrets) -> anyhow::Result<Option<vault::Secret<String>>> {
    let known = store.node(authority).user_secrets(User::ADMIN).await?;
    if known.password_hash.is_some() {
        return Ok(None);
    }
    let Some(password) = &secrets.admin_password else {
        return authn.create_setup_link().await.map_err(|e| anyhow::anyhow!("the setup link cannot be made: {e}"));
    };
    match authn.reset_password("admin", password, false).await {
        Ok(_) => Ok(None),
        Err(AuthnError::Weak(violations)) if password.expose().chars().count() >= SHORTEST_FIRST_PASSWORD => {
            // The operator chose it on purpose and sits at the machine: say so loudly, but let the installation start.
            let why: Vec<String> = violations.iter().map(|v| messages::render(messages::Lang::En, &v.message())).collect();
            tracing::warn!("RAMPART_ADMIN_PASSWORD is weak, change it soon: {}", why.join(" "));
            let hash = authn.hash_password(password).await?;
            let secrets = model::UserSecrets { password_hash: Some(hash), password_set: Some(model::SystemClock.now()), ..known };
            store.node(authority).set_user_secrets(User::ADMIN, secrets).await?;
            Ok(None)
        }
        Err(e) => anyhow::bail!("RAMPART_ADMIN_PASSWORD cannot be used: {}", messages::render(messages::Lang::En, &e.message())),
    }
}
