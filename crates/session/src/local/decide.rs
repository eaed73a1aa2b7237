//! Grants and refusals.

use model::{Account, MessagePair, SecretType};
use policy::{Access, Connect, ConnectTarget, Decider, DenialReason, Granted, Identity, TargetAccount, access};
use store::{ConnectFacts, LogBatch};

use super::{LocalControl, watch::Grants};
use crate::control::{AccountAsk, Ask};

/// Which account a question means, or the sentence that says why it is unclear.
fn account_for(ask: &AccountAsk, who: &Identity, facts: &ConnectFacts, access: &Access) -> Result<TargetAccount, MessagePair> {
    let asset = || terminal::safe(&facts.asset.name);
    let same_name = || TargetAccount::SameName {
        username: who.username().to_owned(),
        stored: facts.accounts.iter().find(|a| a.is_active && a.username == who.username()).cloned(),
    };
    match ask {
        AccountAsk::Id(id) => facts
            .accounts
            .iter()
            .find(|a| a.id == *id)
            .cloned()
            .map(TargetAccount::Real)
            .ok_or_else(|| MessagePair::new("access.no_account", "unknown account id").with("asset", asset())),
        AccountAsk::Input(username) => Ok(TargetAccount::Input { username: username.clone() }),
        AccountAsk::SameName => Ok(same_name()),
        AccountAsk::Written(name) if name == "@USER" => Ok(same_name()),
        AccountAsk::Written(name) if name == "@INPUT" => Ok(TargetAccount::Input { username: String::new() }),
        AccountAsk::Written(name) => Ok(written(name, facts, access)),
        AccountAsk::Only => {
            let usable: Vec<&TargetAccount> = access.accounts.iter().filter(|a| a.actions.has(model::Action::Connect)).map(|a| &a.account).collect();
            match usable.as_slice() {
                [one] => Ok((*one).clone()),
                [] => Err(MessagePair::new("access.no_account", "no usable account").with("asset", asset())),
                many => {
                    let choices: Vec<String> =
                        many.iter().take(8).map(|a| if a.username().is_empty() { a.alias() } else { terminal::safe(a.username()) }).collect();
                    Err(MessagePair::new("access.ambiguous_account", format!("{} accounts", many.len()))
                        .with("asset", asset())
                        .with("choices", choices.join(", ")))
                }
            }
        }
    }
}

/// The account of that user name or name, granted ones and keys first. If none is granted but typing is, a typed one;
/// else a stored one, so that the refusal can say what is wrong with it.
fn written(name: &str, facts: &ConnectFacts, access: &Access) -> TargetAccount {
    let granted = |a: &Account| access.accounts.iter().any(|g| matches!(&g.account, TargetAccount::Real(r) if r.id == a.id));
    let mut candidates: Vec<&Account> = facts.accounts.iter().filter(|a| a.username == name || a.name == name).collect();
    candidates.sort_by_key(|a| (!granted(a), a.username != name, !a.is_active, !a.has_secret, a.secret_type != SecretType::SshKey));
    let may_type = access.accounts.iter().any(|g| matches!(g.account, TargetAccount::Input { .. }));
    match candidates.first() {
        Some(a) if granted(a) || !may_type => TargetAccount::Real((*a).clone()),
        _ => TargetAccount::Input { username: name.to_owned() },
    }
}

impl LocalControl {
    pub(super) async fn decide(&self, who: &Identity, ask: &Ask) -> Result<Granted<Connect>, MessagePair> {
        let passes = self.grants.lock().passes();
        let facts = self.parts.store.mine(who).connect_facts(ask.asset).await.map_err(|e| Self::unavailable(&e))?;
        let Some(facts) = facts else {
            let id = ask.asset.to_string();
            let refusal = MessagePair::new("access.unknown_target", "no such asset").with("name", id.clone());
            self.denied(who, ask, &id, None, refusal.code, None).await?;
            return Err(refusal);
        };
        let now = self.parts.clock.now();
        let access = access::evaluate(&facts.facts(), now);
        let account = match account_for(&ask.account, who, &facts, &access) {
            Ok(account) => account,
            Err(refusal) => {
                // Somebody without any rule in force learns that, not which accounts there are.
                let refusal = if access.accounts.is_empty() { self.probe(who, &facts, ask, now).unwrap_or(refusal) } else { refusal };
                self.denied(who, ask, &facts.asset.name, Some(&facts), refusal.code, None).await?;
                return Err(refusal);
            }
        };
        let target = ConnectTarget { asset: facts.asset.clone(), platform: facts.platform.clone(), account, protocol: ask.protocol.clone() };
        let shown = target.account.username().to_owned();
        match Decider.connect(who, &facts.facts(), target.clone(), now) {
            Ok((granted, withdraw)) => {
                if self.parts.registry.len() >= self.parts.settings.max_sessions {
                    return Err(MessagePair::new("system.too_many", "session limit of the node reached"));
                }
                let next = Grants::next_boundary(&facts, now);
                if self.grants.lock().add(withdraw, who.clone(), target, next, passes) {
                    self.nudge.notify_one();
                }
                Ok(granted)
            }
            Err(denial) => {
                let message = denial
                    .message()
                    .with("asset", terminal::safe(&facts.asset.name))
                    .with("account", terminal::safe(&shown))
                    .with("protocol", terminal::safe(&ask.protocol));
                self.denied(who, ask, &facts.asset.name, Some(&facts), message.code, Some(serde_json::to_value(&denial.why).unwrap_or_default())).await?;
                Err(message)
            }
        }
    }

    /// Why a person without any usable account is refused: what the evaluation says about a neutral account.
    fn probe(&self, who: &Identity, facts: &ConnectFacts, ask: &Ask, now: model::Time) -> Option<MessagePair> {
        let target =
            ConnectTarget { asset: facts.asset.clone(), platform: facts.platform.clone(), account: TargetAccount::Anonymous, protocol: ask.protocol.clone() };
        match Decider.connect(who, &facts.facts(), target, now) {
            Err(d) if !matches!(d.reason, DenialReason::Account | DenialReason::Action) => {
                Some(d.message().with("asset", terminal::safe(&facts.asset.name)).with("account", "").with("protocol", terminal::safe(&ask.protocol)))
            }
            _ => None,
        }
    }

    async fn denied(
        &self,
        who: &Identity,
        ask: &Ask,
        name: &str,
        facts: Option<&ConnectFacts>,
        code: &str,
        why: Option<serde_json::Value>,
    ) -> Result<(), MessagePair> {
        let mut event = self.audit_event("session.denied", Some(who), &ask.client.to_string());
        event.org = facts.map(|f| f.asset.org);
        event.target = facts.map_or_else(|| terminal::safe(name), |f| format!("{}({})", f.asset.name, f.asset.address));
        event.target_id = ask.asset.to_string();
        let account = match &ask.account {
            AccountAsk::Id(id) => id.to_string(),
            AccountAsk::Written(n) | AccountAsk::Input(n) => n.chars().take(128).collect(),
            AccountAsk::SameName => "@USER".to_owned(),
            AccountAsk::Only => String::new(),
        };
        event.data = serde_json::json!({ "reason": code, "account": account, "protocol": ask.protocol, "rules": why });
        tracing::info!(user = who.username(), asset = %ask.asset, reason = code, "connection denied");
        metrics::counter!("rampart_denied_total").increment(1);
        self.evidence(LogBatch { audit: vec![event], ..Default::default() }).await
    }
}
