//! Where connections run: a few threads, each with a reactor of its own.
//!
//! A connection, the target behind it and everything between them stay on one thread. A keystroke then crosses no other
//! thread on its way, and the kernel lets a thread that mostly sleeps run at once when something arrives for it, however
//! much another thread has to copy. On threads that share their work, the keystroke waits behind the copying.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// More threads than cores: a long copy on one of them shall not keep others waiting.
const PER_CORE: usize = 4;
const FEWEST: usize = 8;
const MOST: usize = 64;
/// Sockets are asked for news after so many steps of other work.
const EVENT_INTERVAL: u32 = 8;
/// How often a lane's occupation is measured, at most.
const SAMPLE: Duration = Duration::from_millis(250);
/// A lane that is always busy counts like one with so many more quiet connections.
const BUSY_WEIGHT: f64 = 64.0;

/// What a lane does with a connection.
type Job = Box<dyn FnOnce(TcpStream) + Send>;

struct Lane {
    jobs: mpsc::UnboundedSender<(std::net::TcpStream, Job)>,
    handle: Handle,
    connections: Arc<AtomicUsize>,
    sample: Mutex<Sample>,
}

struct Sample {
    at: Instant,
    busy: Duration,
    share: f64,
}

impl Lane {
    fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
        let handle = runtime.handle().clone();
        // Bounded by the admission of the gateway and the process's file descriptors: every job holds a socket.
        let (jobs, mut todo) = mpsc::unbounded_channel::<(std::net::TcpStream, Job)>();
        thread::Builder::new().name(format!("ssh-{number}")).spawn(move || {
            runtime.block_on(async {
                loop {
                    let next = tokio::select! {
                        () = end.cancelled() => return,
                        next = todo.recv() => next,
                    };
                    let Some((tcp, job)) = next else { return };
                    match TcpStream::from_std(tcp) {
                        Ok(tcp) => job(tcp),
                        Err(e) => tracing::warn!(error = %e, "cannot take over a connection"),
                    }
                }
            });
        })?;
        let sample = Mutex::new(Sample { at: Instant::now(), busy: Duration::ZERO, share: 0.0 });
        Ok(Self { jobs, handle, connections: Arc::default(), sample })
    }

    /// The part of the recent past in which this lane worked, 0 to 1.
    fn busy_share(&self) -> f64 {
        let mut sample = self.sample.lock();
        let elapsed = sample.at.elapsed();
        if elapsed >= SAMPLE {
            let busy = self.handle.metrics().worker_total_busy_duration(0);
            sample.share = (busy.saturating_sub(sample.busy).as_secs_f64() / elapsed.as_secs_f64()).min(1.0);
            sample.busy = busy;
            sample.at = Instant::now();
        }
        sample.share
    }

    #[allow(clippy::cast_precision_loss, reason = "a count of connections")]
    fn load(&self) -> f64 {
        self.connections.load(Ordering::Relaxed) as f64 + self.busy_share() * BUSY_WEIGHT
    }
}

/// Counts a connection of a lane while it lives.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module.
pub struct Lanes(Vec<Lane>);

impl Lanes {
    /// Starts the threads; they end with `end`.
    pub fn start(end: &CancellationToken) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = cores.saturating_mul(PER_CORE).clamp(FEWEST, MOST);
        (0..count).map(|n| Lane::start(n, end.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// Runs `serve` with the connection on the lane that has the least to do.
    pub fn assign(&self, tcp: TcpStream, serve: impl FnOnce(TcpStream, Place) + Send + 'static) -> io::Result<()> {
        let Some(lane) = self.0.iter().min_by(|a, b| a.load().total_cmp(&b.load())) else { return Ok(()) };
        lane.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place(lane.connections.clone());
        let job: Job = Box::new(move |tcp| serve(tcp, place));
        lane.jobs.send((tcp.into_std()?, job)).map_err(|_| io::Error::other("the gateway has ended"))
    }
}
