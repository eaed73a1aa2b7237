//! The one attempt limiter (security.md 5): failures per login name, per address and per second factor.
//!
//! A lock is an entry of its own that lives for the whole window, so it lasts as long as it says even when the
//! failures before it were spread over half an hour.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak},
};

use model::{AuditEvent, User};
use parking_lot::Mutex;
use policy::login::{Counted, Counter};
use store::{AttemptKey, LogBatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Authenticator, AuthnError, MAX_USERNAME, Result, clean};

/// When failures lock, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong first factors of one login name.
    pub user_limit: u32,
    /// Wrong first factors from one address (IPv6: one /64).
    pub address_limit: u32,
    /// Wrong second factors of one login name.
    pub mfa_limit: u32,
    /// Seconds over which failures are counted, and seconds a lock lasts.
    pub window_s: i64,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { user_limit: 7, address_limit: 100, mfa_limit: 7, window_s: 30 * 60 }
    }
}

/// Login names and addresses as they are counted.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) username: String,
    pub(crate) address: String,
}

impl Subject {
    pub(crate) fn new(username: &str, client: IpAddr) -> Self {
        Self { username: clean(&User::canonical(username), MAX_USERNAME), address: counted_address(client) }
    }
}

/// One attacker owns a whole IPv6 /64; an IPv4 address in IPv6 clothes is the IPv4 address.
fn counted_address(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    }
}

fn key(scope: &'static str, value: &str) -> AttemptKey {
    AttemptKey { scope, value: value.to_owned() }
}

/// Lets at most two guesses per name be judged at once: hundreds in parallel would all pass before the first is counted.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Weak<Semaphore>>>);

impl Gates {
    pub(crate) async fn enter(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        let gate = {
            let mut gates = self.0.lock();
            if gates.len() > 4096 {
                gates.retain(|_, g| g.strong_count() > 0);
            }
            match gates.get(name).and_then(Weak::upgrade) {
                Some(gate) => gate,
                None => {
                    let gate = Arc::new(Semaphore::new(2));
                    gates.insert(name.to_owned(), Arc::downgrade(&gate));
                    gate
                }
            }
        };
        gate.acquire_owned().await.ok()
    }
}

impl Authenticator {
    /// Minutes until the lock ends, if there is one.
    pub(crate) async fn lock_left(&self, who: &Subject, counter: Counter) -> Result<Option<u32>> {
        let locks = match counter {
            Counter::First => vec![key("user_lock", &who.username), key("address_lock", &who.address)],
            Counter::Second => vec![key("mfa_lock", &who.username)],
        };
        let mut longest = None;
        for lock in &locks {
            longest = longest.max(self.minutes_left(lock).await?);
        }
        Ok(longest)
    }

    /// The store tells only how many entries are younger than an age; the age of the lock is found by halving.
    async fn minutes_left(&self, lock: &AttemptKey) -> Result<Option<u32>> {
        let (now, window) = (self.now(), self.settings().lockout.window_s.max(60));
        if self.backend().failures(lock, now, window).await? == 0 {
            return Ok(None);
        }
        let (mut younger, mut older) = (window, 0i64);
        while younger - older > 60 {
            let middle = older + (younger - older) / 2;
            if self.backend().failures(lock, now, middle).await? > 0 {
                younger = middle;
            } else {
                older = middle;
            }
        }
        let left = (window - older).max(1);
        Ok(Some(u32::try_from((left + 59) / 60).unwrap_or(u32::MAX)))
    }

    /// Counts a failure; the one that reaches the limit locks, once, with an audit entry.
    pub(crate) async fn count(&self, who: &Subject, counter: Counter, remote_addr: &str) -> Result<Counted> {
        let limits = self.settings().lockout;
        let counted = match counter {
            Counter::First => vec![("user", "user_lock", &who.username, limits.user_limit), ("address", "address_lock", &who.address, limits.address_limit)],
            Counter::Second => vec![("mfa", "mfa_lock", &who.username, limits.mfa_limit)],
        };
        let (now, window) = (self.now(), limits.window_s.max(60));
        let minutes = u32::try_from((window + 59) / 60).unwrap_or(u32::MAX);
        let mut left = u32::MAX;
        for (scope, lock, value, limit) in counted {
            let limit = limit.max(1);
            let failures = self.backend().count_failure(&key(scope, value), now, window).await?;
            let is_address = scope == "address";
            if failures >= limit {
                left = 0;
                if self.backend().count_failure(&key(lock, value), now, window).await? == 1 {
                    self.lock_evidence(scope, value, failures, remote_addr).await?;
                }
            } else if !is_address {
                // how many others failed from the same address is nobody's business
                left = left.min(limit - failures);
            }
        }
        Ok(Counted { left, minutes })
    }

    async fn lock_evidence(&self, scope: &'static str, value: &str, failures: u32, remote_addr: &str) -> Result<()> {
        let event = AuditEvent {
            kind: "login.locked".into(),
            org: None,
            actor: "System".into(),
            actor_id: None,
            target: value.to_owned(),
            target_id: scope.to_owned(),
            session: None,
            remote_addr: remote_addr.to_owned(),
            at: self.now(),
            data: serde_json::json!({ "scope": scope, "failures": failures }),
        };
        self.backend().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
        Ok(())
    }

    /// Forgets failures after the right factor. The address keeps its count: one good account must not pay for
    /// guessing at others.
    pub(crate) async fn forget(&self, who: &Subject, counter: Counter) -> Result<()> {
        let scope = match counter {
            Counter::First => "user",
            Counter::Second => "mfa",
        };
        let (key, window) = (key(scope, &who.username), self.settings().lockout.window_s.max(60));
        // mostly there is nothing to forget, and reading is much cheaper than writing
        if self.backend().failures(&key, self.now(), window).await? > 0 {
            self.backend().clear_failures(&key).await?;
        }
        Ok(())
    }

    /// Lifts every lock of a login name; `true` if there was one or failures were counted.
    ///
    /// # Errors
    /// The store failed.
    pub async fn unlock(&self, username: &str) -> Result<bool> {
        let name = clean(&User::canonical(username), MAX_USERNAME);
        let mut any = false;
        for scope in ["user", "user_lock", "mfa", "mfa_lock"] {
            any |= self.backend().clear_failures(&key(scope, &name)).await?;
        }
        Ok(any)
    }

    /// Lifts the lock of an address; `true` if there was one or failures were counted.
    ///
    /// # Errors
    /// The store failed.
    pub async fn unlock_address(&self, address: IpAddr) -> Result<bool> {
        let address = counted_address(address);
        let mut any = false;
        for scope in ["address", "address_lock"] {
            any |= self.backend().clear_failures(&key(scope, &address)).await?;
        }
        Ok(any)
    }

    /// Minutes until a login name may try again; `None` if it is not locked.
    ///
    /// # Errors
    /// The store failed.
    pub async fn locked_minutes(&self, username: &str) -> Result<Option<u32>> {
        let name = clean(&User::canonical(username), MAX_USERNAME);
        let first = self.minutes_left(&key("user_lock", &name)).await?;
        Ok(first.max(self.minutes_left(&key("mfa_lock", &name)).await?))
    }

    /// Lets guesses at one name pass two at a time.
    pub(crate) async fn gate(&self, name: &str) -> Result<OwnedSemaphorePermit> {
        self.inner.gates.enter(name).await.ok_or(AuthnError::Hash("closed"))
    }
}
