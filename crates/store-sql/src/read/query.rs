//! From a [`Query`] to SQL. The reach is the first condition and everything a client sends is AND-ed below it.

use std::str::FromStr;

use model::{Filter, Id, Op, Query, Time};
use store::{Result, StoreError};

use super::fields::{Field, How, Ty};
use crate::db::{Val, marks};

/// Most rows of one page.
pub(crate) const CAP: u64 = 10_000;
/// Most conditions, values of a condition, and words of a search: bounds what a client can make the database do.
const MAX_FILTERS: usize = 64;
const MAX_VALUES: usize = 10_000;
const MAX_WORDS: usize = 16;
/// Most values of a statement; SQLite's limit is 32,766.
const MAX_ARGS: usize = 30_000;
/// Longest text that is looked for, in bytes; SQLite refuses patterns above 50,000.
const MAX_TEXT: usize = 4096;

/// The part of a statement after `SELECT …`, in the making.
pub(crate) struct Select {
    from: String,
    conditions: Vec<String>,
    args: Vec<Val>,
    order: Vec<String>,
    fields: &'static [Field],
}

/// A text that matches itself in `LIKE … ESCAPE '!'`.
fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

impl Select {
    /// Rows of `from`, whose alias is `t`.
    pub(crate) fn new(from: &str, fields: &'static [Field]) -> Self {
        Self { from: from.to_owned(), conditions: Vec::new(), args: Vec::new(), order: Vec::new(), fields }
    }
    /// Adds a condition of ours.
    pub(crate) fn and(&mut self, sql: impl Into<String>, args: Vec<Val>) {
        self.conditions.push(sql.into());
        self.args.extend(args);
    }
    /// Free text in a column that is stored in lower case.
    pub(crate) fn search_folded(&mut self, column: &str, text: Option<&str>) {
        self.words(text, |word| (format!("{column} LIKE ? ESCAPE '!'"), vec![format!("%{}%", escaped(&word.to_lowercase()))]));
    }
    /// Free text in any of several columns. ASCII letters match in either case, as in [`Op::Contains`].
    pub(crate) fn search_columns(&mut self, columns: &[&str], text: Option<&str>) {
        let sql = columns.iter().map(|c| format!("lower({c}) LIKE ? ESCAPE '!'")).collect::<Vec<_>>().join(" OR ");
        self.words(text, |word| (sql.clone(), vec![format!("%{}%", escaped(&word.to_ascii_lowercase())); columns.len()]));
    }
    fn words(&mut self, text: Option<&str>, one: impl Fn(&str) -> (String, Vec<String>)) {
        let words: Vec<&str> = text.unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()).take(MAX_WORDS).collect();
        let mut either = Vec::new();
        for word in words {
            let (sql, args) = one(word);
            either.push(format!("({sql})"));
            self.args.extend(args.into_iter().map(Val::from));
        }
        if !either.is_empty() {
            self.conditions.push(format!("({})", either.join(" OR ")));
        }
    }
    fn field(&self, name: &str) -> Result<How> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, how)| *how).ok_or_else(|| StoreError::UnknownField(name.chars().take(64).collect()))
    }
    /// Filters and order of a client.
    pub(crate) fn apply(&mut self, query: &Query) -> Result<()> {
        if query.filters.len() > MAX_FILTERS || query.order.len() > MAX_FILTERS {
            return Err(StoreError::BadValue("filters".to_owned()));
        }
        for filter in &query.filters {
            let how = self.field(&filter.field)?;
            let (sql, args) = condition(how, filter)?;
            self.and(sql, args);
        }
        if self.args.len() > MAX_ARGS || query.search.as_ref().is_some_and(|s| s.len() > MAX_TEXT) {
            return Err(StoreError::BadValue("filters".to_owned()));
        }
        for order in &query.order {
            match self.field(&order.field)? {
                How::Col(column, _) => self.order.push(format!("{column}{}", if order.desc { " DESC" } else { "" })),
                How::Rel(..) => return Err(StoreError::UnknownField(order.field.clone())),
            }
        }
        Ok(())
    }
    /// The last criteria of the order. `default` is used if the client gave no order at all.
    pub(crate) fn order_last(&mut self, default: &[&str], last: &[String]) {
        if self.order.is_empty() {
            self.order.extend(default.iter().map(|s| (*s).to_owned()));
        }
        self.order.extend(last.iter().cloned());
    }
    fn tail(&self) -> String {
        if self.conditions.is_empty() { self.from.clone() } else { format!("{} WHERE {}", self.from, self.conditions.join(" AND ")) }
    }
    /// `SELECT count(*) …`
    pub(crate) fn count(&self) -> (String, Vec<Val>) {
        (format!("SELECT count(*) FROM {}", self.tail()), self.args.clone())
    }
    /// `SELECT columns … LIMIT … OFFSET …`
    pub(crate) fn page(&self, columns: &str, limit: u64, offset: u64) -> (String, Vec<Val>) {
        let mut args = self.args.clone();
        args.push(Val::from(limit.min(CAP)));
        args.push(Val::from(offset));
        (format!("SELECT {columns} FROM {} ORDER BY {} LIMIT ? OFFSET ?", self.tail(), self.order.join(", ")), args)
    }
}

/// Reads a value of a client.
fn value(ty: Ty, field: &str, text: &str) -> Result<Val> {
    let bad = || StoreError::BadValue(field.to_owned());
    Ok(match ty {
        Ty::Text => Val::from(text),
        Ty::Canonical => Val::from(text.trim().to_lowercase()),
        Ty::Uuid => Val::from(Id::<()>::from_str(text).map_err(|_| bad())?),
        Ty::Int => Val::from(text.parse::<i64>().map_err(|_| bad())?),
        Ty::Time => Val::from(Time::from(chrono::DateTime::parse_from_rfc3339(text).map_err(|_| bad())?)),
        Ty::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Val::from(true),
            "false" | "0" => Val::from(false),
            _ => return Err(bad()),
        },
    })
}

/// One condition of a client as SQL.
fn condition(how: How, filter: &Filter) -> Result<(String, Vec<Val>)> {
    let Filter { field, op, values } = filter;
    let bad = || StoreError::BadValue(field.clone());
    if values.len() > MAX_VALUES || (values.len() != 1 && *op != Op::In) {
        return Err(bad());
    }
    let first = values.first().map(String::as_str).unwrap_or_default();
    match how {
        How::Rel(sql, ty) => {
            let args = values.iter().map(|v| value(ty, field, v)).collect::<Result<Vec<_>>>()?;
            let sql = sql.replace("{}", &marks(args.len()));
            match op {
                Op::Eq | Op::In => Ok((sql, args)),
                Op::Ne => Ok((format!("NOT ({sql})"), args)),
                _ => Err(bad()),
            }
        }
        // the empty text means "none" where a reference or a time may be missing
        How::Col(column, Ty::Uuid | Ty::Time | Ty::Int) if first.is_empty() && *op == Op::Eq => Ok((format!("{column} IS NULL"), Vec::new())),
        How::Col(column, Ty::Uuid | Ty::Time | Ty::Int) if first.is_empty() && *op == Op::Ne => Ok((format!("{column} IS NOT NULL"), Vec::new())),
        How::Col(column, ty) => match op {
            Op::Eq => Ok((format!("{column} = ?"), vec![value(ty, field, first)?])),
            Op::Ne => Ok((format!("({column} <> ? OR {column} IS NULL)"), vec![value(ty, field, first)?])),
            Op::In => {
                let args = values.iter().map(|v| value(ty, field, v)).collect::<Result<Vec<_>>>()?;
                Ok((format!("{column} IN ({})", marks(args.len())), args))
            }
            Op::Ge if ty != Ty::Bool => Ok((format!("{column} >= ?"), vec![value(ty, field, first)?])),
            Op::Lt if ty != Ty::Bool => Ok((format!("{column} < ?"), vec![value(ty, field, first)?])),
            Op::Contains | Op::StartsWith if matches!(ty, Ty::Text | Ty::Canonical) && first.len() <= MAX_TEXT => {
                let word = if ty == Ty::Canonical { first.to_lowercase() } else { first.to_ascii_lowercase() };
                let head = if *op == Op::Contains { "%" } else { "" };
                Ok((format!("lower({column}) LIKE ? ESCAPE '!'"), vec![Val::from(format!("{head}{}%", escaped(&word)))]))
            }
            _ => Err(bad()),
        },
    }
}
