//! What can go wrong in a store.

/// Failures of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something of that id exists already.
    #[error("{0} exists already")]
    Conflict(String),
    /// A unique field is taken.
    #[error("{kind}: {field} `{value}` is taken")]
    Duplicate {
        /// Resource name.
        kind: &'static str,
        /// Field name as in the API.
        field: &'static str,
        /// The value, shortened.
        value: String,
    },
    /// Changed by somebody else in the meantime.
    #[error("{0} was changed by somebody else in the meantime")]
    Stale(String),
    /// It is not there (or not in this organization).
    #[error("{0} does not exist")]
    Missing(String),
    /// It refers to something that is not there (or in another organization).
    #[error("{0} refers to something that does not exist")]
    Reference(String),
    /// Others refer to it.
    #[error("{0} is still in use: {1}")]
    InUse(String, String),
    /// The unit of work touches something outside its scope.
    #[error("outside the scope of this change: {0}")]
    Scope(String),
    /// A filter or order names a field that does not exist.
    #[error("unknown field `{0}`")]
    UnknownField(String),
    /// A filter value cannot be read.
    #[error("bad value for `{0}`")]
    BadValue(String),
    /// A stored row cannot be read back.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    /// The database is down or full. Try again later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// Another server holds the data directory.
    #[error("{0}")]
    Locked(String),
}
