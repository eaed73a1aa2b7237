//! Lists: filters, order and pages as closed sets (security.md 1).

use serde::{Deserialize, Serialize};

use crate::{AuditEntry, Command, Id, LoginLog, OperateLog, Org, PasswordChangeLog, SessionRow, Time};

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Equal to the value.
    Eq,
    /// Not equal.
    Ne,
    /// Contains the text, ignoring case.
    Contains,
    /// Starts with the text, ignoring case.
    StartsWith,
    /// Equal to one of the values (`values`).
    In,
    /// At or after / greater or equal.
    Ge,
    /// Before / less.
    Lt,
}

/// One condition. `field` must be in the list type's closed set, else the store answers `UnknownField`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Field name as in the API.
    pub field: String,
    /// Comparison.
    pub op: Op,
    /// One value, or several for [`Op::In`]. Text form of uuid, bool (`true`/`false`), integer, RFC 3339 time.
    pub values: Vec<String>,
}

impl Filter {
    /// `field = value`.
    pub fn eq(field: &str, value: impl ToString) -> Self {
        Self { field: field.to_owned(), op: Op::Eq, values: vec![value.to_string()] }
    }
    /// `field IN values`.
    pub fn is_in<V: ToString>(field: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self { field: field.to_owned(), op: Op::In, values: values.into_iter().map(|v| v.to_string()).collect() }
    }
}

/// Sort by one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Field name as in the API.
    pub field: String,
    /// Descending.
    pub desc: bool,
}

/// What a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Query {
    /// Free text over the type's search fields; commas separate alternatives.
    pub search: Option<String>,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// Sort; the id is always the last criterion, so pages never overlap.
    pub order: Vec<Order>,
    /// Rows to skip.
    pub offset: u64,
    /// Most rows to return; the store caps it at 10,000. 0 = only count.
    pub limit: u64,
}

impl Query {
    /// Everything (up to the cap), no filter.
    pub fn all() -> Self {
        Self { limit: 10_000, ..Self::default() }
    }
    /// Everything that meets the condition.
    pub fn filter(f: Filter) -> Self {
        Self { filters: vec![f], ..Self::all() }
    }
    /// Adds a condition.
    #[must_use]
    pub fn and(mut self, f: Filter) -> Self {
        self.filters.push(f);
        self
    }
    /// Sets the free text.
    #[must_use]
    pub fn search(mut self, text: &str) -> Self {
        self.search = (!text.is_empty()).then(|| text.to_owned());
        self
    }
    /// Sets the window.
    #[must_use]
    pub fn page(mut self, offset: u64, limit: u64) -> Self {
        self.offset = offset;
        self.limit = limit;
        self
    }
}

/// A window of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// Rows that match, in all windows.
    pub count: u64,
    /// This window.
    pub rows: Vec<T>,
}

impl<T> Page<T> {
    /// Changes the rows, keeps the count.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { count: self.count, rows: self.rows.into_iter().map(f).collect() }
    }
}

/// Log-like rows: written once (sessions: also closed), listed with filters.
pub trait Listable: Clone + Send + Sync + Serialize + serde::de::DeserializeOwned + 'static {
    /// Name of the table and of the resource.
    const TABLE: &'static str;
    /// Organization that may see the row; `None` = installation.
    fn org(&self) -> Option<Id<Org>>;
    /// When it happened.
    fn at(&self) -> Time;
}

macro_rules! listable {
    ($($t:ty, $table:literal, $org:expr, $at:expr;)*) => { $(impl Listable for $t {
        const TABLE: &'static str = $table;
        fn org(&self) -> Option<Id<Org>> { let f: fn(&$t) -> Option<Id<Org>> = $org; f(self) }
        fn at(&self) -> Time { let f: fn(&$t) -> Time = $at; f(self) }
    })* };
}
listable! {
    SessionRow, "sessions", |r| Some(r.org), |r| r.date_start;
    Command, "commands", |r| Some(r.org), |r| r.timestamp;
    LoginLog, "login_logs", |_| None, |r| r.datetime;
    OperateLog, "operate_logs", |r| r.org, |r| r.datetime;
    PasswordChangeLog, "password_change_logs", |_| None, |r| r.datetime;
    AuditEntry, "audit_entries", |r| r.event.org, |r| r.event.at;
}
