//! Names of related objects, looked up in one go for a whole list.

use std::collections::{BTreeSet, HashMap};

use model::{Account, Asset, Entity, Filter, Id, Kind, Node, Org, Platform, Query, Role, User, UserGroup};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{fail::Fail, guard::Caller};

/// Names by kind and id.
#[derive(Default)]
pub(crate) struct Labels(HashMap<(Kind, Uuid), String>);

impl Labels {
    /// Remembers the names of objects in the caller's reach. What is out of reach stays nameless.
    pub(crate) async fn learn<E: Entity>(&mut self, caller: &Caller, ids: impl IntoIterator<Item = Id<E>>) -> Result<(), Fail> {
        let ids: BTreeSet<Id<E>> = ids.into_iter().filter(|id| !self.0.contains_key(&(E::KIND, id.uuid()))).collect();
        let ids: Vec<Id<E>> = ids.into_iter().collect();
        for chunk in ids.chunks(500) {
            let query = Query::filter(Filter::is_in("id", chunk));
            // Names of organizations, roles and platforms are no secret to somebody who was shown a reference to them.
            let page = match E::KIND {
                Kind::Org | Kind::Role | Kind::Platform => caller.app.store().read(caller.app.authority().every_org()).list::<E>(&query).await?,
                _ => caller.reader().list::<E>(&query).await?,
            };
            for row in page.rows {
                self.know(&row);
            }
        }
        Ok(())
    }
    /// Remembers one name.
    pub(crate) fn know<E: Entity>(&mut self, row: &E) {
        self.0.insert((E::KIND, row.id().uuid()), row.name().to_owned());
    }
    /// A name; the id if it is not known.
    pub(crate) fn name<E: Entity>(&self, id: Id<E>) -> String {
        self.0.get(&(E::KIND, id.uuid())).cloned().unwrap_or_else(|| id.to_string())
    }
    /// A name by kind.
    pub(crate) fn of(&self, kind: Kind, id: Uuid) -> Option<&str> {
        self.0.get(&(kind, id)).map(String::as_str)
    }
    /// `{id, name}`.
    pub(crate) fn one<E: Entity>(&self, id: Id<E>) -> Value {
        json!({"id": id, "name": self.name(id)})
    }
    /// `[{id, name}, …]`.
    pub(crate) fn many<E: Entity>(&self, ids: &[Id<E>]) -> Value {
        ids.iter().map(|id| self.one(*id)).collect()
    }

    /// Learns the names behind the relation fields of JSON values with ids in them.
    pub(crate) async fn learn_json(&mut self, caller: &Caller, values: &[&Value]) -> Result<(), Fail> {
        let mut found: HashMap<Kind, Vec<Uuid>> = HashMap::new();
        for object in values.iter().filter_map(|v| v.as_object()) {
            for (field, value) in object {
                let Some(kind) = relation(field) else { continue };
                let one = value.as_str().into_iter();
                let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                found.entry(kind).or_default().extend(one.chain(many).filter_map(|s| s.parse::<Uuid>().ok()));
            }
        }
        for (kind, ids) in found {
            macro_rules! learn {
                ($t:ty) => {
                    self.learn::<$t>(caller, ids.into_iter().map(Id::new)).await?
                };
            }
            match kind {
                Kind::User => learn!(User),
                Kind::UserGroup => learn!(UserGroup),
                Kind::Asset => learn!(Asset),
                Kind::Node => learn!(Node),
                Kind::Role => learn!(Role),
                Kind::Org => learn!(Org),
                Kind::Platform => learn!(Platform),
                Kind::Account => learn!(Account),
                _ => {}
            }
        }
        Ok(())
    }
    /// A field's value with names instead of ids.
    pub(crate) fn named(&self, field: &str, value: &Value) -> Value {
        let Some(kind) = relation(field) else { return value.clone() };
        let name = |v: &Value| match v.as_str().and_then(|s| s.parse::<Uuid>().ok()).and_then(|id| self.of(kind, id)) {
            Some(name) => Value::String(name.to_owned()),
            None => v.clone(),
        };
        match value {
            Value::Array(items) => items.iter().map(name).collect(),
            other => name(other),
        }
    }
}

/// Which kind a field of a stored object refers to.
fn relation(field: &str) -> Option<Kind> {
    Some(match field {
        "user" | "users" => Kind::User,
        "user_groups" => Kind::UserGroup,
        "asset" | "assets" => Kind::Asset,
        "nodes" => Kind::Node,
        "role" => Kind::Role,
        "organization" | "org" | "parent" => Kind::Org,
        "platform" => Kind::Platform,
        "su_from" => Kind::Account,
        _ => return None,
    })
}
