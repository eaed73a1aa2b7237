//! Password rules (U4).
