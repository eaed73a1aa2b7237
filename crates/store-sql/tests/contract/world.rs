//! A database for one test.

use model::{Entity, Id, Kind, Node, Org, Query, Record};
use policy::{Authority, OrgFilter};
use store::{Backend, Result, Store, UnitOfWork};

/// Where a fresh database may be made.
pub struct Place {
    pub url: String,
}

impl Place {
    pub async fn open(&self) -> Store {
        store_sql::open(&self.url, store_sql::Options::default()).await.expect("open")
    }
}

pub fn us() -> Authority {
    Authority::of_this_node()
}

pub fn raw(store: &Store) -> &dyn Backend {
    store.node(us())
}

pub fn unit() -> UnitOfWork {
    UnitOfWork::global(us().global())
}

pub fn unit_in(org: Id<Org>) -> UnitOfWork {
    UnitOfWork::in_org(us().org(org))
}

pub async fn insert(store: &Store, records: impl IntoIterator<Item = Record>) -> Result<i64> {
    let mut work = unit();
    for r in records {
        work.insert(r);
    }
    store.commit(work).await.map(|c| c.revision)
}

pub async fn update(store: &Store, r: impl Into<Record>) -> Result<i64> {
    let mut work = unit();
    work.update(r);
    store.commit(work).await.map(|c| c.revision)
}

pub async fn delete(store: &Store, r: impl Into<Record>) -> Result<i64> {
    let mut work = unit();
    work.delete(r);
    store.commit(work).await.map(|c| c.revision)
}

/// As it is stored now.
pub async fn again<E: Entity>(store: &Store, e: &E) -> E {
    store.read(us().every_org()).get(e.id()).await.unwrap().expect("it is there")
}

pub async fn there<E: Entity>(store: &Store, e: &E) -> bool {
    store.read(us().every_org()).get(e.id()).await.unwrap().is_some()
}

/// The root folder of an organization.
pub async fn root(store: &Store, org: Id<Org>) -> Node {
    let nodes = store.read(us().org(org)).list::<Node>(&Query::filter(model::Filter::eq("parent_key", ""))).await.unwrap();
    assert_eq!(nodes.count, 1);
    nodes.rows.into_iter().next().unwrap()
}

/// Names in a list.
pub async fn names(store: &Store, reach: OrgFilter, kind: Kind, query: &Query) -> Vec<String> {
    raw(store).list(reach, kind, query).await.unwrap().rows.iter().map(|r| r.name().to_owned()).collect()
}
