//! Lists of targets, names that people type, and the accounts behind them.

use std::{collections::BTreeMap, net::IpAddr};

use model::{Asset, Id, MessagePair, Page, Query};
use policy::{Identity, TargetAccount, access};
use store::{GrantedAsset, LogBatch};

use super::LocalControl;
use crate::control::{AccountAsk, AccountChoice, Target, TargetQuery};

/// Most choices named in a message about an ambiguous name.
const NAMED_CHOICES: usize = 8;

fn target(g: GrantedAsset) -> Target {
    Target { asset: g.asset, platform: g.platform, org: g.org, nodes: g.nodes }
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl LocalControl {
    pub(super) async fn list_targets(&self, who: &Identity, q: &TargetQuery) -> Result<Page<Target>, MessagePair> {
        let mine = self.parts.store.mine(who);
        let now = self.parts.clock.now();
        if q.node.is_none() && q.protocol.is_none() {
            let query = Query::default().search(&q.search).page(q.offset, q.limit);
            return Ok(mine.assets(now, &query).await.map_err(|e| Self::unavailable(&e))?.map(target));
        }
        let all = mine.assets(now, &Query::all().search(&q.search)).await.map_err(|e| Self::unavailable(&e))?;
        let keep: Vec<Target> = all
            .rows
            .into_iter()
            .filter(|g| q.node.as_ref().is_none_or(|n| g.nodes.iter().any(|p| below(p, n))))
            .filter(|g| q.protocol.as_ref().is_none_or(|p| g.asset.port(p).is_some()))
            .map(target)
            .collect();
        let skip = usize::try_from(q.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(q.limit).unwrap_or(usize::MAX);
        Ok(Page { count: keep.len() as u64, rows: keep.into_iter().skip(skip).take(take).collect() })
    }

    pub(super) async fn list_folders(&self, who: &Identity) -> Result<Vec<(String, u64)>, MessagePair> {
        let all = self.parts.store.mine(who).assets(self.parts.clock.now(), &Query::all()).await.map_err(|e| Self::unavailable(&e))?;
        let mut folders: BTreeMap<String, u64> = BTreeMap::new();
        for granted in all.rows {
            // An asset in two folders of one branch counts once there.
            let mut over: Vec<String> = Vec::new();
            for path in granted.nodes {
                let mut at = 1;
                while let Some(next) = path.get(at..).and_then(|rest| rest.find('/')) {
                    over.extend(path.get(..at + next).map(str::to_owned));
                    at += next + 1;
                }
                over.push(path);
            }
            over.sort_unstable();
            over.dedup();
            for path in over {
                *folders.entry(path).or_default() += 1;
            }
        }
        Ok(folders.into_iter().collect())
    }

    pub(super) async fn resolve_target(&self, who: &Identity, client: IpAddr, written: &str) -> Result<Target, MessagePair> {
        let found = self.parts.store.mine(who).named(written).await.map_err(|e| Self::unavailable(&e))?;
        let ranked = |test: &dyn Fn(&Asset) -> bool| -> Vec<GrantedAsset> { found.iter().filter(|g| test(&g.asset)).cloned().collect() };
        // A name beats an address, an address beats the start of an id.
        let by_name = ranked(&|a| a.name.eq_ignore_ascii_case(written));
        let by_address = ranked(&|a| a.address.eq_ignore_ascii_case(written));
        let best = [by_name, by_address, found].into_iter().find(|v| !v.is_empty()).unwrap_or_default();
        let shown = terminal::safe(&written.chars().take(128).collect::<String>());
        let refusal = match best.len() {
            1 => return best.into_iter().next().map(target).ok_or_else(|| MessagePair::new("system.unavailable", "no target")),
            0 => MessagePair::new("access.unknown_target", "no rule names an asset of that name, address or id").with("name", shown.clone()),
            _ => {
                let choices: Vec<String> = best
                    .iter()
                    .take(NAMED_CHOICES)
                    .map(|g| {
                        format!(
                            "{} ({}, {}, id {:.8})",
                            terminal::safe(&g.asset.name),
                            terminal::safe(&g.asset.address),
                            terminal::safe(&g.org),
                            g.asset.id.to_string()
                        )
                    })
                    .collect();
                MessagePair::new("access.ambiguous_target", format!("{} assets", best.len())).with("name", shown.clone()).with("choices", choices.join("; "))
            }
        };
        let mut event = self.audit_event("session.denied", Some(who), &client.to_string());
        event.target = shown;
        event.data = serde_json::json!({ "reason": refusal.code });
        self.evidence(LogBatch { audit: vec![event], ..Default::default() }).await?;
        Err(refusal)
    }

    pub(super) async fn list_accounts(&self, who: &Identity, asset: Id<Asset>, protocol: &str) -> Result<Vec<AccountChoice>, MessagePair> {
        let Some(facts) = self.parts.store.mine(who).connect_facts(asset).await.map_err(|e| Self::unavailable(&e))? else { return Ok(Vec::new()) };
        let access = access::evaluate(&facts.facts(), self.parts.clock.now());
        if !access.protocols.has(protocol) || facts.asset.port(protocol).is_none() {
            return Ok(Vec::new());
        }
        let usable = access.accounts.into_iter().filter(|a| a.actions.has(model::Action::Connect));
        Ok(usable
            .filter_map(|a| {
                let (ask, name, types_secret) = match &a.account {
                    TargetAccount::Real(acc) => (AccountAsk::Id(acc.id), acc.name.clone(), !acc.has_secret),
                    TargetAccount::Input { .. } => (AccountAsk::Input(String::new()), "@INPUT".to_owned(), true),
                    TargetAccount::SameName { stored, .. } => (AccountAsk::SameName, "@USER".to_owned(), !stored.as_ref().is_some_and(|s| s.has_secret)),
                    TargetAccount::Anonymous => return None,
                };
                Some(AccountChoice { ask, name, username: a.account.username().to_owned(), types_secret })
            })
            .collect())
    }
}
