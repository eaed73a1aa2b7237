//! Lists that are tables of their own: group members, folders of assets, people and targets of rules.

use std::collections::{HashMap, HashSet};

use model::{Asset, AssetPermission, Id, Org, Record, UserGroup};
use store::{Result, StoreError};
use uuid::Uuid;

use crate::db::{Link, Val, args, marks};

/// A relation table: `(org_id, owner, target, pos)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relation {
    table: &'static str,
    owner: &'static str,
    target: &'static str,
}

impl Relation {
    const GROUP_USERS: Self = Self { table: "group_members", owner: "group_id", target: "user_id" };
    const ASSET_NODES: Self = Self { table: "asset_nodes", owner: "asset_id", target: "node_id" };
    const RULE_USERS: Self = Self { table: "permission_users", owner: "permission_id", target: "user_id" };
    const RULE_GROUPS: Self = Self { table: "permission_groups", owner: "permission_id", target: "group_id" };
    const RULE_ASSETS: Self = Self { table: "permission_assets", owner: "permission_id", target: "asset_id" };
    const RULE_NODES: Self = Self { table: "permission_nodes", owner: "permission_id", target: "node_id" };

    /// Targets of each owner, in the order they were given.
    async fn load(self, link: &mut Link, owners: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>> {
        let mut found: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for chunk in owners.chunks(500) {
            let Self { table, owner, target } = self;
            let sql = format!("SELECT {owner}, {target} FROM {table} WHERE {owner} IN ({}) ORDER BY {owner}, pos", marks(chunk.len()));
            for mut row in link.rows(&sql, chunk.iter().map(|u| Val::from(*u)).collect()).await? {
                let (o, t) = (row.id::<()>()?, row.id::<()>()?);
                found.entry(o.uuid()).or_default().push(t.uuid());
            }
        }
        Ok(found)
    }

    /// Makes `targets` the list of `owner`. Duplicates are dropped.
    async fn save(self, link: &mut Link, org: Id<Org>, owner: Uuid, targets: impl Iterator<Item = Uuid>) -> Result<()> {
        let mut seen = HashSet::new();
        let wanted: Vec<Uuid> = targets.filter(|t| seen.insert(*t)).collect();
        let stored = self.load(link, &[owner]).await?.remove(&owner).unwrap_or_default();
        if stored == wanted {
            return Ok(());
        }
        let Self { table, owner: owner_column, target } = self;
        link.exec(&format!("DELETE FROM {table} WHERE {owner_column} = ?"), args![owner]).await?;
        let rows = (0_i64..).zip(wanted).map(|(pos, t)| args![org, owner, t, pos]).collect();
        link.insert_many(table, &format!("org_id, {owner_column}, {target}, pos"), rows).await
    }
}

fn ids<T>(found: &mut HashMap<Uuid, Vec<Uuid>>, owner: Uuid) -> Vec<Id<T>> {
    found.remove(&owner).unwrap_or_default().into_iter().map(Id::new).collect()
}

/// Fills in the lists of freshly read objects, which are all of one kind.
pub(crate) async fn attach(link: &mut Link, records: &mut [Record]) -> Result<()> {
    let owners: Vec<Uuid> = records.iter().map(Record::uuid).collect();
    match records.first() {
        Some(Record::UserGroup(_)) => {
            let mut users = Relation::GROUP_USERS.load(link, &owners).await?;
            for r in records {
                if let Record::UserGroup(g) = r {
                    g.users = ids(&mut users, g.id.uuid());
                }
            }
        }
        Some(Record::Asset(_)) => {
            let mut nodes = Relation::ASSET_NODES.load(link, &owners).await?;
            for r in records {
                if let Record::Asset(a) = r {
                    a.nodes = ids(&mut nodes, a.id.uuid());
                }
            }
        }
        Some(Record::AssetPermission(_)) => {
            let mut users = Relation::RULE_USERS.load(link, &owners).await?;
            let mut groups = Relation::RULE_GROUPS.load(link, &owners).await?;
            let mut assets = Relation::RULE_ASSETS.load(link, &owners).await?;
            let mut nodes = Relation::RULE_NODES.load(link, &owners).await?;
            for r in records {
                if let Record::AssetPermission(p) = r {
                    let id = p.id.uuid();
                    (p.users, p.user_groups, p.assets, p.nodes) = (ids(&mut users, id), ids(&mut groups, id), ids(&mut assets, id), ids(&mut nodes, id));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Writes the lists of an object.
pub(crate) async fn store_relations(link: &mut Link, record: &Record) -> Result<()> {
    match record {
        Record::UserGroup(UserGroup { id, org, users, .. }) => Relation::GROUP_USERS.save(link, *org, id.uuid(), users.iter().map(|u| u.uuid())).await,
        Record::Asset(Asset { id, org, nodes, .. }) => {
            let mut nodes: Vec<Uuid> = nodes.iter().map(|n| n.uuid()).collect();
            if nodes.is_empty() {
                // an asset without a folder lies in the root of its organization
                let mut root = link
                    .first("SELECT id FROM nodes WHERE org_id = ? AND parent_key = ''", args![*org])
                    .await?
                    .ok_or_else(|| StoreError::Reference("asset".to_owned()))?;
                nodes.push(root.id::<()>()?.uuid());
            }
            Relation::ASSET_NODES.save(link, *org, id.uuid(), nodes.into_iter()).await
        }
        Record::AssetPermission(AssetPermission { id, org, users, user_groups, assets, nodes, .. }) => {
            let (org, id) = (*org, id.uuid());
            Relation::RULE_USERS.save(link, org, id, users.iter().map(|u| u.uuid())).await?;
            Relation::RULE_GROUPS.save(link, org, id, user_groups.iter().map(|u| u.uuid())).await?;
            Relation::RULE_ASSETS.save(link, org, id, assets.iter().map(|u| u.uuid())).await?;
            Relation::RULE_NODES.save(link, org, id, nodes.iter().map(|u| u.uuid())).await
        }
        _ => Ok(()),
    }
}
