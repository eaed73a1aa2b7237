//! Finds what `{id}` means, inside the caller's organization.

use std::future::Future;

use model::{Account, Asset, AssetPermission, Entity, Filter, Id, Node, Org, Platform, PublicKey, Query, Role, RoleBinding, SessionRow, User, UserGroup};

use super::Caller;
use crate::fail::Fail;

/// Something that `{id}` in a path can mean.
pub trait Resolve: Sized + Send + Sync {
    /// Finds it where the caller may look; `None` = 404.
    fn resolve(caller: &Caller, id: &str) -> impl Future<Output = Result<Option<Self>, Fail>> + Send;
}

impl Resolve for () {
    async fn resolve(_: &Caller, _: &str) -> Result<Option<Self>, Fail> {
        Ok(Some(()))
    }
}

impl Resolve for SessionRow {
    async fn resolve(caller: &Caller, id: &str) -> Result<Option<Self>, Fail> {
        let Ok(id) = id.parse::<Id<SessionRow>>() else { return Ok(None) };
        Ok(caller.log_reader().log(id).await?)
    }
}

/// By UUID or by the field that names the kind.
async fn entity<E: Entity>(caller: &Caller, id: &str, name_field: Option<&str>) -> Result<Option<E>, Fail> {
    if let Ok(id) = id.parse::<Id<E>>() {
        return Ok(caller.reader_of(E::KIND).get(id).await?);
    }
    match name_field {
        Some(field) if !id.is_empty() => {
            let name = if field == "username" { User::canonical(id) } else { id.to_owned() };
            Ok(caller.reader_of(E::KIND).find(Query::filter(Filter::eq(field, name))).await?)
        }
        _ => Ok(None),
    }
}

macro_rules! resolves {
    ($($kind:ty, $field:expr;)*) => { $(impl Resolve for $kind {
        async fn resolve(caller: &Caller, id: &str) -> Result<Option<Self>, Fail> {
            entity(caller, id, $field).await
        }
    })* };
}
resolves! {
    Org, Some("name");
    Role, Some("name");
    Platform, Some("name");
    User, Some("username");
    PublicKey, None;
    RoleBinding, None;
    UserGroup, Some("name");
    Node, Some("full_value");
    Asset, Some("name");
    Account, Some("name");
    AssetPermission, Some("name");
}
