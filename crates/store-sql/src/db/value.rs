//! Values as they are bound and cells as they come back.

use std::str::FromStr;

use model::{Id, Time};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use store::{Result, StoreError};
use uuid::Uuid;

/// A value to bind. Nulls keep their type, because PostgreSQL wants to know it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    /// Integers and times.
    Int(Option<i64>),
    /// Truth values.
    Bool(bool),
    /// Text, UUIDs and JSON.
    Text(Option<String>),
}

impl From<i64> for Val {
    fn from(v: i64) -> Self {
        Val::Int(Some(v))
    }
}
impl From<Option<i64>> for Val {
    fn from(v: Option<i64>) -> Self {
        Val::Int(v)
    }
}
impl From<u64> for Val {
    fn from(v: u64) -> Self {
        Val::Int(Some(i64::try_from(v).unwrap_or(i64::MAX)))
    }
}
impl From<bool> for Val {
    fn from(v: bool) -> Self {
        Val::Bool(v)
    }
}
impl From<&str> for Val {
    fn from(v: &str) -> Self {
        Val::from(v.to_owned())
    }
}
impl From<&String> for Val {
    fn from(v: &String) -> Self {
        Val::from(v.clone())
    }
}
impl From<String> for Val {
    /// PostgreSQL cannot store U+0000 in text; it is replaced for every dialect, so that a client that sends one can
    /// never make an evidence row fail.
    fn from(v: String) -> Self {
        Val::Text(Some(if v.contains('\0') { v.replace('\0', "\u{fffd}") } else { v }))
    }
}
impl From<Option<String>> for Val {
    fn from(v: Option<String>) -> Self {
        v.map_or(Val::Text(None), Val::from)
    }
}
impl From<&Option<String>> for Val {
    fn from(v: &Option<String>) -> Self {
        Val::from(v.clone())
    }
}
impl From<Uuid> for Val {
    fn from(v: Uuid) -> Self {
        Val::Text(Some(v.to_string()))
    }
}
impl<T> From<Id<T>> for Val {
    fn from(v: Id<T>) -> Self {
        Val::from(v.uuid())
    }
}
impl<T> From<Option<Id<T>>> for Val {
    fn from(v: Option<Id<T>>) -> Self {
        Val::Text(v.map(|i| i.uuid().to_string()))
    }
}
impl From<Time> for Val {
    fn from(v: Time) -> Self {
        Val::Int(Some(v.timestamp_micros()))
    }
}
impl From<Option<Time>> for Val {
    fn from(v: Option<Time>) -> Self {
        Val::Int(v.map(|t| t.timestamp_micros()))
    }
}

/// The wire word of an enum.
pub(crate) fn word<T: Serialize>(v: &T) -> String {
    match serde_json::to_value(v) {
        Ok(Value::String(s)) => s,
        _ => String::new(),
    }
}

/// JSON text.
pub(crate) fn json<T: Serialize>(v: &T) -> String {
    serde_json::to_string(v).unwrap_or_else(|_| "null".to_owned())
}

/// A moment cut to the precision that is stored.
pub(crate) fn micros(t: Time) -> Time {
    Time::from_timestamp_micros(t.timestamp_micros()).unwrap_or(t)
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// Integers, times, and SQLite's truth values.
    Int(i64),
    /// Truth values.
    Bool(bool),
    /// Everything else.
    Text(String),
}

/// A row, read from left to right in the order of the column list it was asked with.
#[derive(Debug)]
pub(crate) struct Cells(std::vec::IntoIter<Cell>);

fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

impl Cells {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }
    fn next(&mut self) -> Result<Cell> {
        self.0.next().ok_or_else(|| corrupt("row is too short"))
    }
    pub(crate) fn opt_text(&mut self) -> Result<Option<String>> {
        match self.next()? {
            Cell::Text(s) => Ok(Some(s)),
            Cell::Null => Ok(None),
            Cell::Int(_) | Cell::Bool(_) => Err(corrupt("text expected")),
        }
    }
    pub(crate) fn text(&mut self) -> Result<String> {
        self.opt_text()?.ok_or_else(|| corrupt("unexpected NULL"))
    }
    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>> {
        match self.next()? {
            Cell::Int(i) => Ok(Some(i)),
            Cell::Null => Ok(None),
            Cell::Text(_) | Cell::Bool(_) => Err(corrupt("integer expected")),
        }
    }
    pub(crate) fn int(&mut self) -> Result<i64> {
        self.opt_int()?.ok_or_else(|| corrupt("unexpected NULL"))
    }
    pub(crate) fn bool(&mut self) -> Result<bool> {
        match self.next()? {
            Cell::Bool(b) => Ok(b),
            Cell::Int(i) => Ok(i != 0),
            Cell::Null | Cell::Text(_) => Err(corrupt("truth value expected")),
        }
    }
    pub(crate) fn opt_time(&mut self) -> Result<Option<Time>> {
        self.opt_int()?.map(|us| Time::from_timestamp_micros(us).ok_or_else(|| corrupt("time out of range"))).transpose()
    }
    pub(crate) fn time(&mut self) -> Result<Time> {
        self.opt_time()?.ok_or_else(|| corrupt("unexpected NULL"))
    }
    pub(crate) fn opt_id<T>(&mut self) -> Result<Option<Id<T>>> {
        self.opt_text()?.map(|s| Id::from_str(&s).map_err(corrupt)).transpose()
    }
    pub(crate) fn id<T>(&mut self) -> Result<Id<T>> {
        self.opt_id()?.ok_or_else(|| corrupt("unexpected NULL"))
    }
    pub(crate) fn opt_word<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.opt_text()?.map(|s| serde_json::from_value(Value::String(s)).map_err(corrupt)).transpose()
    }
    pub(crate) fn word<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.opt_word()?.ok_or_else(|| corrupt("unexpected NULL"))
    }
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_str(&self.text()?).map_err(corrupt)
    }
}
