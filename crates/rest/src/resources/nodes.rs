//! Folders of the asset tree (jb §1.4).

use api::{Field, Type};
use model::{Asset, Filter, Id, MessagePair, Node, NodeKey, Op, Org, Query};
use serde_json::{Value, json};

use super::{CREATED_BY, DATE_CREATED, DATE_UPDATED, F_ID, ID, NAME, ORG_ID, ORG_NAME, UPDATED_BY, base, chosen_id, org_labels};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, listing::Lists, resource::Resource};

/// Deepest folder.
const MAX_DEPTH: usize = 16;

impl Resource for Node {
    const TITLE: &'static str = "nodes";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("key", Type::Text(NAME), "place in the tree").shown(),
        Field::new("value", Type::Text(NAME), "label, unique among siblings"),
        Field::new("name", Type::Text(NAME), "the label").shown(),
        Field::new("full_value", Type::Text(1024), "path of labels; at creation, folders on the way are made too"),
        ORG_ID,
        ORG_NAME,
        CREATED_BY,
        UPDATED_BY,
        DATE_CREATED,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[
            F_ID,
            ("key", "key", Op::Eq),
            ("value", "value", Op::Eq),
            ("name", "value", Op::Eq),
            ("full_value", "full_value", Op::Eq),
            ("parent", "parent", Op::Eq),
            ("asset", "asset", Op::Eq),
        ],
        orders: &[("key", "key"), ("value", "value"), ("full_value", "full_value"), ("date_created", "date_created")],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let labels = org_labels(caller, &rows).await?;
        Ok(rows
            .into_iter()
            .map(|n| {
                let mut m = base(n.id, Some(n.org), "", &n.meta, &labels);
                m.remove("comment");
                m.insert("key".into(), n.key.as_str().into());
                m.insert("name".into(), n.value.clone().into());
                m.insert("value".into(), n.value.into());
                m.insert("full_value".into(), n.full_value.into());
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        match old {
            Some(node) => rename(edit, org, input, node).await,
            None if input.raw("full_value").is_some() => {
                let Some(path) = input.text("full_value", 1024) else { return Ok(None) };
                match ensure(edit, org, &path).await? {
                    Ok(node) => Ok(Some(node.id)),
                    Err(message) => {
                        input.wrong("full_value", message);
                        Ok(None)
                    }
                }
            }
            None => {
                let parent = root(edit, org).await?;
                create_below(edit, input, parent).await
            }
        }
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        if row.key.parent().is_none() {
            return Err(Fail::refused("api.root_node"));
        }
        let below = |n: &Node| row.key.covers(&n.key) && n.id != row.id;
        let children = edit.all::<Node>(row.org, Query::filter(Filter::eq("under", row.id)), below).await?;
        let mut inside = Query::filter(Filter::eq("node", row.id));
        inside.limit = 1;
        if !children.is_empty() || !edit.read::<Asset>(row.org, inside).await?.is_empty() {
            return Err(Fail::refused("api.node_not_empty"));
        }
        edit.remove(&row);
        Ok(())
    }
}

fn label_problem(label: &str) -> Option<&'static str> {
    (label.is_empty() || label.contains('/')).then_some("api.bad_node_label")
}

/// The organization's root folder.
pub(crate) async fn root(edit: &Edit, org: Id<Org>) -> Result<Node, Fail> {
    let roots = edit.all_near::<Node>(org, "", Query::filter(Filter::eq("parent_key", "")), |n| n.org == org && n.key.parent().is_none()).await?;
    roots.into_iter().next().ok_or_else(|| Fail::internal("organization without a root folder"))
}

async fn children(edit: &Edit, parent: &Node) -> Result<Vec<Node>, Fail> {
    let is_child = |n: &Node| n.key.parent().as_ref() == Some(&parent.key);
    edit.all_near::<Node>(parent.org, parent.key.as_str(), Query::filter(Filter::eq("parent", parent.id)), is_child).await
}

/// Drafts a folder below another. The number is the parent's own count, which never goes down.
fn draft_child(edit: &mut Edit, parent: Node, label: &str, id: Id<Node>) -> Node {
    let stored_parent = parent.clone();
    let mut parent = parent;
    parent.child_mark += 1;
    let node = Node {
        id,
        org: parent.org,
        key: parent.key.child(parent.child_mark),
        value: label.to_owned(),
        full_value: format!("{}/{label}", parent.full_value),
        child_mark: 0,
        meta: edit.meta(),
    };
    edit.put(parent, Some(&stored_parent));
    edit.put(node.clone(), None);
    node
}

/// Creates `{value}` below a folder.
pub(crate) async fn create_below(edit: &mut Edit, input: &mut Input<'_>, parent: Node) -> Result<Option<Id<Node>>, Fail> {
    let Some(label) = input.name("value", NAME) else { return Ok(None) };
    if let Some(code) = label_problem(&label) {
        input.say("value", code);
    }
    if depth(&parent.key) >= MAX_DEPTH {
        input.say("value", "api.too_deep");
    }
    if children(edit, &parent).await?.iter().any(|n| n.value == label) {
        input.wrong("value", MessagePair::new("api.taken", "").with("value", label.clone()));
    }
    if !input.problems.is_empty() {
        return Ok(None);
    }
    Ok(Some(draft_child(edit, parent, &label, chosen_id(input)).id))
}

fn depth(key: &NodeKey) -> usize {
    key.as_str().split(':').count()
}

/// The folder of a full path; what is missing of it is drafted. The first label must be the organization's root.
pub(crate) async fn ensure(edit: &mut Edit, org: Id<Org>, path: &str) -> Result<Result<Node, MessagePair>, Fail> {
    let mut labels = path.trim().trim_start_matches('/').trim_end_matches('/').split('/');
    let mut at = root(edit, org).await?;
    let first = labels.next().unwrap_or_default();
    if first != at.value || !path.trim().starts_with('/') {
        return Ok(Err(MessagePair::new("api.bad_node_path", "").with("root", format!("/{}", at.value))));
    }
    for label in labels {
        if let Some(code) = label_problem(label) {
            return Ok(Err(MessagePair::new(code, "")));
        }
        if label.chars().count() > NAME || label.chars().any(crate::input::is_unshowable) || depth(&at.key) >= MAX_DEPTH {
            return Ok(Err(MessagePair::new("api.too_deep", "")));
        }
        at = match children(edit, &at).await?.into_iter().find(|n| n.value == label) {
            Some(node) => node,
            None if edit.caller.may_in(org, "assets.add_node") => draft_child(edit, at, label, Id::generate()),
            None => return Ok(Err(Edit::unknown(&crate::input::Named::Name(path.to_owned())))),
        };
    }
    Ok(Ok(at))
}

/// A new label; the store lets the paths of everything below follow.
async fn rename(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, node: Node) -> Result<Option<Id<Node>>, Fail> {
    let id = node.id;
    let Some(label) = input.text("value", NAME).or_else(|| input.text("name", NAME)) else { return Ok(Some(id)) };
    if label == node.value {
        edit.put(node.clone(), Some(&node));
        return Ok(Some(id));
    }
    if let Some(code) = label_problem(&label) {
        input.say("value", code);
        return Ok(None);
    }
    if let Some(parent_key) = node.key.parent() {
        let siblings =
            edit.all::<Node>(org, Query::filter(Filter::eq("parent_key", parent_key.as_str())), |n| n.key.parent().as_ref() == Some(&parent_key)).await?;
        if siblings.iter().any(|n| n.value == label && n.id != id) {
            input.wrong("value", MessagePair::new("api.taken", "").with("value", label));
            return Ok(None);
        }
    }
    let head = node.full_value.rsplit_once('/').map(|(h, _)| h.to_owned()).unwrap_or_default();
    let mut next = node.clone();
    next.full_value = format!("{head}/{label}");
    next.value = label;
    edit.put(next, Some(&node));
    Ok(Some(id))
}

/// A folder as the tree of the console wants it.
pub(crate) fn tree_entry(n: &Node, has_children: bool) -> Value {
    json!({
        "id": n.key.as_str(), "name": n.value, "title": n.full_value, "pId": n.key.parent().map(|p| p.as_str().to_owned()).unwrap_or_default(),
        "isParent": has_children, "open": n.key.parent().is_none(),
        "meta": {"type": "node", "data": {"id": n.id, "key": n.key.as_str(), "value": n.value, "full_value": n.full_value}},
    })
}
