//! Asset permissions: the rules that grant (jb §1.11).

use api::{Field, Type};
use chrono::TimeDelta;
use model::{Action, Actions, Asset, AssetPermission, Id, Node, Op, Org, User, UserGroup};
use serde_json::{Value, json};

use super::{
    COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, ORG_ID, ORG_NAME, UPDATED_BY, base, chosen_id, ids,
    name_taken, nodes, org_labels, related, time,
};
use crate::{
    edit::Edit,
    fail::Fail,
    guard::Caller,
    input::{Input, Named},
    listing::Lists,
    resource::Resource,
};

pub(crate) const ACTIONS: &[(&str, &str)] =
    &[("connect", "Connect"), ("upload", "Upload"), ("download", "Download"), ("copy", "Copy"), ("paste", "Paste"), ("delete", "Delete"), ("share", "Share")];
/// How long a rule lasts when nothing is said: grants expire by default (security.md 15).
const DEFAULT_LIFE: TimeDelta = TimeDelta::days(365);

impl Resource for AssetPermission {
    const TITLE: &'static str = "asset permissions";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique in the organization").required(),
        Field::new("users", Type::Refs, "people"),
        Field::new("user_groups", Type::Refs, "groups of people"),
        Field::new("assets", Type::Refs, "targets"),
        Field::new("nodes", Type::Refs, "folders with everything below"),
        Field::new("accounts", Type::Texts, "user names, @ALL, @SPEC, @INPUT, @USER, @ANON, !name"),
        Field::new("protocols", Type::Texts, "default: all"),
        Field::new("actions", Type::Choices(ACTIONS), "default: connect"),
        Field::new("date_start", Type::Time, "default: now"),
        Field::new("date_expired", Type::Time, "default: in one year"),
        Field::new("is_active", Type::Bool, ""),
        Field::new("is_valid", Type::Bool, "").shown(),
        Field::new("is_expired", Type::Bool, "").shown(),
        Field::new("from_ticket", Type::Bool, "").shown(),
        Field::new("users_amount", Type::Int, "").shown(),
        Field::new("user_groups_amount", Type::Int, "").shown(),
        Field::new("assets_amount", Type::Int, "").shown(),
        Field::new("nodes_amount", Type::Int, "").shown(),
        Field::new("labels", Type::Texts, "").shown(),
        F_COMMENT,
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
            F_NAME,
            F_NAME_LIKE,
            ("is_active", "is_active", Op::Eq),
            ("user_id", "user", Op::Eq),
            ("user_group_id", "user_group", Op::Eq),
            ("asset_id", "asset", Op::Eq),
            ("node_id", "node", Op::Eq),
            ("users", "user", Op::Eq),
            ("user_groups", "user_group", Op::Eq),
            ("assets", "asset", Op::Eq),
            ("nodes", "node", Op::Eq),
        ],
        orders: &[
            ("name", "name"),
            ("date_start", "date_start"),
            ("date_expired", "date_expired"),
            ("date_created", "date_created"),
            ("is_active", "is_active"),
        ],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let now = caller.app.now();
        let mut labels = org_labels(caller, &rows).await?;
        labels.learn::<User>(caller, rows.iter().flat_map(|p| p.users.iter().copied())).await?;
        labels.learn::<UserGroup>(caller, rows.iter().flat_map(|p| p.user_groups.iter().copied())).await?;
        labels.learn::<Asset>(caller, rows.iter().flat_map(|p| p.assets.iter().copied())).await?;
        labels.learn::<Node>(caller, rows.iter().flat_map(|p| p.nodes.iter().copied())).await?;
        Ok(rows
            .into_iter()
            .map(|p| {
                let mut m = base(p.id, Some(p.org), &p.comment, &p.meta, &labels);
                let mut put = |name: &str, value: Value| m.insert(name.to_owned(), value);
                put("is_valid", json!(p.is_valid(now)));
                put("is_expired", json!(p.date_expired <= now));
                put("from_ticket", json!(false));
                put("users", labels.many(&p.users));
                put("users_amount", json!(p.users.len()));
                put("user_groups", labels.many(&p.user_groups));
                put("user_groups_amount", json!(p.user_groups.len()));
                put("assets", labels.many(&p.assets));
                put("assets_amount", json!(p.assets.len()));
                put("nodes", labels.many(&p.nodes));
                put("nodes_amount", json!(p.nodes.len()));
                put("accounts", json!(p.accounts));
                put("protocols", json!(p.protocols));
                put("actions", p.actions.iter().map(|a| super::choice(a.as_str(), ACTIONS)).collect());
                put("date_start", time(p.date_start));
                put("date_expired", time(p.date_expired));
                put("is_active", json!(p.is_active));
                put("name", p.name.into());
                put("labels", json!([]));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let stored = old.clone();
        let mut p = old.unwrap_or_else(|| AssetPermission {
            id: chosen_id(input),
            org,
            name: String::new(),
            users: Vec::new(),
            user_groups: Vec::new(),
            assets: Vec::new(),
            nodes: Vec::new(),
            accounts: Vec::new(),
            protocols: vec!["all".into()],
            actions: Action::Connect.into(),
            date_start: edit.now,
            date_expired: edit.now + DEFAULT_LIFE,
            is_active: true,
            comment: String::new(),
            meta: edit.meta(),
        });
        if let Some(name) = input.name("name", NAME) {
            name_taken::<AssetPermission>(edit, org, input, "name", &name, Some(p.id)).await?;
            p.name = name;
        }
        if let Some(users) = related::<User>(edit, org, input, "users").await? {
            p.users = ids(&users);
        }
        if let Some(groups) = related::<UserGroup>(edit, org, input, "user_groups").await? {
            p.user_groups = ids(&groups);
        }
        if let Some(assets) = related::<Asset>(edit, org, input, "assets").await? {
            p.assets = ids(&assets);
        }
        if let Some(folders) = folders(edit, org, input).await? {
            p.nodes = folders;
        }
        if let Some(accounts) = input.texts("accounts", NAME) {
            accounts.iter().enumerate().filter(|(_, a)| is_bad_alias(a)).for_each(|(i, _)| input.say(&format!("accounts[{i}]"), "api.bad_alias"));
            p.accounts = accounts;
        }
        if let Some(protocols) = input.texts("protocols", 32) {
            p.protocols = if protocols.is_empty() { vec!["all".into()] } else { protocols };
        }
        if let Some(actions) = actions(input) {
            p.actions = actions;
        }
        p.date_start = input.time("date_start").unwrap_or(p.date_start);
        p.date_expired = input.time("date_expired").unwrap_or(p.date_expired);
        if p.date_expired <= p.date_start {
            input.say("date_expired", "api.expires_before_start");
        }
        p.is_active = input.bool("is_active").unwrap_or(p.is_active);
        p.comment = input.text("comment", COMMENT).unwrap_or(p.comment);
        let id = p.id;
        edit.put(p, stored.as_ref());
        Ok(Some(id))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        edit.remove(&row);
        Ok(())
    }
}

/// A reserved word that means nothing, or `!` without a name.
fn is_bad_alias(alias: &str) -> bool {
    use model::AccountAlias::{Except, Unknown};
    match model::AccountAlias::parse(alias) {
        Unknown(_) => true,
        Except(name) => name.is_empty() || name.starts_with('@'),
        _ => false,
    }
}

fn actions(input: &mut Input<'_>) -> Option<Actions> {
    let words = input.texts("actions", 32)?;
    let mut all = Actions::NONE;
    for (i, w) in words.iter().enumerate() {
        match Action::parse(w) {
            Some(a) => all = all | a.into(),
            None if w == "all" => all = Actions::ALL,
            None => {
                let choices = ACTIONS.iter().map(|(v, _)| *v).collect::<Vec<_>>().join(", ");
                input.wrong(&format!("actions[{i}]"), model::MessagePair::new("api.bad_choice", "").with("choices", choices));
            }
        }
    }
    Some(all)
}

async fn folders(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>) -> Result<Option<Vec<Id<Node>>>, Fail> {
    let Some(named) = input.named_list("nodes") else { return Ok(None) };
    let mut out = Vec::new();
    for (i, n) in named.iter().enumerate() {
        let found = match n {
            Named::Name(path) if path.starts_with('/') => nodes::ensure(edit, org, path).await?,
            other => edit.resolve::<Node>(org, other).await?.ok_or_else(|| Edit::unknown(other)),
        };
        match found {
            Ok(node) if !out.contains(&node.id) => out.push(node.id),
            Ok(_) => {}
            Err(message) => input.wrong(&format!("nodes[{i}]"), message),
        }
    }
    Ok(Some(out))
}
