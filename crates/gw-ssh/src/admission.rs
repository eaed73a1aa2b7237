//! Room for connections that have not logged in yet, so that any number of them costs bounded memory and never keeps
//! somebody else out.
//!
//! A newcomer always gets in. When there are too many waiting (in total or from one address), one of those that got least
//! far is dropped: who said nothing, or no more than a greeting, goes before who exchanges keys, and that one before who
//! authenticates. Among equals it is the oldest of the address that has most of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::socket::Killer;

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In total.
    pub total: usize,
    /// From one address.
    pub per_address: usize,
}

struct Waiting {
    address: IpAddr,
    killer: Killer,
    begun: bool,
}

/// More than the identification line: a client that exchanges keys has sent its list of algorithms.
const GREETING: usize = 300;

/// How far a connection got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Silent,
    Greeted,
    Exchanging,
    Authenticating,
}

impl Waiting {
    fn progress(&self) -> Progress {
        match self.killer.heard() {
            _ if self.begun => Progress::Authenticating,
            0 => Progress::Silent,
            1..GREETING => Progress::Greeted,
            _ => Progress::Exchanging,
        }
    }
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    room: Room,
    state: Arc<Mutex<State>>,
}

/// A place among the waiting; dropping it (after login or at the end) gives it back.
pub struct Place {
    number: u64,
    state: Arc<Mutex<State>>,
}

impl Admission {
    /// With so much room.
    pub fn new(room: Room) -> Self {
        Self { room, state: Arc::default() }
    }

    /// Takes a place, dropping somebody else's connection if there is no room.
    pub fn enter(&self, address: IpAddr, killer: Killer) -> Place {
        let mut state = self.state.lock();
        let same = state.waiting.values().filter(|w| w.address == address).count();
        if same >= self.room.per_address {
            state.drop_one(Some(address));
        } else if state.waiting.len() >= self.room.total {
            state.drop_one(None);
        }
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, Waiting { address, killer, begun: false });
        metrics::gauge!("rampart_ssh_unauthenticated").set(state.waiting.len() as f64);
        Place { number, state: self.state.clone() }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

impl State {
    fn drop_one(&mut self, of: Option<IpAddr>) {
        let mine = || self.waiting.iter().filter(|(_, w)| of.is_none_or(|a| a == w.address));
        let Some(least) = mine().map(|(_, w)| w.progress()).min() else { return };
        let mut crowd: HashMap<IpAddr, (usize, Reverse<u64>)> = HashMap::new();
        for (number, w) in mine().filter(|(_, w)| w.progress() <= least) {
            crowd.entry(w.address).or_insert((0, Reverse(*number))).0 += 1;
        }
        if let Some(w) = crowd.into_values().max().and_then(|(_, Reverse(n))| self.waiting.remove(&n)) {
            metrics::counter!("rampart_ssh_dropped_total").increment(1);
            w.killer.kill();
        }
    }
}

impl Place {
    /// The client finished the key exchange and began to authenticate.
    pub fn begun(&self) {
        if let Some(w) = self.state.lock().waiting.get_mut(&self.number) {
            w.begun = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.waiting.remove(&self.number);
        metrics::gauge!("rampart_ssh_unauthenticated").set(state.waiting.len() as f64);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::socket::Socket;

    async fn socket(listener: &TcpListener) -> (TcpStream, Socket, Killer) {
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, killer, _) = Socket::new(listener.accept().await.unwrap().0, Arc::default());
        (near, socket, killer)
    }

    #[tokio::test]
    async fn the_oldest_idle_one_makes_room_and_others_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admission = Admission::new(Room { total: 2, per_address: 2 });
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let (mut first_client, _s1, k1) = socket(&listener).await;
        let (mut second_client, _s2, k2) = socket(&listener).await;
        let (_third_client, _s3, k3) = socket(&listener).await;
        let first = admission.enter(a, k1);
        first.begun();
        let _second = admission.enter("192.0.2.2".parse().unwrap(), k2);

        let _third = admission.enter("192.0.2.3".parse().unwrap(), k3);

        assert_eq!(admission.len(), 2);
        let mut byte = [0];
        assert_eq!(second_client.read(&mut byte).await.unwrap(), 0, "the idle one is dropped");
        let still = tokio::time::timeout(std::time::Duration::from_millis(50), first_client.read(&mut byte)).await;
        assert!(still.is_err(), "the one that began stays");
    }

    #[tokio::test]
    async fn one_address_pushes_out_only_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admission = Admission::new(Room { total: 100, per_address: 3 });
        let good: IpAddr = "192.0.2.9".parse().unwrap();
        let (_c, _s, k) = socket(&listener).await;
        let _good = admission.enter(good, k);
        let mut held = Vec::new();
        for _ in 0..20 {
            let (c, s, k) = socket(&listener).await;
            held.push((c, s, admission.enter("192.0.2.66".parse().unwrap(), k)));
        }

        assert_eq!(admission.len(), 4);
        assert!(admission.state.lock().waiting.values().any(|w| w.address == good));
    }
}
