//! Nothing: this crate is its test, apart from the others so that it needs few crates.
