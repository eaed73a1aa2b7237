//! One session channel from its opening to its end: what the client asks for, the menu, the sessions.
//!
//! Steps before the relay are boxed, so that a channel that waits for the next keystroke for hours does not hold the room
//! that they needed.

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use messages::Lang;
use model::{EndReason, LoginFrom, MessagePair, SessionKind};
use russh::{Channel, server};
use session::{AccountAsk, End, Opening, Session, Stream};

use crate::{
    conn::{ChannelPlace, Conn, Prepared, Ready},
    environ::Environ,
    exec,
    inbox::{Event, Inbox},
    leg::TargetConnector,
    menu,
    person::{NO_SESSION, Person},
    relay::{self, Start},
    username::Destination,
};

/// Input that may come before the client said what it wants.
const MAX_EARLY: usize = 64 * 1024;
/// Side channels that are named on one channel.
const MAX_NAMED: usize = 4;

/// What the client wants on the channel.
enum Request {
    Shell,
    Exec(Bytes),
    Subsystem(String),
}

/// Serves a channel until it ends.
pub async fn serve(conn: Arc<Conn>, place: ChannelPlace, channel: Channel<server::Msg>) {
    let (from, out) = channel.split();
    let inbox = Arc::new(Inbox::new(conn.throttle.clone()));
    let Some(handle) = conn.handle.get().cloned() else { return };
    let person =
        Person { inbox: inbox.clone(), out: Arc::new(out), handle, pty: None, environ: Environ::default(), lang: Lang::default(), refused: Vec::new() };
    let pump = async {
        inbox.pump(from).await;
        pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = pump => {}
        () = begin(conn, person) => {}
    }
    drop(place);
}

async fn begin(conn: Arc<Conn>, mut person: Person) {
    let Some(request) = listen(&mut person).await else { return };
    person.lang = person.environ.lang().unwrap_or_default();
    for what in std::mem::take(&mut person.refused) {
        person.say(&refusal(what)).await;
    }
    let Some(login) = conn.login.get() else { return };
    let command = match request {
        Request::Shell => None,
        Request::Exec(line) => {
            if let Some(tool) = exec::file_tool(&line) {
                conn.audit_refused(format!("file transfer ({tool})"));
                return person.refuse(&refusal(tool)).await;
            }
            Some(line)
        }
        Request::Subsystem(name) => {
            let shown = crate::person::visible(&name);
            conn.audit_refused(format!("subsystem {shown}"));
            return person.refuse(&refusal(&shown)).await;
        }
    };
    match &login.destination {
        Destination::Direct { account, asset } => direct(&conn, &person, account.as_deref(), asset, command).await,
        Destination::Menu if command.is_none() && person.pty.is_some() => Box::pin(from_menu(&conn, &mut person)).await,
        Destination::Menu | Destination::Token => person.refuse(&MessagePair::new("access.name_target", "no target in the user name")).await,
    }
}

fn refusal(what: &str) -> MessagePair {
    MessagePair::new("access.channel_refused", "not available").with("what", what)
}

/// Collects what the client says about the channel until it says what to run.
async fn listen(person: &mut Person) -> Option<Request> {
    let mut early: Vec<u8> = Vec::new();
    let mut eof = false;
    let request = loop {
        match person.inbox.next().await? {
            Event::Pty(pty) => person.pty = Some(pty),
            Event::Env(name, value) => {
                person.environ.set(name, value);
            }
            Event::Refused(what) => {
                if person.refused.len() < MAX_NAMED && !person.refused.contains(&what) {
                    person.refused.push(what);
                }
            }
            Event::Resize(size) => {
                if let Some(pty) = &mut person.pty {
                    pty.size = size;
                }
            }
            Event::Data(bytes) if early.len() + bytes.len() <= MAX_EARLY => early.extend_from_slice(&bytes),
            Event::Data(_) => return None,
            Event::Eof => eof = true,
            Event::Signal(_) => {}
            Event::Shell => break Request::Shell,
            Event::Exec(line) => break Request::Exec(line),
            Event::Subsystem(name) => break Request::Subsystem(name),
        }
    };
    if eof {
        person.inbox.end_of_input().await;
    }
    person.inbox.put_back(early.into());
    Some(request)
}

/// A destination that was named in the user name.
async fn direct(conn: &Arc<Conn>, person: &Person, account: Option<&str>, asset: &str, command: Option<Bytes>) {
    let ready = match Box::pin(conn.prepared(account, asset)).await {
        Ok(Prepared::Ready(ready)) => Ok(*ready),
        Ok(Prepared::Choose(target, choices)) => {
            let picked = match person.console() {
                Some(mut console) => {
                    let picked = Box::pin(menu::pick_account(&mut console, &target.asset.name, &choices)).await;
                    person.inbox.put_back(console.take_unread());
                    match picked {
                        Ok(Some(ask)) => ask,
                        Ok(None) | Err(_) => return person.finish(NO_SESSION).await,
                    }
                }
                // The refusal names what can be chosen.
                None => AccountAsk::Only,
            };
            Box::pin(conn.authorize(&target, picked)).await
        }
        Err(message) => Err(message),
    };
    match ready {
        Ok(ready) => match run(conn, person, ready, command, false).await {
            Ok(true) => {}
            Ok(false) => person.finish(NO_SESSION).await,
            Err(message) => person.refuse(&message).await,
        },
        Err(message) => person.refuse(&message).await,
    }
}

/// The menu, and back to it after every session.
async fn from_menu(conn: &Arc<Conn>, person: &mut Person) {
    let Some(login) = conn.login.get() else { return };
    loop {
        let Some(mut console) = person.console() else { return };
        let chosen = Box::pin(menu::run(&mut console, &conn.control, &login.who, conn.client)).await;
        person.lang = console.lang();
        if let Some(pty) = &mut person.pty {
            let (cols, rows) = console.size();
            (pty.size.cols, pty.size.rows) = (cols.into(), rows.into());
        }
        person.inbox.put_back(console.take_unread());
        let choice = match chosen {
            Ok(Some(choice)) => choice,
            Ok(None) => return person.finish(0).await,
            Err(_) => return person.finish(NO_SESSION).await,
        };
        let ended = match Box::pin(conn.authorize(&choice.target, choice.account)).await {
            Ok(ready) => run(conn, person, ready, None, true).await,
            Err(message) => Err(message),
        };
        match ended {
            Ok(true) => return,
            Ok(false) => {}
            Err(message) => person.say(&message).await,
        }
        if person.inbox.is_gone() || conn.control.registry().drain_token().is_cancelled() {
            return person.finish(NO_SESSION).await;
        }
    }
}

/// A command line for the record; the target gets the bytes as they are.
fn readable(line: &Bytes) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// One session on its one path. Whether the channel is closed already.
async fn run(conn: &Arc<Conn>, person: &Person, ready: Ready, command: Option<Bytes>, keep_open: bool) -> Result<bool, MessagePair> {
    let kind = if command.is_some() { SessionKind::Command } else { SessionKind::Normal };
    let opening = Opening { kind, login_from: LoginFrom::Ssh, remote_addr: conn.client.to_string(), connection_id: conn.id.clone() };
    let stream = match (&person.pty, &command) {
        (Some(pty), line) => {
            let (cols, rows) = pty.size.screen();
            let term = pty.term.clone();
            match line {
                Some(line) => Stream::TerminalExec { cols, rows, term, line: readable(line) },
                None => Stream::Terminal { cols, rows, term },
            }
        }
        (None, Some(line)) => Stream::Exec(readable(line)),
        (None, None) => Stream::Exec(String::from("shell")),
    };
    let start = Start { notice: command.is_none() && person.pty.is_some(), command, keep_open };

    let session = Session::open(conn.control.clone(), ready.granted, &opening).await?;
    metrics::counter!("rampart_ssh_sessions_total").increment(1);
    let id = session.id();
    tracing::info!(session = %id, client = %conn.client, connection = %conn.id, "session opened");
    let connector = TargetConnector::new(ready.dialing, person.console());
    let connected = tokio::select! {
        biased;
        connected = Box::pin(session.connect(&connector)) => connected?,
        () = person.inbox.gone() => {
            tracing::info!(session = %id, "the person left while connecting");
            return Ok(true);
        }
    };
    if let Some(rest) = connector.typed_ahead() {
        person.inbox.put_back(rest);
    }
    if person.inbox.is_gone() {
        connected.abandon(End::of(EndReason::Client)).await;
        return Ok(true);
    }
    let recorded = Box::pin(connected.record(stream)).await?;
    let mut closed = false;
    let ended = recorded
        .run(|link, live| async {
            let (end, done) = relay::relay(link, live, person, start).await;
            closed = done;
            end
        })
        .await;
    tracing::info!(session = %id, reason = ended.end.reason.as_str(), exit = ended.exit_code, "session ended");
    Ok(closed)
}
