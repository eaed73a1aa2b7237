//! Is the evidence what was written? Names the first place that is not.

mod chain;
mod recordings;
mod store;
mod tamper;

pub use self::store::{Progress, Summary, Verification, VerifyError, verify_store};
pub(crate) use chain::check_checkpoints;
pub use chain::{ChainSummary, ChainVerifier, verify_chain};
pub(crate) use recordings::{Checked, Link, Links, describe};
pub use tamper::{Broken, Tamper};
