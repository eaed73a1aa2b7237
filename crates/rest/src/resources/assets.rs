//! Assets: the targets (jb §1.6).

use api::{Field, Type};
use model::{Account, Asset, Category, Connectivity, Filter, Id, MessagePair, Node, Op, Org, Platform, ProtocolPort, Query};
use serde_json::{Value, json};

use super::{
    COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, ORG_ID, ORG_NAME, UPDATED_BY, accounts, base, choice,
    chosen_id, name_taken, nodes, opt_time, org_labels, platforms::CATEGORIES, related_one, word,
};
use crate::{
    edit::Edit,
    fail::Fail,
    guard::Caller,
    input::{Input, Named},
    listing::Lists,
    resource::Resource,
};

pub(crate) const CONNECTIVITY: &[(&str, &str)] = &[("unknown", "Unknown"), ("na", "N/A"), ("ok", "OK"), ("err", "Error")];
const PROTOCOL: &[Field] = &[Field::new("name", Type::Text(32), "").required(), Field::new("port", Type::Int, "")];

impl Resource for Asset {
    const TITLE: &'static str = "assets";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique in the organization").required(),
        Field::new("address", Type::Text(767), "IP address, host name or URL").required(),
        Field::new("platform", Type::Ref, "its schema").required(),
        Field::new("category", Type::Choice(CATEGORIES), "").shown(),
        Field::new("type", Type::Choice(&[]), "").shown(),
        Field::new("nodes", Type::Refs, "folders; full paths are made when missing. Default: the root"),
        Field::new("nodes_display", Type::Texts, "paths of the folders").shown(),
        Field::new("protocols", Type::List(PROTOCOL), "`{name, port}` or `name/port`; default: those of the platform"),
        Field::new("accounts", Type::List(accounts::INLINE), "accounts to make with it; in declared state all of them").taken(),
        Field::new("is_active", Type::Bool, "inactive assets cannot be reached"),
        Field::new("connectivity", Type::Choice(CONNECTIVITY), "").shown(),
        Field::new("date_verified", Type::Time, "").shown(),
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
            ("address", "address", Op::Eq),
            ("address__icontains", "address", Op::Contains),
            ("platform", "platform", Op::Eq),
            ("category", "category", Op::Eq),
            ("type", "type", Op::Eq),
            ("is_active", "is_active", Op::Eq),
            ("node_id", "node", Op::Eq),
            ("node", "node", Op::Eq),
            ("connectivity", "connectivity", Op::Eq),
            ("username", "account_username", Op::Eq),
        ],
        orders: &[("name", "name"), ("address", "address"), ("date_created", "date_created"), ("date_updated", "date_updated"), ("is_active", "is_active")],
    };

    async fn show(caller: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        let mut labels = org_labels(caller, &rows).await?;
        labels.learn::<Platform>(caller, rows.iter().map(|a| a.platform)).await?;
        labels.learn::<Node>(caller, rows.iter().flat_map(|a| a.nodes.iter().copied())).await?;
        let mut kinds: std::collections::HashMap<Id<Platform>, String> = std::collections::HashMap::new();
        for p in caller.app.store().read(caller.app.authority().every_org()).list::<Platform>(&Query::all()).await?.rows {
            kinds.insert(p.id, p.kind);
        }
        Ok(rows
            .into_iter()
            .map(|a| {
                let mut m = base(a.id, Some(a.org), &a.comment, &a.meta, &labels);
                let kind = kinds.get(&a.platform).cloned().unwrap_or_default();
                m.insert("name".into(), a.name.into());
                m.insert("address".into(), a.address.into());
                m.insert("platform".into(), labels.one(a.platform));
                m.insert("category".into(), choice(a.category.as_str(), CATEGORIES));
                m.insert("type".into(), json!({"value": kind, "label": kind}));
                m.insert("nodes".into(), labels.many(&a.nodes));
                m.insert("nodes_display".into(), a.nodes.iter().map(|n| Value::String(labels.name(*n))).collect());
                m.insert("protocols".into(), json!(a.protocols));
                m.insert("is_active".into(), json!(a.is_active));
                m.insert("connectivity".into(), choice(&word(&a.connectivity), CONNECTIVITY));
                m.insert("date_verified".into(), opt_time(a.date_verified));
                m.insert("labels".into(), json!([]));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let asset = draft(edit, org, input, old).await?;
        let id = asset.id;
        if let Some(items) = input.items("accounts") {
            if !edit.caller.may_in(org, "accounts.add_account") {
                return Err(Fail::forbidden());
            }
            inline_accounts(edit, org, input, &asset, items, false).await?;
        }
        Ok(Some(id))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        edit.remove(&row);
        Ok(())
    }
}

/// Drafts the asset itself, without its accounts.
pub(crate) async fn draft(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Asset>) -> Result<Asset, Fail> {
    let stored = old.clone();
    let mut a = old.unwrap_or_else(|| Asset {
        id: chosen_id(input),
        org,
        name: String::new(),
        address: String::new(),
        platform: Id::builtin(0),
        category: Category::Host,
        nodes: Vec::new(),
        protocols: Vec::new(),
        is_active: true,
        connectivity: Connectivity::Unknown,
        date_verified: None,
        comment: String::new(),
        meta: edit.meta(),
    });
    if let Some(name) = input.name("name", NAME) {
        if name.contains(['@', '#', '/']) && stored.as_ref().is_none_or(|s| s.name != name) {
            input.say("name", "api.bad_asset_name");
        }
        name_taken::<Asset>(edit, org, input, "name", &name, Some(a.id)).await?;
        a.name = name;
    }
    if let Some(address) = input.name("address", 767) {
        if address.contains(char::is_whitespace) {
            input.say("address", "api.bad_address");
        }
        if a.address != address {
            (a.connectivity, a.date_verified) = (Connectivity::Unknown, None);
        }
        a.address = address;
    }
    input.require("platform");
    let platform = match related_one::<Platform>(edit, org, input, "platform").await?.flatten() {
        Some(p) => Some(p),
        None => edit.get::<Platform>(org, a.platform).await?,
    };
    if let Some(p) = &platform {
        (a.platform, a.category) = (p.id, p.category);
    }
    if let Some(folders) = folders(edit, org, input).await? {
        a.nodes = folders;
    }
    if a.nodes.is_empty() {
        a.nodes = vec![nodes::root(edit, org).await?.id];
    }
    match protocols(input, platform.as_ref()) {
        Some(list) => a.protocols = list,
        None if stored.is_none() => {
            a.protocols = platform
                .iter()
                .flat_map(|p| &p.protocols)
                .filter(|p| p.default && p.primary)
                .map(|p| ProtocolPort { name: p.name.clone(), port: p.port })
                .collect()
        }
        None => {}
    }
    a.is_active = input.bool("is_active").unwrap_or(a.is_active);
    a.comment = input.text("comment", COMMENT).unwrap_or(a.comment);
    edit.put(a.clone(), stored.as_ref());
    Ok(a)
}

/// `nodes`, or `nodes_display` as JumpServer's imports name them; a path is made when missing.
async fn folders(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>) -> Result<Option<Vec<Id<Node>>>, Fail> {
    let field = if input.raw("nodes").is_some() { "nodes" } else { "nodes_display" };
    let Some(named) = input.named_list(field) else { return Ok(None) };
    let mut out = Vec::new();
    for (i, n) in named.iter().enumerate() {
        let at = format!("{field}[{i}]");
        let found = match n {
            Named::Name(path) if path.starts_with('/') => nodes::ensure(edit, org, path).await?,
            other => edit.resolve::<Node>(org, other).await?.ok_or_else(|| Edit::unknown(other)),
        };
        match found {
            Ok(node) if !out.contains(&node.id) => out.push(node.id),
            Ok(_) => {}
            Err(message) => input.wrong(&at, message),
        }
    }
    Ok(Some(out))
}

/// `ssh/22`, `ssh`, or `{name, port}`. `None` = not a protocol.
pub(crate) fn protocol(value: &Value) -> Option<(String, Option<u16>)> {
    let (name, port) = match value {
        Value::String(s) => match s.split_once('/') {
            Some((name, port)) => (name.trim(), Some(port.trim().parse::<u16>().ok()?)),
            None => (s.trim(), None),
        },
        Value::Object(o) => {
            let port = match o.get("port") {
                None | Some(Value::Null) => None,
                Some(Value::String(s)) => Some(s.parse::<u16>().ok()?),
                Some(v) => Some(v.as_u64().and_then(|n| u16::try_from(n).ok())?),
            };
            (o.get("name")?.as_str()?, port)
        }
        _ => return None,
    };
    let ok = !name.is_empty() && name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (ok && port != Some(0)).then(|| (name.to_owned(), port))
}

fn protocols(input: &mut Input<'_>, platform: Option<&Platform>) -> Option<Vec<ProtocolPort>> {
    let items = input.items("protocols")?;
    let mut out: Vec<ProtocolPort> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("protocols[{i}]");
        let Some((name, port)) = protocol(item) else {
            input.say(&at, "api.bad_protocol");
            continue;
        };
        let known = platform.and_then(|p| p.protocols.iter().find(|k| k.name == name));
        match (port.or(known.map(|k| k.port)), known.is_some() || platform.is_none_or(|p| p.protocols.is_empty())) {
            (Some(port), true) if !out.iter().any(|o| o.name == name) => out.push(ProtocolPort { name, port }),
            (Some(_), true) => input.wrong(&at, MessagePair::new("api.taken", "").with("value", name)),
            (None, _) => input.say(&at, "api.bad_protocol"),
            (_, false) => {
                let all = platform.iter().flat_map(|p| &p.protocols).map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
                input.wrong(&at, MessagePair::new("api.platform_protocol", "").with("choices", all));
            }
        }
    }
    Some(out)
}

/// Accounts given with their asset. With `all` (declared state) others that the asset has stay as they are; what is
/// named is changed. Without, they are new.
pub(crate) async fn inline_accounts(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, asset: &Asset, items: &[Value], declared: bool) -> Result<(), Fail> {
    for (i, item) in items.iter().enumerate() {
        let base = input.path(&format!("accounts[{i}]."));
        let Some(map) = item.as_object() else {
            input.say(&format!("accounts[{i}]"), "api.not_object");
            continue;
        };
        let mut part = Input::new(map, false, &base);
        if declared {
            part.refuse_unknown(&accounts::declared_fields());
        }
        accounts::write_on(edit, org, &mut part, asset, None, declared).await?;
        let problems = std::mem::take(&mut part.problems);
        input.absorb(problems);
    }
    Ok(())
}

/// Accounts of an asset as they will be.
pub(crate) async fn accounts_of(edit: &Edit, org: Id<Org>, asset: Id<Asset>) -> Result<Vec<Account>, Fail> {
    edit.all_near::<Account>(org, &asset.to_string(), Query::filter(Filter::eq("asset", asset)), |a| a.asset == asset).await
}
