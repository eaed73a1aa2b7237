//! Whose fault an error is, and words for people apart from words for the log.

use serde::{Deserialize, Serialize};

/// Whose fault a failure was. A field of every error that ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The person or the person's program.
    Client,
    /// The machine behind Rampart.
    Target,
    /// Rampart itself or something it depends on.
    Rampart,
}

/// One failure in two languages: a code with parameters for the person (translated at the edge) and a
/// detail for the log. The detail never reaches a person and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePair {
    /// Stable code, `area.what`, for example `access.no_permission`.
    pub code: &'static str,
    /// Values for the placeholders of the translated sentence, already safe to show.
    pub args: Vec<(&'static str, String)>,
    /// What an engineer wants to know.
    pub detail: String,
}

impl MessagePair {
    /// A message without parameters.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, args: Vec::new(), detail: detail.into() }
    }
    /// Adds a value for a placeholder of the sentence.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.args.push((name, value.into()));
        self
    }
}
