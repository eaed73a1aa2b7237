//! Connecting and the key exchange. It can begin before the session exists, because nothing of the person, the account or
//! its secret is in it: the host key question waits until somebody with the grant answers it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use model::Fault;
use parking_lot::Mutex;
use policy::{Connect, ConnectTarget, Granted};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, client,
    keys::{HashAlg, PublicKey, PublicKeyOrCertificate},
};
use session::{ConnectError, ControlPlane, HostKeyVerdict, SeenHostKey};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{client_config, failed};
use crate::{
    backlog::Throttle,
    socket::{Killer, Socket},
};

/// Time for name lookup and TCP, and again for the key exchange.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for one of several addresses.
const ONE_ADDRESS: Duration = Duration::from_secs(4);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;
/// A begun connection older than this is not used: the target will soon tire of it.
const FRESH: Duration = Duration::from_secs(15);

struct Question {
    seen: SeenHostKey,
    answer: oneshot::Sender<bool>,
}

/// What the library tells about a target connection.
pub struct Events {
    address: String,
    ask: mpsc::Sender<Question>,
    accepted: Option<PublicKey>,
    throttle: Arc<Throttle>,
}

impl client::Handler for Events {
    type Error = russh::Error;

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.throttle.window()
    }

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = key.public_key();
        // INVARIANT: a later key exchange cannot bring another host.
        if let Some(accepted) = &self.accepted {
            return Ok(accepted.key_data() == key.key_data());
        }
        let mut bare = key.clone();
        bare.set_comment("");
        let seen = SeenHostKey {
            address: self.address.clone(),
            algorithm: key.algorithm().as_str().to_owned(),
            public_key: bare.to_openssh().map_err(|_| russh::Error::UnknownKey)?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        };
        let (answer, answered) = oneshot::channel();
        if self.ask.send(Question { seen, answer }).await.is_err() {
            return Ok(false);
        }
        let yes = answered.await.unwrap_or(false);
        if yes {
            self.accepted = Some(key);
        }
        Ok(yes)
    }
}

/// An encrypted connection to a target whose host key was accepted.
pub struct Transport {
    /// The library's handle.
    pub handle: client::Handle<Events>,
    /// Holds the target back while too much of it waits.
    pub throttle: Arc<Throttle>,
    killer: Killer,
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

impl Transport {
    /// Opens a session channel.
    pub async fn open_channel(&self, on: &ConnectTarget) -> Result<Channel<client::Msg>, ConnectError> {
        match tokio::time::timeout(PATIENCE, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let words = match reason {
                    ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited",
                    ChannelOpenFailure::ConnectFailed => "connect failed",
                    ChannelOpenFailure::ResourceShortage => "resource shortage",
                    _ => "refused",
                };
                let mut e = failed("target.refused_channel", on, words);
                e.message = e.message.with("reason", words);
                Err(e)
            }
            Ok(Err(e)) => Err(failed("target.closed", on, e.to_string())),
            Err(_) => Err(timed_out(on, "opening the channel")),
        }
    }
}

/// A connection on its way.
pub struct Dialing {
    began: Instant,
    questions: mpsc::Receiver<Question>,
    task: JoinHandle<Result<Transport, Failure>>,
}

impl Drop for Dialing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Failure {
    Unreachable(String),
    Timeout(&'static str),
    Protocol(russh::Error),
}

impl Dialing {
    /// Begins to connect.
    pub fn start(on: &ConnectTarget) -> Result<Self, ConnectError> {
        let port = on.asset.protocols.iter().find(|p| p.name == on.protocol).map(|p| p.port);
        let Some(port) = port else {
            return Err(ConnectError {
                message: failed("access.protocol", on, "no such protocol").message.with("protocol", on.protocol.clone()),
                fault: Fault::Rampart,
            });
        };
        let host = on.asset.address.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (ask, questions) = mpsc::channel(1);
        let task = tokio::spawn(connect(host, port, ask));
        Ok(Self { began: Instant::now(), questions, task })
    }

    /// Whether it is young enough to be used.
    pub fn is_fresh(&self) -> bool {
        self.began.elapsed() < FRESH
    }

    /// Answers the host key question and waits for the key exchange to end.
    pub async fn finish(mut self, control: &dyn ControlPlane, granted: &Granted<Connect>) -> Result<Transport, ConnectError> {
        let on = granted.on();
        loop {
            tokio::select! {
                done = &mut self.task => {
                    return match done {
                        Ok(Ok(transport)) => Ok(transport),
                        Ok(Err(failure)) => Err(explain(on, failure)),
                        Err(e) => Err(ConnectError { message: failed("target.closed", on, e.to_string()).message, fault: Fault::Rampart }),
                    };
                }
                Some(Question { seen, answer }) = self.questions.recv() => {
                    match control.check_host_key(granted, &seen).await {
                        Ok(HostKeyVerdict::Known | HostKeyVerdict::Recorded) => {
                            let _ = answer.send(true);
                        }
                        Ok(HostKeyVerdict::Changed) => {
                            let _ = answer.send(false);
                            let mut e = failed("target.host_key_changed", on, format!("{} {}", seen.address, seen.fingerprint));
                            e.message = e.message.with("fingerprint", seen.fingerprint);
                            return Err(e);
                        }
                        Err(message) => {
                            let _ = answer.send(false);
                            return Err(ConnectError { message, fault: Fault::Rampart });
                        }
                    }
                }
            }
        }
    }
}

fn timed_out(on: &ConnectTarget, what: &str) -> ConnectError {
    let mut e = failed("target.timeout", on, what);
    e.message = e.message.with("seconds", PATIENCE.as_secs().to_string());
    e
}

fn explain(on: &ConnectTarget, failure: Failure) -> ConnectError {
    match failure {
        Failure::Unreachable(why) => failed("target.unreachable", on, why),
        Failure::Timeout(what) => timed_out(on, what),
        Failure::Protocol(e @ (russh::Error::NoCommonAlgo { .. } | russh::Error::UnknownAlgo)) => failed("target.algorithms", on, e.to_string()),
        Failure::Protocol(e) => failed("target.closed", on, e.to_string()),
    }
}

async fn connect(host: String, port: u16, ask: mpsc::Sender<Question>) -> Result<Transport, Failure> {
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let tcp = match tokio::time::timeout(PATIENCE, reach(&host, port)).await {
        Ok(r) => r?,
        Err(_) => return Err(Failure::Timeout("connecting")),
    };
    let throttle = Arc::new(Throttle::default());
    let (socket, killer, _) = Socket::new(tcp, throttle.clone());
    let asked = Arc::new(Mutex::new(None::<Instant>));
    let events = Events { address, ask: relay_questions(ask, asked.clone()), accepted: None, throttle: throttle.clone() };
    let handshake = client::connect_stream(client_config(), socket, events);
    tokio::pin!(handshake);
    // Waiting for the answer to the host key question does not count as the target's slowness.
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    tokio::select! {
        done = &mut handshake => return done.map(|handle| Transport { handle, throttle: throttle.clone(), killer: killer.clone() }).map_err(Failure::Protocol),
        () = &mut deadline => {}
    }
    if asked.lock().is_none() {
        killer.kill();
        return Err(Failure::Timeout("key exchange"));
    }
    match tokio::time::timeout(FRESH + PATIENCE, handshake).await {
        Ok(done) => done.map(|handle| Transport { handle, throttle, killer }).map_err(Failure::Protocol),
        Err(_) => {
            killer.kill();
            Err(Failure::Timeout("key exchange"))
        }
    }
}

/// Notes that the question was asked, on its way to whoever answers.
fn relay_questions(to: mpsc::Sender<Question>, asked: Arc<Mutex<Option<Instant>>>) -> mpsc::Sender<Question> {
    let (tx, mut rx) = mpsc::channel::<Question>(1);
    tokio::spawn(async move {
        while let Some(q) = rx.recv().await {
            *asked.lock() = Some(Instant::now());
            if to.send(q).await.is_err() {
                return;
            }
        }
    });
    tx
}

async fn reach(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|e| Failure::Unreachable(format!("lookup: {e}")))?.take(MAX_ADDRESSES).collect();
    let mut last = String::from("the name has no address");
    let several = addresses.len() > 1;
    for address in addresses {
        let attempt = TcpStream::connect(address);
        let result = if several { tokio::time::timeout(ONE_ADDRESS, attempt).await } else { Ok(attempt.await) };
        match result {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(e)) => last = format!("{address}: {e}"),
            Err(_) => last = format!("{address}: no answer"),
        }
    }
    Err(Failure::Unreachable(last))
}
