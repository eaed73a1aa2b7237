//! How a command ends: the exit codes, and the sentence that goes with them.

use std::process::ExitCode;

use super::say;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// It failed, or the answer is no: exit code 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
    /// Wrong usage: exit code 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }
    /// The server was not reached: exit code 3.
    pub fn unreachable(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }
    /// Not allowed, or not logged in: exit code 4.
    pub fn denied(text: impl Into<String>) -> Self {
        Self { code: 4, text: text.into() }
    }
    /// A sentence of the message files, exit code 1.
    pub fn says(code: &str, args: &[(&str, &str)]) -> Self {
        Self::failed(say(code, args))
    }
    /// The sentence.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Prints the sentence.
    pub fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            super::out::problem(&self.text);
        }
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Self::failed(format!("{e:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::failed(e.to_string())
    }
}

impl From<recording::RecordError> for Failure {
    fn from(e: recording::RecordError) -> Self {
        Self::failed(e.to_string())
    }
}

/// What commands answer with.
pub type Done = Result<(), Failure>;
