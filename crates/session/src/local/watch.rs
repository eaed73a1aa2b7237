//! Live grants are judged again whenever something changed, and whenever a rule, a person or an exclusion begins or ends.
//!
//! INVARIANT: a store that cannot be read leaves running sessions alone (architecture: running sessions go on); the next
//! news or the retry decides.

use std::{sync::Arc, time::Duration};

use model::Time;
use policy::{ConnectTarget, Decider, DenialReason, GrantWatch, Identity, Withdrawal};
use store::ConnectFacts;

use super::LocalControl;
use crate::bus::{News, Received};

struct Watched {
    watch: Arc<GrantWatch>,
    who: Identity,
    target: ConnectTarget,
    next: Option<Time>,
}

/// Grants that sessions still hold.
#[derive(Default)]
pub(super) struct Grants {
    watched: Vec<Watched>,
    /// Dead entries are swept when the list doubled since the last sweep.
    sweep_at: usize,
}

impl Grants {
    pub(super) fn add(&mut self, watch: GrantWatch, who: Identity, target: ConnectTarget, next: Option<Time>) {
        if self.watched.len() >= self.sweep_at.max(64) {
            self.watched.retain(|w| w.watch.in_use());
            self.sweep_at = self.watched.len() * 2;
        }
        self.watched.push(Watched { watch: Arc::new(watch), who, target, next });
    }

    /// The next moment at which the same facts may give another answer.
    pub(super) fn next_boundary(facts: &ConnectFacts, now: Time) -> Option<Time> {
        let rules = facts.rules.iter().flat_map(|(r, _)| [r.date_start, r.date_expired]);
        rules.chain(facts.user.date_expired).filter(|t| *t > now).min()
    }

    fn earliest(&self) -> Option<Time> {
        self.watched.iter().filter(|w| w.watch.in_use()).filter_map(|w| w.next).min()
    }
}

/// Why a live grant must go, `None` if it may stay; and when to look again.
async fn judge(control: &LocalControl, who: &Identity, target: &ConnectTarget, now: Time) -> Result<Option<Time>, Withdrawal> {
    let facts = match control.parts.store.mine(who).connect_facts(target.asset.id).await {
        Ok(Some(facts)) => facts,
        Ok(None) => return Err(Withdrawal::Changed),
        Err(e) => {
            tracing::warn!(error = %e, "live grants cannot be judged; trying again in five seconds");
            return Ok(Some(now + chrono::TimeDelta::seconds(5)));
        }
    };
    // The asset as it is now: a changed address or a disabled protocol counts.
    let mut target = target.clone();
    let moved = target.asset.address != facts.asset.address;
    target.asset = facts.asset.clone();
    match Decider.connect(who, &facts.facts(), target, now) {
        Ok(_) if moved => Err(Withdrawal::Changed),
        Ok(_) => Ok(Grants::next_boundary(&facts, now)),
        Err(d) if d.reason == DenialReason::Expired => Err(Withdrawal::Expired),
        Err(_) => Err(Withdrawal::Changed),
    }
}

/// Judges the grants that are due at `now` (all of them with `everything`).
async fn pass(control: &LocalControl, everything: bool) {
    let now = control.parts.clock.now();
    let due: Vec<(Arc<GrantWatch>, Identity, ConnectTarget)> = {
        let grants = control.grants.lock();
        let due = grants.watched.iter().filter(|w| w.watch.in_use() && (everything || w.next.is_some_and(|t| t <= now)));
        due.map(|w| (w.watch.clone(), w.who.clone(), w.target.clone())).collect()
    };
    for (watch, who, target) in due {
        let verdict = judge(control, &who, &target, now).await;
        if let Err(why) = verdict {
            tracing::info!(user = who.username(), asset = %target.asset.id, ?why, "grant withdrawn");
            watch.withdraw(why);
        }
        let mut grants = control.grants.lock();
        if let Some(w) = grants.watched.iter_mut().find(|w| Arc::ptr_eq(&w.watch, &watch)) {
            w.next = verdict.unwrap_or(None);
        }
    }
    control.grants.lock().watched.retain(|w| w.watch.in_use());
}

/// The task that keeps watch as long as the control plane lives.
pub(super) fn spawn(control: &Arc<LocalControl>) {
    let weak = Arc::downgrade(control);
    let mut news = control.parts.bus.subscribe();
    let nudge = control.nudge.clone();
    tokio::spawn(async move {
        loop {
            let wait = {
                let Some(control) = weak.upgrade() else { return };
                let now = control.parts.clock.now();
                let next = control.grants.lock().earliest();
                next.map_or(Duration::from_secs(3600), |t| (t - now).to_std().unwrap_or_default())
            };
            let everything = tokio::select! {
                received = news.next() => match received {
                    Received::News(News::Changed(_)) | Received::Lagged => true,
                    Received::News(News::Control(id, command)) => {
                        let Some(control) = weak.upgrade() else { return };
                        control.parts.registry.send(id, command);
                        false
                    }
                    Received::Closed => return,
                },
                // A moment later than the boundary, so that "now ≥ expiry" holds.
                () = tokio::time::sleep(wait + Duration::from_millis(2)) => false,
                () = nudge.notified() => false,
            };
            let Some(control) = weak.upgrade() else { return };
            pass(&control, everything).await;
        }
    });
}
