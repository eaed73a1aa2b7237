//! Session rows, host keys and secrets, each with its entry in the audit chain.

use std::{path::Path, time::Duration};

use model::{EndReason, Fault, HostKey, Id, MessagePair, SecretType, SessionRow, SessionState};
use policy::{Authority, Connect, Granted};
use store::{Change, LogBatch, Store, UnitOfWork};

use super::LocalControl;
use crate::control::{End, HostKeyVerdict, Opening, SeenHostKey, TargetSecret, Totals};

/// How often and how long a closing row is tried again while the database is away.
const CLOSE_TRIES: u32 = 120;
const CLOSE_PAUSE: Duration = Duration::from_secs(5);

fn clip(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl LocalControl {
    pub(super) async fn open_row(&self, granted: &Granted<Connect>, opening: &Opening) -> Result<SessionRow, MessagePair> {
        let (who, on) = (granted.who(), granted.on());
        let now = self.parts.clock.now();
        let row = SessionRow {
            id: Id::generate(),
            org: granted.scope().id(),
            user_id: who.user(),
            user: who.display().to_owned(),
            asset_id: on.asset.id,
            asset: format!("{}({})", on.asset.name, on.asset.address),
            account_id: on.account.stored().map(|a| a.id),
            account: on.account.display(),
            protocol: on.protocol.clone(),
            kind: opening.kind,
            login_from: opening.login_from,
            remote_addr: opening.remote_addr.clone(),
            node_id: self.parts.node_id.clone(),
            decision_id: granted.decision().to_string(),
            connection_id: opening.connection_id.clone(),
            state: SessionState::Opened,
            is_success: false,
            end_reason: None,
            end_fault: None,
            exit_code: None,
            recording: None,
            recording_hash: None,
            recording_size: 0,
            command_amount: 0,
            bytes_in: 0,
            bytes_out: 0,
            date_start: now,
            date_end: None,
            date_alive: now,
            comment: String::new(),
        };
        let extra = serde_json::json!({
            "actions": granted.actions(), "expires": granted.expires(), "rules": granted.why().map(|w| &w.rules), "mfa": who.with_mfa(),
        });
        let event = audit::events::session_open(&audit::events::By::person(who), &row, extra, now);
        self.evidence(LogBatch { audit: vec![event], sessions_opened: vec![row.clone()], ..Default::default() }).await?;
        tracing::info!(session = %row.id, user = who.username(), asset = %row.asset, account = %row.account, kind = ?row.kind, "session opened");
        metrics::counter!("rampart_sessions_total").increment(1);
        Ok(row)
    }

    /// Closes the row. The database may be away for a while: the row is tried again, for the evidence must not be lost.
    pub(super) async fn close_row(&self, mut row: SessionRow, end: &End, totals: &Totals) {
        let now = self.parts.clock.now();
        row.state = SessionState::Closed;
        row.end_reason = Some(end.reason);
        row.end_fault = end.fault;
        row.exit_code = totals.exit_code;
        row.bytes_in = clip(totals.bytes_in);
        row.bytes_out = clip(totals.bytes_out);
        row.command_amount = clip(totals.commands);
        row.date_end = Some(now);
        row.date_alive = now;
        let event = audit::events::session_close(&by(&row), &row, &end.detail, now);
        tracing::info!(session = %row.id, reason = end.reason.as_str(), fault = ?end.fault, detail = %end.detail, bytes_in = row.bytes_in, bytes_out = row.bytes_out, "session closed");
        for _ in 0..CLOSE_TRIES {
            let batch = LogBatch { audit: vec![event.clone()], sessions_updated: vec![row.clone()], commands: totals.unstored.clone(), ..Default::default() };
            if self.evidence(batch).await.is_ok() {
                return;
            }
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
        tracing::error!(session = %row.id, "session row could not be closed; the next start closes it as interrupted");
    }

    pub(super) async fn open_secret(&self, granted: &Granted<Connect>) -> Result<TargetSecret, MessagePair> {
        let Some(account) = granted.on().account.stored() else { return Ok(TargetSecret::Typed) };
        if !account.has_secret {
            return Ok(TargetSecret::Typed);
        }
        match self.parts.vault.open(granted).await {
            Ok(c) if c.secret_type == SecretType::SshKey => Ok(TargetSecret::Key { key: c.secret, passphrase: c.passphrase }),
            Ok(c) => Ok(TargetSecret::Password(c.secret)),
            Err(e) => {
                tracing::error!(account = %account.id, error = %e, "secret cannot be opened");
                Err(MessagePair::new("target.no_secret", e.to_string())
                    .with("account", terminal::safe(&account.username))
                    .with("asset", terminal::safe(&granted.on().asset.name)))
            }
        }
    }

    pub(super) async fn judge_host_key(&self, granted: &Granted<Connect>, seen: &SeenHostKey) -> Result<HostKeyVerdict, MessagePair> {
        let asset = &granted.on().asset;
        let known = self.parts.store.read(granted.scope()).host_keys(asset.id).await.map_err(|e| Self::unavailable(&e))?;
        let here: Vec<&HostKey> = known.iter().filter(|k| k.address == seen.address).collect();
        if here.iter().any(|k| k.public_key == seen.public_key) {
            return Ok(HostKeyVerdict::Known);
        }
        let mut event = self.audit_event("hostkey.first_use", Some(granted.who()), granted.who().client());
        event.org = Some(asset.org);
        event.target = format!("{}({})", asset.name, seen.address);
        event.target_id = asset.id.to_string();
        event.data = serde_json::json!({ "algorithm": seen.algorithm, "fingerprint": seen.fingerprint, "known": here.iter().map(|k| &k.fingerprint).collect::<Vec<_>>() });
        // A key of another type at a known address is a change too: else a wrong host would only have to offer another type.
        if !here.is_empty() {
            "hostkey.changed".clone_into(&mut event.kind);
            tracing::warn!(asset = %asset.id, fingerprint = %seen.fingerprint, "host key changed");
            self.evidence(LogBatch { audit: vec![event], ..Default::default() }).await?;
            return Ok(HostKeyVerdict::Changed);
        }
        let key = HostKey {
            org: asset.org,
            asset: asset.id,
            address: seen.address.clone(),
            algorithm: seen.algorithm.clone(),
            public_key: seen.public_key.clone(),
            fingerprint: seen.fingerprint.clone(),
            first_seen: self.parts.clock.now(),
            pinned: false,
        };
        let mut work = UnitOfWork::in_org(granted.scope());
        work.changes.push(Change::PutHostKey(Box::new(key)));
        work.audit(event);
        self.parts.store.commit(work).await.map_err(|e| Self::unavailable(&e))?;
        Ok(HostKeyVerdict::Recorded)
    }
}

/// The person of a session, as its own row remembers him.
fn by(row: &SessionRow) -> audit::events::By {
    audit::events::By { actor: row.user.clone(), actor_id: Some(row.user_id), remote_addr: row.remote_addr.clone() }
}

/// At the start of a node: sessions that the last run left open are closed as `interrupted`, their recordings mended so
/// that they play and verify. Returns how many.
///
/// # Errors
/// The store failed.
pub async fn recover(
    store: &Store,
    authority: Authority,
    node_id: &str,
    recordings: &Path,
    signer: &dyn recording::Signer,
    now: model::Time,
) -> store::Result<usize> {
    let open = store.node(authority).open_sessions(Some(node_id)).await?;
    let count = open.len();
    for mut row in open {
        // a session that was opened a moment before the end had no time to say where its recording lies
        if row.recording.is_none() {
            row.recording = recording::find(recordings, row.id.uuid(), row.date_start.timestamp_micros());
        }
        if let Some(path) = &row.recording {
            match recording::recover(recordings.join(path), signer) {
                Ok(done) => {
                    row.recording_hash = Some(done.hash);
                    row.recording_size = clip(done.size);
                }
                Err(e) => {
                    tracing::error!(session = %row.id, error = %e, "recording cannot be mended");
                    row.comment = format!("recording cannot be mended: {e}");
                }
            }
        }
        row.state = SessionState::Closed;
        row.end_reason = Some(EndReason::Interrupted);
        row.end_fault = Some(Fault::Rampart);
        row.date_end = Some(now);
        let event = audit::events::session_close(&by(&row), &row, "the node ended without closing the session", now);
        tracing::warn!(session = %row.id, "session was interrupted by the end of the node");
        store.node(authority).log(LogBatch { audit: vec![event], sessions_updated: vec![row], ..Default::default() }).await?;
    }
    Ok(count)
}
