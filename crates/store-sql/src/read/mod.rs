//! Reading: objects, lists and logs below a reach; the facts of decisions.

mod access;
mod fields;
mod plain;
mod query;

pub(crate) use access::{connect_facts, granted, named};
pub(crate) use plain::*;

use model::{Account, Asset, AssetPermission, Kind, Node, Org, Page, Platform, PublicKey, Query, Record, Role, RoleBinding, User, UserGroup};
use policy::OrgFilter;
use serde_json::Value;
use store::{Result, StoreError};
use uuid::Uuid;

use crate::{
    db::{Cells, Link, Val, args},
    rows::{LogTable, Table, attach, select_list},
};
use query::{CAP, Select};

/// Condition that rows of a kind must meet to be in reach. INVARIANT: the first condition of every read.
fn reach_of(reach: OrgFilter, kind: Kind) -> Option<(&'static str, Vec<Val>)> {
    let OrgFilter::One(org) = reach else { return None };
    let sql = match kind {
        // what every organization works with
        Kind::Role | Kind::Platform => return None,
        Kind::Org => "t.id = ?",
        Kind::User => "t.id IN (SELECT user_id FROM role_bindings WHERE org_id = ?)",
        Kind::PublicKey => "t.user_id IN (SELECT user_id FROM role_bindings WHERE org_id = ?)",
        Kind::RoleBinding | Kind::UserGroup | Kind::Node | Kind::Asset | Kind::Account | Kind::AssetPermission => "t.org_id = ?",
    };
    Some((sql, args![org]))
}

/// Calls a generic function for the type of a kind.
macro_rules! by_kind {
    ($kind:expr, $f:ident ( $($arg:expr),* )) => {
        match $kind {
            Kind::Org => $f::<Org>($($arg),*).await,
            Kind::Role => $f::<Role>($($arg),*).await,
            Kind::Platform => $f::<Platform>($($arg),*).await,
            Kind::User => $f::<User>($($arg),*).await,
            Kind::PublicKey => $f::<PublicKey>($($arg),*).await,
            Kind::RoleBinding => $f::<RoleBinding>($($arg),*).await,
            Kind::UserGroup => $f::<UserGroup>($($arg),*).await,
            Kind::Node => $f::<Node>($($arg),*).await,
            Kind::Asset => $f::<Asset>($($arg),*).await,
            Kind::Account => $f::<Account>($($arg),*).await,
            Kind::AssetPermission => $f::<AssetPermission>($($arg),*).await,
        }
    };
}

/// One object in reach.
pub(crate) async fn get(link: &mut Link, reach: OrgFilter, kind: Kind, id: Uuid) -> Result<Option<Record>> {
    by_kind!(kind, get_one(link, reach, id))
}

async fn get_one<T: Table>(link: &mut Link, reach: OrgFilter, id: Uuid) -> Result<Option<Record>> {
    let (more, mut args) = reach_of(reach, T::KIND).map(|(sql, args)| (format!("{sql} AND "), args)).unwrap_or_default();
    args.push(Val::from(id));
    let sql = format!("SELECT {} FROM {} t WHERE {more}t.id = ?", select_list::<T>(), T::NAME);
    let Some(mut row) = link.first(&sql, args).await? else { return Ok(None) };
    let mut record = [T::read(&mut row)?.into()];
    attach(link, &mut record).await?;
    let [record] = record;
    Ok(Some(record))
}

/// A window of a list in reach.
pub(crate) async fn list(link: &mut Link, reach: OrgFilter, kind: Kind, query: &Query) -> Result<Page<Record>> {
    by_kind!(kind, list_of(link, reach, query))
}

async fn list_of<T: Table>(link: &mut Link, reach: OrgFilter, query: &Query) -> Result<Page<Record>> {
    let mut select = Select::new(&format!("{} t", T::NAME), fields::of_kind(T::KIND));
    if let Some((sql, args)) = reach_of(reach, T::KIND) {
        select.and(sql, args);
    }
    select.search_folded("t.search_text", query.search.as_deref());
    select.apply(query)?;
    let default: &[&str] = match T::KIND {
        Kind::User => &["t.username_key"],
        Kind::Node => &["t.full_value"],
        Kind::PublicKey | Kind::RoleBinding => &["t.date_created"],
        _ => &["t.name"],
    };
    select.order_last(default, &["t.id".to_owned()]);
    let (count, rows) = page(link, &select, &select_list::<T>(), query).await?;
    let mut records = rows.into_iter().map(|mut c| T::read(&mut c).map(Into::into)).collect::<Result<Vec<Record>>>()?;
    attach(link, &mut records).await?;
    Ok(Page { count, rows: records })
}

/// The rows of a window and the number of rows in all windows.
async fn page(link: &mut Link, select: &Select, columns: &str, query: &Query) -> Result<(u64, Vec<Cells>)> {
    let limit = query.limit.min(CAP);
    let rows = if limit == 0 {
        Vec::new()
    } else {
        let (sql, args) = select.page(columns, limit, query.offset);
        link.rows(&sql, args).await?
    };
    let got = rows.len() as u64;
    // a first page that is not full has seen everything
    if query.offset == 0 && got < limit {
        return Ok((got, rows));
    }
    let (sql, args) = select.count();
    let count = link.number(&sql, args).await?;
    Ok((u64::try_from(count).unwrap_or_default(), rows))
}

/// A window of a log in reach.
pub(crate) async fn logs(link: &mut Link, reach: OrgFilter, table: &str, query: &Query) -> Result<Page<Value>> {
    let log = LogTable::named(table).ok_or_else(|| StoreError::UnknownField(table.to_owned()))?;
    let (fields, searched) = fields::of_log(table);
    let mut select = Select::new(&format!("{} t", log.name), fields);
    if let OrgFilter::One(org) = reach {
        select.and(log.reach, args![org]);
    }
    select.search_columns(searched, query.search.as_deref());
    select.apply(query)?;
    // the tie-breaker runs in the direction of the order, so that an index can serve both
    let desc = query.order.first().is_none_or(|o| o.desc);
    let last: Vec<String> = log.last.iter().map(|c| format!("t.{c}{}", if desc { " DESC" } else { "" })).collect();
    select.order_last(&[&format!("t.{} DESC", log.at)], &last);
    let columns = log.columns.split(',').map(|c| format!("t.{c}")).collect::<Vec<_>>().join(",");
    let (count, rows) = page(link, &select, &columns, query).await?;
    let rows = rows.into_iter().map(|mut c| (log.read)(&mut c)).collect::<Result<Vec<_>>>()?;
    Ok(Page { count, rows })
}
