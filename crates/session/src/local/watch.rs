//! Live grants are judged again whenever something changed, and whenever a rule, a person or an exclusion begins or ends.
//!
//! INVARIANT: a store that cannot be read leaves running sessions alone (architecture: running sessions go on); the next
//! news or the retry decides.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use model::Time;
use policy::{ConnectTarget, Decider, DenialReason, GrantWatch, Identity, TargetAccount, Withdrawal};
use store::ConnectFacts;

use super::LocalControl;
use crate::bus::{News, Received};

/// Stores asked at once during a pass.
const JUDGES: usize = 8;

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
    /// When the watching task looks again by itself.
    wakes: Option<Time>,
    /// How often everything was judged because something changed.
    passes: u64,
    /// A grant came in that may have been decided on facts from before the last pass.
    overtaken: bool,
}

impl Grants {
    /// To be asked before the facts of a decision are read, and given to [`Self::add`].
    pub(super) fn passes(&self) -> u64 {
        self.passes
    }

    /// Watches over a grant whose facts were read after `passes`; `true` if the watching task has to look earlier than it
    /// would.
    ///
    /// INVARIANT: no change slips between reading the facts and watching. One that was committed in between is judged in a
    /// pass that comes after this call, or has begun one before it; then everything is judged once more.
    pub(super) fn add(&mut self, watch: GrantWatch, who: Identity, target: ConnectTarget, next: Option<Time>, passes: u64) -> bool {
        if self.watched.len() >= self.sweep_at.max(64) {
            self.watched.retain(|w| w.watch.in_use());
            self.sweep_at = self.watched.len() * 2;
        }
        self.watched.push(Watched { watch: Arc::new(watch), who, target, next });
        self.overtaken |= passes != self.passes;
        self.overtaken || next.is_some_and(|at| self.wakes.is_none_or(|wakes| at < wakes))
    }

    /// The next moment at which the same facts may give another answer.
    pub(super) fn next_boundary(facts: &ConnectFacts, now: Time) -> Option<Time> {
        let rules = facts.rules.iter().flat_map(|(r, _)| [r.date_start, r.date_expired]);
        rules.chain(facts.user.date_expired).filter(|t| *t > now).min()
    }

    fn next_wake(&mut self) -> Option<Time> {
        self.wakes = self.watched.iter().filter(|w| w.watch.in_use()).filter_map(|w| w.next).min();
        self.wakes
    }
}

/// Why a live grant must go, `None` if it may stay, by the facts as they are now.
fn judge(who: &Identity, facts: &ConnectFacts, target: &ConnectTarget, now: Time) -> Option<Withdrawal> {
    // The asset and the account as they are now: a changed address, a disabled protocol or account counts.
    let moved = target.asset.address != facts.asset.address || target.asset.port(&target.protocol) != facts.asset.port(&target.protocol);
    let mut target = ConnectTarget { asset: facts.asset.clone(), platform: facts.platform.clone(), ..target.clone() };
    if let TargetAccount::Real(account) = &mut target.account {
        match facts.accounts.iter().find(|a| a.id == account.id) {
            Some(current) => *account = current.clone(),
            None => return Some(Withdrawal::Changed),
        }
    }
    match Decider.connect(who, &facts.facts(), target, now) {
        Ok(_) => moved.then_some(Withdrawal::Changed),
        Err(d) if d.reason == DenialReason::Expired => Some(Withdrawal::Expired),
        Err(_) => Some(Withdrawal::Changed),
    }
}

/// A live grant that is due, apart from the list so that no lock is held while the store is asked.
type Due = (Arc<GrantWatch>, Identity, ConnectTarget);

/// Judges the grants of one person on one asset: the facts are read once for all of them.
async fn judge_together(control: &LocalControl, due: Vec<Due>, now: Time) {
    let Some((_, who, target)) = due.first() else { return };
    let (verdicts, next): (Vec<Option<Withdrawal>>, Option<Time>) = match control.parts.store.mine(who).connect_facts(target.asset.id).await {
        Ok(Some(facts)) => (due.iter().map(|(_, who, target)| judge(who, &facts, target, now)).collect(), Grants::next_boundary(&facts, now)),
        Ok(None) => (due.iter().map(|_| Some(Withdrawal::Changed)).collect(), None),
        Err(e) => {
            tracing::warn!(error = %e, "live grants cannot be judged; trying again in five seconds");
            (due.iter().map(|_| None).collect(), Some(now + chrono::TimeDelta::seconds(5)))
        }
    };
    for ((watch, who, target), verdict) in due.iter().zip(verdicts) {
        if let Some(why) = verdict {
            tracing::info!(user = who.username(), asset = %target.asset.id, ?why, "grant withdrawn");
            watch.withdraw(why);
        }
    }
    let judged: HashSet<*const GrantWatch> = due.iter().map(|(w, ..)| Arc::as_ptr(w)).collect();
    for watched in &mut control.grants.lock().watched {
        if judged.contains(&Arc::as_ptr(&watched.watch)) {
            watched.next = next;
        }
    }
}

/// Judges the grants that are due at `now` (all of them with `everything`).
async fn pass(control: &LocalControl, everything: bool) {
    let now = control.parts.clock.now();
    let mut groups: HashMap<_, Vec<Due>> = HashMap::new();
    {
        let mut grants = control.grants.lock();
        let everything = everything || std::mem::take(&mut grants.overtaken);
        grants.passes += u64::from(everything);
        for w in grants.watched.iter().filter(|w| w.watch.in_use() && (everything || w.next.is_some_and(|t| t <= now))) {
            groups.entry((w.who.user(), w.target.asset.id)).or_default().push((w.watch.clone(), w.who.clone(), w.target.clone()));
        }
    }
    futures_util::stream::iter(groups.into_values()).for_each_concurrent(JUDGES, |due| judge_together(control, due, now)).await;
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
                let next = control.grants.lock().next_wake();
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
