//! Who calls, and how often they may.
//!
//! - [`caller`]: the identity every look-up is checked against.
//! - [`keys`]: API keys, compared in constant time.
//! - [`rate_limit`]: requests per minute, per caller.

pub mod caller;
pub mod keys;
pub mod rate_limit;

pub use caller::{Caller, Party};
pub use keys::{Identity, KeyRing};
pub use rate_limit::{Allowance, RateLimit};
