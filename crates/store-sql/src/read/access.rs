//! The facts of decisions, and what was granted to a person (jb §1.11).

use std::collections::HashMap;

use model::{Account, Asset, AssetPermission, Id, Kind, NodeKey, Page, Platform, Query, Record, Time, User, UserGroup};
use policy::OrgFilter;
use store::{ConnectFacts, GrantedAsset, Result, StoreError};
use uuid::Uuid;

use super::{get, page, query::Select};
use crate::{
    db::{Link, Val, args, marks},
    rows::{Table, attach, select_list},
};

async fn one<T: Table>(link: &mut Link, reach: OrgFilter, id: Id<T>) -> Result<Option<T>> {
    Ok(get(link, reach, T::KIND, id.uuid()).await?.and_then(|r| T::try_from(r).ok()))
}

fn key(text: &str) -> Result<NodeKey> {
    NodeKey::parse(text).ok_or_else(|| StoreError::Corrupt("node key".to_owned()))
}

/// Facts of one decision, all of the same moment (`link` must be a snapshot). The lists of each rule hold only what
/// can matter to this decision: this person, his groups, this asset, and the folders above it. A rule for ten
/// thousand assets costs as much as a rule for one.
pub(crate) async fn connect_facts(link: &mut Link, reach: OrgFilter, user: Id<User>, asset: Id<Asset>) -> Result<Option<ConnectFacts>> {
    let Some(asset) = one(link, reach, asset).await? else { return Ok(None) };
    let Some(user) = one(link, OrgFilter::All, user).await? else { return Ok(None) };
    let platform: Platform = one(link, OrgFilter::All, asset.platform).await?.ok_or_else(|| StoreError::Corrupt("platform of an asset".to_owned()))?;
    let org = asset.org;

    let mut groups: Vec<Id<UserGroup>> = Vec::new();
    for mut row in link.rows("SELECT group_id FROM group_members WHERE user_id = ? AND org_id = ?", args![user.id, org]).await? {
        groups.push(row.id()?);
    }
    let mut asset_nodes = Vec::new();
    for mut row in link.rows("SELECT n.node_key FROM asset_nodes an JOIN nodes n ON n.id = an.node_id WHERE an.asset_id = ?", args![asset.id]).await? {
        asset_nodes.push(key(&row.text()?)?);
    }
    let sql = format!("SELECT {} FROM accounts t WHERE t.org_id = ? AND t.asset_id = ? ORDER BY t.username, t.id", select_list::<Account>());
    let accounts = link.rows(&sql, args![org, asset.id]).await?.iter_mut().map(Account::read).collect::<Result<Vec<_>>>()?;
    let rules = rules_of(link, &user, &groups, &asset, &asset_nodes).await?;
    Ok(Some(ConnectFacts { user, groups, asset, platform, asset_nodes, accounts, rules }))
}

/// A rule and the keys of its nodes, as decisions want them.
type Rule = (AssetPermission, Vec<NodeKey>);

async fn rules_of(link: &mut Link, user: &User, groups: &[Id<UserGroup>], asset: &Asset, asset_nodes: &[NodeKey]) -> Result<Vec<Rule>> {
    let sql = format!(
        "SELECT {} FROM asset_permissions t WHERE t.org_id = ? AND t.id IN (\
         SELECT permission_id FROM permission_users WHERE user_id = ? AND org_id = ? UNION \
         SELECT pg.permission_id FROM group_members gm JOIN permission_groups pg ON pg.org_id = gm.org_id AND pg.group_id = gm.group_id \
         WHERE gm.user_id = ? AND gm.org_id = ?) ORDER BY t.name, t.id",
        select_list::<AssetPermission>()
    );
    let org = asset.org;
    let mut rules = Vec::new();
    let mut place: HashMap<Uuid, usize> = HashMap::new();
    for mut row in link.rows(&sql, args![org, user.id, org, user.id, org]).await? {
        let rule = AssetPermission::read(&mut row)?;
        place.insert(rule.id.uuid(), rules.len());
        rules.push((rule, Vec::new()));
    }
    if rules.is_empty() {
        return Ok(rules);
    }
    let mut each = |id: Id<()>, f: &mut dyn FnMut(&mut Rule)| {
        if let Some(rule) = place.get(&id.uuid()).and_then(|i| rules.get_mut(*i)) {
            f(rule);
        }
    };
    for mut row in link.rows("SELECT permission_id FROM permission_users WHERE user_id = ? AND org_id = ?", args![user.id, org]).await? {
        each(row.id()?, &mut |(r, _)| r.users.push(user.id));
    }
    if !groups.is_empty() {
        let sql = format!("SELECT permission_id, group_id FROM permission_groups WHERE org_id = ? AND group_id IN ({})", marks(groups.len()));
        let mut args = args![org];
        args.extend(groups.iter().map(|g| Val::from(*g)));
        for mut row in link.rows(&sql, args).await? {
            let (id, group) = (row.id()?, row.id()?);
            each(id, &mut |(r, _)| r.user_groups.push(group));
        }
    }
    for mut row in link.rows("SELECT permission_id FROM permission_assets WHERE org_id = ? AND asset_id = ?", args![org, asset.id]).await? {
        each(row.id()?, &mut |(r, _)| r.assets.push(asset.id));
    }
    let mut lineage: Vec<NodeKey> = asset_nodes.iter().flat_map(NodeKey::lineage).collect();
    lineage.sort_unstable();
    lineage.dedup();
    for chunk in lineage.chunks(500) {
        let sql = format!(
            "SELECT pn.permission_id, n.id, n.node_key FROM nodes n JOIN permission_nodes pn ON pn.org_id = n.org_id AND pn.node_id = n.id WHERE n.node_key IN ({})",
            marks(chunk.len())
        );
        for mut row in link.rows(&sql, chunk.iter().map(|k| Val::from(k.as_str())).collect()).await? {
            let (id, node, text) = (row.id()?, row.id()?, row.text()?);
            let key = key(&text)?;
            each(id, &mut |(r, keys)| {
                r.nodes.push(node);
                keys.push(key.clone());
            });
        }
    }
    Ok(rules)
}

/// Rules that name the person, directly or through a group; two `?` for his id.
const RULES_OF: &str = "p.id IN (SELECT permission_id FROM permission_users WHERE user_id = ? UNION \
     SELECT pg.permission_id FROM group_members gm JOIN permission_groups pg ON pg.org_id = gm.org_id AND pg.group_id = gm.group_id WHERE gm.user_id = ?)";

/// Assets that the rules meeting `rules` cover.
fn covered_by(rules: &str) -> String {
    format!(
        "t.id IN (SELECT pa.asset_id FROM asset_permissions p JOIN permission_assets pa ON pa.org_id = p.org_id AND pa.permission_id = p.id WHERE {rules} \
         UNION SELECT an.asset_id FROM asset_permissions p JOIN permission_nodes pn ON pn.org_id = p.org_id AND pn.permission_id = p.id \
         JOIN nodes g ON g.id = pn.node_id JOIN nodes n ON n.org_id = g.org_id AND (n.node_key = g.node_key OR n.node_key LIKE g.node_key || ':%') \
         JOIN asset_nodes an ON an.node_id = n.id WHERE {rules})"
    )
}

fn twice(args: Vec<Val>) -> Vec<Val> {
    let mut both = args.clone();
    both.extend(args);
    both
}

/// A window of the active assets that a rule in force covers for `user`.
pub(crate) async fn granted(link: &mut Link, user: Id<User>, now: Time, query: &Query) -> Result<Page<GrantedAsset>> {
    let mut select = Select::new("assets t", super::fields::of_kind(Kind::Asset));
    let rules = format!("p.is_active AND p.date_start <= ? AND p.date_expired > ? AND {RULES_OF}");
    select.and("t.is_active", Vec::new());
    select.and(covered_by(&rules), twice(args![now, now, user, user]));
    select.search_folded("t.search_text", query.search.as_deref());
    select.apply(query)?;
    select.order_last(&["t.name"], &["t.id".to_owned()]);
    let (count, rows) = page(link, &select, &select_list::<Asset>(), query).await?;
    let assets = rows.into_iter().map(|mut c| Asset::read(&mut c)).collect::<Result<Vec<_>>>()?;
    Ok(Page { count, rows: described(link, assets).await? })
}

/// Shortest text that is looked for at the start of ids: shorter ones would match by accident.
const ID_PREFIX: usize = 6;
/// Most assets that one name can mean; more is "ambiguous" to everybody.
const NAMED: u64 = 100;

/// Assets named `text` that any rule covers for `user`.
pub(crate) async fn named(link: &mut Link, user: Id<User>, text: &str) -> Result<Vec<GrantedAsset>> {
    let mut select = Select::new("assets t", super::fields::of_kind(Kind::Asset));
    let prefix = text.to_ascii_lowercase();
    if prefix.len() >= ID_PREFIX && prefix.len() <= 36 && prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        select.and("(t.name = ? OR t.address = ? OR t.id LIKE ?)", args![text, text, format!("{prefix}%")]);
    } else {
        select.and("(t.name = ? OR t.address = ?)", args![text, text]);
    }
    select.and(covered_by(RULES_OF), twice(args![user, user]));
    select.order_last(&["t.name"], &["t.id".to_owned()]);
    let (sql, args) = select.page(&select_list::<Asset>(), NAMED, 0);
    let assets = link.rows(&sql, args).await?.iter_mut().map(Asset::read).collect::<Result<Vec<_>>>()?;
    described(link, assets).await
}

/// Adds what a person sees of an asset.
async fn described(link: &mut Link, assets: Vec<Asset>) -> Result<Vec<GrantedAsset>> {
    let mut records: Vec<Record> = assets.into_iter().map(Record::from).collect();
    attach(link, &mut records).await?;
    let assets: Vec<Asset> = records.into_iter().filter_map(|r| Asset::try_from(r).ok()).collect();
    let mut ids: Vec<(&str, Uuid)> = Vec::new();
    for a in &assets {
        ids.extend([("platforms", a.platform.uuid()), ("orgs", a.org.uuid())]);
        ids.extend(a.nodes.iter().map(|n| ("nodes", n.uuid())));
    }
    let names = names(link, ids).await?;
    let name = |id: Uuid| names.get(&id).cloned().unwrap_or_default();
    Ok(assets
        .into_iter()
        .map(|asset| GrantedAsset {
            platform: name(asset.platform.uuid()),
            org: name(asset.org.uuid()),
            nodes: asset.nodes.iter().map(|n| name(n.uuid())).collect(),
            asset,
        })
        .collect())
}

/// Names of platforms and organizations and paths of nodes, by their ids.
async fn names(link: &mut Link, mut ids: Vec<(&str, Uuid)>) -> Result<HashMap<Uuid, String>> {
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::new();
    for chunk in ids.chunks(500) {
        let of = |table: &str| chunk.iter().filter(|(t, _)| *t == table).map(|(_, id)| Val::from(*id)).collect::<Vec<_>>();
        let (mut texts, mut args) = (Vec::new(), Vec::new());
        for (table, column) in [("platforms", "name"), ("orgs", "name"), ("nodes", "full_value")] {
            let ids = of(table);
            texts.push(format!("SELECT id, {column} FROM {table} WHERE id IN ({})", marks(ids.len())));
            args.extend(ids);
        }
        for mut row in link.rows(&texts.join(" UNION ALL "), args).await? {
            found.insert(row.id::<()>()?.uuid(), row.text()?);
        }
    }
    Ok(found)
}
