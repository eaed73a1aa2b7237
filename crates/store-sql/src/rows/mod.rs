//! How objects and log rows lie in tables.

mod logs;
mod relation;
mod tables;

pub(crate) use logs::{AUDIT_WRITE, LogTable, audit_entry, audit_values, command_values, login_values, operate_values, session, session_values};
pub(crate) use relation::{attach, store_relations};

use model::{Entity, Meta};
use store::Result;

use crate::db::{Cells, Val, args};

/// A field, or fields together, that only one row may have.
pub(crate) struct Unique {
    /// Field name as in the API.
    pub(crate) field: &'static str,
    /// Condition that finds the row that has it.
    pub(crate) sql: &'static str,
    /// Its values.
    pub(crate) args: Vec<Val>,
    /// The value as shown to people.
    pub(crate) shown: String,
}

/// A managed object's table. The bookkeeping columns and `search_text` follow [`Table::COLUMNS`] in every table.
pub(crate) trait Table: Entity {
    /// Its name.
    const NAME: &'static str;
    /// Columns in the order of [`Table::values`] and [`Table::read`]; the first is `id`.
    const COLUMNS: &'static [&'static str];
    /// Columns that are written but not read back.
    const EXTRA: &'static [&'static str] = &[];
    /// Columns that an update leaves alone.
    const FROZEN: &'static [&'static str];
    /// Conditions besides the id that a row must meet to be the one that is updated or deleted: `(column, value)`.
    fn owner(&self) -> Vec<(&'static str, Val)>;
    /// Values of [`Table::COLUMNS`], then of [`Table::EXTRA`].
    fn values(&self) -> Vec<Val>;
    /// From [`Table::COLUMNS`] and the bookkeeping columns. Relations are filled in by [`attach`].
    fn read(c: &mut Cells) -> Result<Self>;
    /// What must be unique.
    fn uniques(&self) -> Vec<Unique>;
    /// What a free text search looks at.
    fn search(&self) -> Vec<&str>;
}

/// Bookkeeping columns, in order.
pub(crate) const META: [&str; 5] = ["revision", "created_by", "updated_by", "date_created", "date_updated"];

/// Values of [`META`].
pub(crate) fn meta_values(m: &Meta) -> Vec<Val> {
    args![m.revision, &m.created_by, &m.updated_by, m.date_created, m.date_updated]
}

pub(crate) fn read_meta(c: &mut Cells) -> Result<Meta> {
    Ok(Meta { revision: c.int()?, created_by: c.text()?, updated_by: c.text()?, date_created: c.time()?, date_updated: c.time()? })
}

/// The column that searches look at: lower case by Unicode rules, which databases do not agree about.
pub(crate) fn search_text<T: Table>(e: &T) -> Val {
    Val::from(e.search().join("\n").to_lowercase())
}

/// `t.id,t.name,…` of a table.
pub(crate) fn select_list<T: Table>() -> String {
    T::COLUMNS.iter().chain(META.iter()).map(|c| format!("t.{c}")).collect::<Vec<_>>().join(",")
}
