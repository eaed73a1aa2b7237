//! Platforms: what an asset can be (jb §1.5). Built-in ones are read-only.

use api::{Field, Type};
use model::{Category, Id, MessagePair, Op, Org, Platform, PlatformProtocol, SuMethod};
use serde_json::{Value, json};

use super::{
    COMMENT, CREATED_BY, DATE_CREATED, DATE_UPDATED, F_COMMENT, F_ID, F_NAME, F_NAME_LIKE, ID, NAME, UPDATED_BY, base, choice, chosen_id, from_word,
    name_taken, word,
};
use crate::{edit::Edit, fail::Fail, guard::Caller, input::Input, labels::Labels, listing::Lists, resource::Resource};

pub(crate) const CATEGORIES: &[(&str, &str)] =
    &[("host", "Host"), ("device", "Device"), ("database", "Database"), ("cloud", "Cloud"), ("web", "Web"), ("ds", "Directory service"), ("custom", "Custom")];
const CHARSETS: &[(&str, &str)] = &[("utf-8", "UTF-8"), ("gbk", "GBK")];
const SU_METHODS: &[(&str, &str)] = &[
    ("sudo", "sudo su -"),
    ("su", "su -"),
    ("only_sudo", "sudo su"),
    ("only_su", "su"),
    ("enable", "enable"),
    ("super", "super 15"),
    ("super_level", "super level-15"),
];
const PROTOCOL: &[Field] = &[
    Field::new("name", Type::Text(32), "").required(),
    Field::new("port", Type::Int, "default port").required(),
    Field::new("primary", Type::Bool, ""),
    Field::new("required", Type::Bool, ""),
    Field::new("default", Type::Bool, "new assets get it"),
    Field::new("public", Type::Bool, "shown to people"),
    Field::new("setting", Type::Object, ""),
];

impl Resource for Platform {
    const TITLE: &'static str = "platforms";
    const FIELDS: &'static [Field] = &[
        ID,
        Field::new("name", Type::Text(NAME), "unique").required(),
        Field::new("category", Type::Choice(CATEGORIES), "").required(),
        Field::new("type", Type::Text(32), "type inside the category: linux, cisco, …").required(),
        Field::new("charset", Type::Choice(CHARSETS), ""),
        Field::new("internal", Type::Bool, "built in, read-only").shown(),
        Field::new("domain_enabled", Type::Bool, "assets may be reached through hops"),
        Field::new("su_enabled", Type::Bool, ""),
        Field::new("su_method", Type::Choice(SU_METHODS), ""),
        Field::new("protocols", Type::List(PROTOCOL), "in the order they are offered"),
        Field::new("labels", Type::Texts, "").shown(),
        F_COMMENT,
        CREATED_BY,
        UPDATED_BY,
        DATE_CREATED,
        DATE_UPDATED,
    ];
    const LISTS: Lists = Lists {
        filters: &[F_ID, F_NAME, F_NAME_LIKE, ("category", "category", Op::Eq), ("type", "type", Op::Eq), ("internal", "builtin", Op::Eq)],
        orders: &[("name", "name"), ("category", "category"), ("type", "type"), ("date_created", "date_created")],
    };

    async fn show(_: &Caller, rows: Vec<Self>) -> Result<Vec<Value>, Fail> {
        Ok(rows
            .into_iter()
            .map(|p| {
                let mut m = base(p.id, None, &p.comment, &p.meta, &Labels::default());
                m.insert("name".into(), p.name.into());
                m.insert("category".into(), choice(p.category.as_str(), CATEGORIES));
                m.insert("type".into(), json!({"value": p.kind, "label": p.kind}));
                m.insert("charset".into(), choice(&p.charset, CHARSETS));
                m.insert("internal".into(), json!(p.builtin));
                m.insert("domain_enabled".into(), json!(p.gateway_enabled));
                m.insert("su_enabled".into(), json!(p.su_enabled));
                m.insert("su_method".into(), p.su_method.map_or(Value::Null, |s| choice(&word(&s), SU_METHODS)));
                let secret_types = |name: &str| Platform::secret_types(name).iter().map(|s| s.as_str()).collect::<Vec<_>>();
                let protocols = p.protocols.iter().map(|x| {
                    json!({"name": x.name, "port": x.port, "primary": x.primary, "required": x.required, "default": x.default, "public": x.public,
                           "setting": x.setting, "secret_types": secret_types(&x.name)})
                });
                m.insert("protocols".into(), protocols.collect());
                m.insert("labels".into(), json!([]));
                Value::Object(m)
            })
            .collect())
    }

    async fn write(edit: &mut Edit, org: Id<Org>, input: &mut Input<'_>, old: Option<Self>) -> Result<Option<Id<Self>>, Fail> {
        let stored = old.clone();
        if stored.as_ref().is_some_and(|p| p.builtin) {
            return Err(Fail::refused("api.builtin"));
        }
        let mut p = old.unwrap_or_else(|| Platform {
            id: chosen_id(input),
            name: String::new(),
            category: Category::Host,
            kind: String::new(),
            charset: "utf-8".into(),
            gateway_enabled: true,
            su_enabled: false,
            su_method: None,
            protocols: Vec::new(),
            builtin: false,
            comment: String::new(),
            meta: edit.meta(),
        });
        if let Some(name) = input.name("name", NAME) {
            name_taken::<Platform>(edit, org, input, "name", &name, Some(p.id)).await?;
            p.name = name;
        }
        input.require("category");
        if let Some(category) = input.choice("category", CATEGORIES) {
            p.category = from_word(category).unwrap_or(Category::Host);
        }
        let kind = match input.raw("type").and_then(|v| v.get("value")).and_then(Value::as_str) {
            Some(value) => Some(value.chars().take(32).collect()),
            None => input.name("type", 32),
        };
        p.kind = kind.unwrap_or(p.kind);
        if let Some(charset) = input.choice("charset", CHARSETS) {
            p.charset = charset.to_owned();
        }
        p.gateway_enabled = input.bool("domain_enabled").or_else(|| input.bool("gateway_enabled")).unwrap_or(p.gateway_enabled);
        p.su_enabled = input.bool("su_enabled").unwrap_or(p.su_enabled);
        if input.has("su_method") {
            p.su_method = input.choice("su_method", SU_METHODS).and_then(from_word::<SuMethod>);
        }
        p.comment = input.text("comment", COMMENT).unwrap_or(p.comment);
        if let Some(protocols) = protocols(input) {
            p.protocols = protocols;
        }
        let id = p.id;
        edit.put(p, stored.as_ref());
        Ok(Some(id))
    }

    async fn erase(edit: &mut Edit, row: Self) -> Result<(), Fail> {
        if row.builtin {
            return Err(Fail::refused("api.builtin"));
        }
        edit.remove(&row);
        Ok(())
    }
}

fn protocols(input: &mut Input<'_>) -> Option<Vec<PlatformProtocol>> {
    let items = input.items("protocols")?;
    let mut out: Vec<PlatformProtocol> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let flag = |name: &str, or: bool| item.get(name).and_then(Value::as_bool).unwrap_or(or);
        let Some((name, port)) = super::assets::protocol(item) else {
            input.say(&format!("protocols[{i}]"), "api.bad_protocol");
            continue;
        };
        if out.iter().any(|p| p.name == name) {
            input.wrong(&format!("protocols[{i}]"), MessagePair::new("api.taken", "").with("value", name));
            continue;
        }
        let setting = item.get("setting").filter(|s| s.is_object() && s.to_string().len() <= 16_384).cloned().unwrap_or_else(|| json!({}));
        let primary = flag("primary", i == 0);
        out.push(PlatformProtocol {
            port: port.unwrap_or(22),
            primary,
            required: flag("required", primary),
            default: flag("default", true),
            public: flag("public", true),
            setting,
            name,
        });
    }
    Some(out)
}
