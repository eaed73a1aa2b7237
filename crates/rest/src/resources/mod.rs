//! Managed objects on the wire, one file per kind.

pub(crate) mod accounts;
pub(crate) mod assets;
pub(crate) mod bindings;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod orgs;
pub(crate) mod permissions;
pub(crate) mod platforms;
pub(crate) mod roles;
pub(crate) mod users;

use api::{Field, Type};
use model::{Entity, Id, Meta, Op, Org, Time};
use serde_json::{Map, Value, json};

use crate::{
    edit::Edit,
    fail::Fail,
    guard::Caller,
    input::{Input, Named},
    labels::Labels,
};

/// Longest name.
pub(crate) const NAME: usize = 128;
/// Longest comment.
pub(crate) const COMMENT: usize = 4096;

pub(crate) const ID: Field = Field::new("id", Type::Id, "").shown();
pub(crate) const F_COMMENT: Field = Field::new("comment", Type::Text(COMMENT), "free text");
pub(crate) const ORG_ID: Field = Field::new("org_id", Type::Id, "organization that owns it").shown();
pub(crate) const ORG_NAME: Field = Field::new("org_name", Type::Text(NAME), "").shown();
pub(crate) const CREATED_BY: Field = Field::new("created_by", Type::Text(NAME), "").shown();
pub(crate) const UPDATED_BY: Field = Field::new("updated_by", Type::Text(NAME), "").shown();
pub(crate) const DATE_CREATED: Field = Field::new("date_created", Type::Time, "").shown();
pub(crate) const DATE_UPDATED: Field = Field::new("date_updated", Type::Time, "").shown();

/// Filters that every list has.
pub(crate) const F_NAME: (&str, &str, Op) = ("name", "name", Op::Eq);
pub(crate) const F_NAME_LIKE: (&str, &str, Op) = ("name__icontains", "name", Op::Contains);
pub(crate) const F_ID: (&str, &str, Op) = ("id", "id", Op::Eq);

/// A time as JumpServer writes it, in UTC.
pub(crate) fn time(t: Time) -> Value {
    t.format("%Y/%m/%d %H:%M:%S %z").to_string().into()
}

/// The same for times that may be missing.
pub(crate) fn opt_time(t: Option<Time>) -> Value {
    t.map_or(Value::Null, time)
}

/// `{value, label}` of a closed set.
pub(crate) fn choice(value: &str, all: &[(&str, &str)]) -> Value {
    let label = all.iter().find(|(v, _)| *v == value).map_or(value, |(_, l)| *l);
    json!({"value": value, "label": label})
}

/// The wire word of a model enum.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A model enum from its wire word.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::String(word.to_owned())).ok()
}

/// The fields every object has.
pub(crate) fn base<T>(id: Id<T>, org: Option<Id<Org>>, comment: &str, meta: &Meta, labels: &Labels) -> Map<String, Value> {
    let mut m = Map::new();
    m.insert("id".into(), json!(id));
    if let Some(org) = org {
        m.insert("org_id".into(), json!(org));
        m.insert("org_name".into(), labels.name(org).into());
    }
    m.insert("comment".into(), comment.into());
    m.insert("created_by".into(), meta.created_by.clone().into());
    m.insert("updated_by".into(), meta.updated_by.clone().into());
    m.insert("date_created".into(), time(meta.date_created));
    m.insert("date_updated".into(), time(meta.date_updated));
    m
}

/// Names of the organizations of rows.
pub(crate) async fn org_labels<E: Entity>(caller: &Caller, rows: &[E]) -> Result<Labels, Fail> {
    let mut labels = Labels::default();
    labels.learn::<Org>(caller, rows.iter().filter_map(Entity::org)).await?;
    Ok(labels)
}

/// The related objects of a field; `None` if the field was not given.
pub(crate) async fn related<E: Entity>(edit: &Edit, org: Id<Org>, input: &mut Input<'_>, field: &str) -> Result<Option<Vec<E>>, Fail> {
    let Some(named) = input.named_list(field) else { return Ok(None) };
    let mut out: Vec<E> = Vec::with_capacity(named.len());
    for (i, n) in named.iter().enumerate() {
        match edit.resolve::<E>(org, n).await? {
            Some(row) if !out.iter().any(|o| o.id() == row.id()) => out.push(row),
            Some(_) => {}
            None => input.wrong(&format!("{field}[{i}]"), Edit::unknown(n)),
        }
    }
    Ok(Some(out))
}

/// One related object; `Some(None)` = explicitly none.
pub(crate) async fn related_one<E: Entity>(edit: &Edit, org: Id<Org>, input: &mut Input<'_>, field: &str) -> Result<Option<Option<E>>, Fail> {
    match input.named(field) {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(named)) => match edit.resolve::<E>(org, &named).await? {
            Some(row) => Ok(Some(Some(row))),
            None => {
                input.wrong(field, Edit::unknown(&named));
                Ok(None)
            }
        },
    }
}

/// Ids of rows.
pub(crate) fn ids<E: Entity>(rows: &[E]) -> Vec<Id<E>> {
    rows.iter().map(Entity::id).collect()
}

/// Whether another row of the kind has the name already.
pub(crate) async fn name_taken<E: Entity>(edit: &Edit, org: Id<Org>, input: &mut Input<'_>, field: &str, name: &str, mine: Option<Id<E>>) -> Result<(), Fail> {
    if edit.find::<E>(org, name).await?.is_some_and(|o| Some(o.id()) != mine) {
        input.wrong(field, model::MessagePair::new("api.taken", "").with("value", name));
    }
    Ok(())
}

/// An id that the client chose, or a fresh one.
pub(crate) fn chosen_id<E: Entity>(input: &Input<'_>) -> Id<E> {
    match input.raw("id").and_then(Named::read) {
        Some(Named::Id(id)) if id.as_u128() > 0xffff_ffff => Id::new(id),
        _ => Id::generate(),
    }
}
