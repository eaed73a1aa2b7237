//! What files own: objects that an apply of a file declared, kept per file, so that `--prune` can remove what a file no
//! longer declares and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use api::state::Document;
use model::{Account, Asset, AssetPermission, Id, Kind, Node, Org, Platform, Role, RoleBinding, User, UserGroup};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Written, is_owned_kind};
use crate::{edit::Edit, fail::Fail, guard::Caller, resource::Resource};

const SETTING: &str = "state.owned";

/// Per owner (organization of the caller, file) the objects it declared.
pub(super) type Owned = BTreeMap<String, BTreeSet<Object>>;

/// One object that a file owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Object {
    kind: Kind,
    org: Option<Id<Org>>,
    id: Uuid,
}

pub(super) async fn read(caller: &Caller) -> Result<Owned, Fail> {
    let value = caller.app.node().setting(SETTING).await?.unwrap_or_default();
    Ok(serde_json::from_value(value).unwrap_or_default())
}

pub(super) async fn write(caller: &Caller, owned: &Owned) -> Result<(), Fail> {
    let value = serde_json::to_value(owned).map_err(|e| Fail::internal(e.to_string()))?;
    // written after the commit: if the node dies in between, the next apply of the same files writes it
    Ok(caller.app.node().put_setting(SETTING, value).await?)
}

fn of_file(file: &str, documents: &[Document], written: &[(usize, Written)]) -> BTreeSet<Object> {
    let mine = written.iter().filter(|(at, _)| documents.get(*at).is_some_and(|d| d.file == file));
    mine.filter(|(_, w)| is_owned_kind(w.kind)).map(|(_, w)| Object { kind: w.kind, org: w.org, id: w.id }).collect()
}

/// Remembers what the files declare now. Without prune they keep what they owned before.
pub(super) fn note(owned: &mut Owned, files: &BTreeSet<String>, documents: &[Document], written: &[(usize, Written)], pruned: bool) {
    for file in files {
        let now = of_file(file, documents, written);
        let entry = owned.entry(file.clone()).or_default();
        if pruned {
            *entry = now;
        } else {
            entry.extend(now);
        }
    }
    owned.retain(|_, objects| !objects.is_empty());
}

/// Drafts the removal of what the files own and no longer declare, users of things first. What another file declares
/// stays, and so does what the caller may not remove.
pub(super) async fn prune(edit: &mut Edit, owned: &Owned, files: &BTreeSet<String>, documents: &[Document], written: &[(usize, Written)]) -> Result<(), Fail> {
    let declared: BTreeSet<Uuid> = written.iter().map(|(_, w)| w.id).collect();
    let elsewhere: BTreeSet<Uuid> = owned.iter().filter(|(f, _)| !files.contains(*f)).flat_map(|(_, o)| o).map(|o| o.id).collect();
    let _ = documents;
    let mut gone: Vec<&Object> =
        files.iter().filter_map(|f| owned.get(f)).flatten().filter(|o| !declared.contains(&o.id) && !elsewhere.contains(&o.id)).collect();
    gone.sort_by_key(|o| std::cmp::Reverse(o.kind));
    for object in gone {
        match object.kind {
            Kind::AssetPermission => erase::<AssetPermission>(edit, object).await?,
            Kind::Account => erase::<Account>(edit, object).await?,
            Kind::Asset => erase::<Asset>(edit, object).await?,
            Kind::Node => erase::<Node>(edit, object).await?,
            Kind::UserGroup => erase::<UserGroup>(edit, object).await?,
            Kind::RoleBinding => erase::<RoleBinding>(edit, object).await?,
            Kind::User => erase::<User>(edit, object).await?,
            Kind::Platform => erase::<Platform>(edit, object).await?,
            Kind::Role => erase::<Role>(edit, object).await?,
            Kind::Org => erase::<Org>(edit, object).await?,
            Kind::PublicKey => {}
        }
    }
    Ok(())
}

async fn erase<E: Resource>(edit: &mut Edit, object: &Object) -> Result<(), Fail> {
    let org = object.org.unwrap_or(Org::DEFAULT);
    if !edit.is_global() && object.org.is_some() && object.org != edit.caller.org() {
        return Ok(());
    }
    let Some(row) = edit.get::<E>(org, Id::new(object.id)).await? else { return Ok(()) };
    let permission = format!("{}.delete_{}", E::KIND.app(), E::KIND.resource());
    let allowed = match row.org() {
        Some(org) => edit.caller.may_in(org, &permission),
        None => edit.caller.may_everywhere(&permission),
    };
    if !allowed {
        return Err(Fail::forbidden());
    }
    E::erase(edit, row).await
}
