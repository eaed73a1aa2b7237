//! The asset tree: keys are never reused, a moved folder takes its subtree along, paths follow labels.

use model::{Entity, Id, Kind, Meta, Node, NodeKey, Org};
use store::{Result, StoreError};

use super::unit::{insert_row, label};
use crate::{
    db::{Link, args},
    rows::{Table, select_list},
};

async fn by_key(link: &mut Link, key: &NodeKey) -> Result<Option<Node>> {
    let sql = format!("SELECT {} FROM nodes t WHERE t.node_key = ?", select_list::<Node>());
    link.first(&sql, args![key.as_str()]).await?.map(|mut c| Node::read(&mut c)).transpose()
}

async fn by_id(link: &mut Link, id: Id<Node>, org: Id<Org>) -> Result<Option<Node>> {
    let sql = format!("SELECT {} FROM nodes t WHERE t.id = ? AND t.org_id = ?", select_list::<Node>());
    link.first(&sql, args![id, org]).await?.map(|mut c| Node::read(&mut c)).transpose()
}

/// Bounds of the keys below `key`: `;` is the character after `:`.
fn below(key: &NodeKey) -> (String, String) {
    (format!("{key}:"), format!("{key};"))
}

/// The parent of a node that is about to be at `node.key`, in the node's organization.
async fn parent_of(link: &mut Link, node: &Node) -> Result<Node> {
    let refused = || StoreError::Reference(label(node));
    let key = node.key.parent().ok_or_else(|| StoreError::Scope("an organization has one root folder".to_owned()))?;
    by_key(link, &key).await?.filter(|p| p.org == node.org).ok_or_else(refused)
}

fn check_value(node: &Node) -> Result<()> {
    if node.value.is_empty() || node.value.contains('/') { Err(StoreError::BadValue("value".to_owned())) } else { Ok(()) }
}

/// The number a key ends with.
fn number(key: &NodeKey) -> i64 {
    key.as_str().rsplit(':').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// Before a folder is made: its parent must be there, its path follows from the labels above.
pub(super) async fn prepare_insert(link: &mut Link, node: &mut Node) -> Result<()> {
    check_value(node)?;
    let parent = parent_of(link, node).await?;
    node.full_value = format!("{}/{}", parent.full_value, node.value);
    Ok(())
}

/// After a folder is made or moved in: its parent never hands out that number again.
pub(super) async fn note_child(link: &mut Link, node: &Node) -> Result<()> {
    let Some(parent) = node.key.parent() else { return Ok(()) };
    let n = number(&node.key);
    link.exec("UPDATE nodes SET child_mark = ? WHERE node_key = ? AND child_mark < ?", args![n, parent.as_str(), n]).await.map(drop)
}

/// Before a folder is changed: moves and renames what lies below it.
pub(super) async fn prepare_update(link: &mut Link, node: &mut Node) -> Result<()> {
    check_value(node)?;
    let old = by_id(link, node.id, node.org).await?.ok_or_else(|| StoreError::Missing(label(node)))?;
    node.child_mark = node.child_mark.max(old.child_mark);
    if old.key.parent().is_none() {
        if node.key != old.key {
            return Err(StoreError::InUse(label(node), "the root folder cannot be moved".to_owned()));
        }
        node.full_value = format!("/{}", node.value);
    } else {
        if node.key != old.key && old.key.covers(&node.key) {
            return Err(StoreError::InUse(label(node), "a folder cannot be moved into itself".to_owned()));
        }
        if node.key != old.key && by_key(link, &node.key).await?.is_some() {
            return Err(StoreError::Duplicate { kind: Kind::Node.resource(), field: "key", value: node.key.to_string() });
        }
        let parent = parent_of(link, node).await?;
        node.full_value = format!("{}/{}", parent.full_value, node.value);
        if node.key != old.key {
            note_child(link, node).await?;
        }
    }
    if node.key != old.key || node.full_value != old.full_value {
        rewrite_below(link, &old, node).await?;
    }
    Ok(())
}

/// Gives everything below `old` the key and path that follow from `new`.
async fn rewrite_below(link: &mut Link, old: &Node, new: &Node) -> Result<()> {
    let (from, to) = below(&old.key);
    let sql = format!("SELECT {} FROM nodes t WHERE t.node_key > ? AND t.node_key < ?", select_list::<Node>());
    let rows = link.rows(&sql, args![from, to]).await?;
    for mut row in rows {
        let node = Node::read(&mut row)?;
        let tail = node.key.as_str().strip_prefix(old.key.as_str()).unwrap_or_default();
        let key = NodeKey::parse(&format!("{}{tail}", new.key)).ok_or_else(|| StoreError::BadValue("key".to_owned()))?;
        let path = format!("{}{}", new.full_value, node.full_value.strip_prefix(old.full_value.as_str()).unwrap_or_default());
        let parent = key.parent().map(|p| p.as_str().to_owned()).unwrap_or_default();
        let search = format!("{}\n{path}", node.value).to_lowercase();
        let sql = "UPDATE nodes SET node_key = ?, parent_key = ?, full_value = ?, search_text = ?, revision = revision + 1 WHERE id = ?";
        link.exec(sql, args![key.as_str(), parent, path, search, node.id]).await?;
    }
    Ok(())
}

/// Removes a folder and the empty folders below it.
pub(super) async fn delete(link: &mut Link, node: &Node) -> Result<()> {
    let stored = by_id(link, node.id, node.org).await?.ok_or_else(|| StoreError::Missing(label(node)))?;
    if stored.key.parent().is_none() {
        return Err(StoreError::InUse(label(&stored), "the root folder of an organization cannot be deleted".to_owned()));
    }
    let (from, to) = below(&stored.key);
    let key = stored.key.as_str();
    let sql =
        "SELECT count(DISTINCT an.asset_id) FROM nodes n JOIN asset_nodes an ON an.node_id = n.id WHERE n.node_key = ? OR (n.node_key > ? AND n.node_key < ?)";
    let assets = link.number(sql, args![key, &from, &to]).await?;
    if assets > 0 {
        return Err(StoreError::InUse(label(&stored), format!("{assets} assets lie in it or below it")));
    }
    link.exec("DELETE FROM nodes WHERE node_key = ? OR (node_key > ? AND node_key < ?)", args![key, &from, &to]).await.map(drop)
}

/// Gives a new organization its root folder: the next free number.
pub(crate) async fn make_root(link: &mut Link, org: &Org) -> Result<()> {
    let next = crate::read::next_root(link).await?;
    if link.exec("UPDATE counters SET value = ? WHERE name = 'root'", args![next]).await? == 0 {
        link.insert_many("counters", "name,value", vec![args!["root", next]]).await?;
    }
    let mut meta = Meta::new(&org.meta.created_by, org.meta.date_created);
    meta.revision = 1;
    let value = org.name.replace('/', "-");
    let root = Node { id: Id::generate(), org: org.id, key: NodeKey::root(next), full_value: format!("/{value}"), value, child_mark: 0, meta };
    insert_row(link, &root).await
}

/// A root folder that comes with its new organization: the one that was just made takes its id.
pub(super) async fn adopt_root(link: &mut Link, root: &Node) -> Result<()> {
    let refused = || StoreError::Scope("an organization has one root folder".to_owned());
    let sql = format!("SELECT {} FROM nodes t WHERE t.org_id = ? AND t.parent_key = ''", select_list::<Node>());
    let made = link.first(&sql, args![root.org]).await?.map(|mut c| Node::read(&mut c)).transpose()?.ok_or_else(refused)?;
    if made.child_mark > 0 || made.meta.revision > 1 || made.value != root.value {
        return Err(refused());
    }
    if made.key != root.key {
        return Err(StoreError::Stale(label(root)));
    }
    link.exec("UPDATE nodes SET id = ? WHERE id = ?", args![root.id, made.id]).await.map(drop)
}

/// Before an organization is changed: built-in ones keep their name, nobody is his own ancestor, and the root folder
/// carries the organization's name.
pub(super) async fn prepare_org(link: &mut Link, org: &mut Org) -> Result<()> {
    let Some(mut row) = link.first("SELECT name, builtin FROM orgs WHERE id = ?", args![org.id]).await? else { return Ok(()) };
    let (name, builtin) = (row.text()?, row.bool()?);
    if builtin && name != org.name {
        return Err(StoreError::InUse(format!("organization `{name}`"), "it is built in and cannot be renamed".to_owned()));
    }
    let mut above = org.parent;
    for _ in 0..64 {
        let Some(id) = above else { break };
        if id == org.id {
            return Err(StoreError::Reference(label(org)));
        }
        above = match link.first("SELECT parent_id FROM orgs WHERE id = ?", args![id]).await? {
            Some(mut row) => row.opt_id()?,
            None => None,
        };
    }
    if name != org.name {
        let sql = format!("SELECT {} FROM nodes t WHERE t.org_id = ? AND t.parent_key = ''", select_list::<Node>());
        if let Some(mut row) = link.first(&sql, args![org.id]).await? {
            let old = Node::read(&mut row)?;
            let mut new = old.clone();
            new.value = org.name.replace('/', "-");
            new.full_value = format!("/{}", new.value);
            let search = new.search().join("\n").to_lowercase();
            let sql = "UPDATE nodes SET value = ?, full_value = ?, search_text = ?, revision = revision + 1 WHERE id = ?";
            link.exec(sql, args![&new.value, &new.full_value, search, new.id]).await?;
            rewrite_below(link, &old, &new).await?;
        }
    }
    Ok(())
}

/// Before an organization is deleted: it must be empty; its root folder goes with it.
pub(super) async fn prepare_org_delete(link: &mut Link, org: &Org) -> Result<()> {
    let used = |what: String| Err(StoreError::InUse(label(org), what));
    if link.number("SELECT count(*) FROM orgs WHERE id = ? AND builtin = ?", args![org.id, true]).await? > 0 {
        return used("it is built in and cannot be deleted".to_owned());
    }
    let contents = [
        ("orgs", "parent_id = ?", "organizations below it"),
        ("role_bindings", "org_id = ?", "memberships"),
        ("user_groups", "org_id = ?", "user groups"),
        ("assets", "org_id = ?", "assets"),
        ("asset_permissions", "org_id = ?", "permissions"),
        ("nodes", "org_id = ? AND parent_key <> ''", "folders"),
    ];
    for (table, condition, what) in contents {
        let n = link.number(&format!("SELECT count(*) FROM {table} WHERE {condition}"), args![org.id()]).await?;
        if n > 0 {
            return used(format!("it has {n} {what}"));
        }
    }
    link.exec("DELETE FROM nodes WHERE org_id = ?", args![org.id]).await.map(drop)
}
