//! The control plane of a node that holds the database itself.
