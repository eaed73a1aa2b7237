//! The TCP stream under an SSH connection.
//!
//! The SSH library reads every packet in two small pieces; this stream serves them from one read of the kernel. The
//! buffer is lent by the thread while bytes are in it, so an idle connection holds none. A [`Killer`] ends the stream from outside,
//! also when the library is stuck in a write.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{buffer::spare_capacity, net::RecvFlags};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

use crate::backlog::Throttle;

/// One read of the kernel: two full packets.
const CHUNK: usize = 64 * 1024;
/// Reads at least this large go straight to the reader.
const DIRECT: usize = 16 * 1024;
/// Whoever moves this much at once is copying, not typing.
const BULK: usize = 8 * 1024;
/// A slow connection is read this often.
const PACE: Duration = Duration::from_millis(10);
/// Longest identification line (RFC 4253 §4.2).
const MAX_IDENT: usize = 255;
/// How long sent bytes may stay unacknowledged before the kernel gives the peer up.
const UNACKED: Duration = Duration::from_secs(100);

thread_local! {
    /// Buffers that no socket of this thread needs now.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
/// Spare buffers a thread keeps.
const SPARES: usize = 4;

fn borrow() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(CHUNK))
}

fn give_back(buffer: &mut Vec<u8>) {
    let mut buffer = std::mem::take(buffer);
    if buffer.capacity() > 0 {
        // INVARIANT: nobody sees another connection's bytes: what is lent is empty, and only what the kernel fills is read.
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARES {
                spare.push(buffer);
            }
        });
    }
}

/// Ends a socket from outside, and knows how much was heard on it.
#[derive(Debug, Clone)]
pub struct Killer {
    tcp: Weak<TcpStream>,
    heard: Arc<AtomicUsize>,
}

impl Killer {
    /// Both directions end at once; whoever reads or writes wakes up.
    pub fn kill(&self) {
        if let Some(tcp) = self.tcp.upgrade() {
            let _ = rustix::net::shutdown(&*tcp, rustix::net::Shutdown::Both);
        }
    }

    /// Bytes that the peer has sent so far, as far as they were read.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

/// What the peer calls its program, known once its first line arrived.
pub type Ident = Arc<OnceLock<String>>;

/// See the module.
#[derive(Debug)]
pub struct Socket {
    tcp: Arc<TcpStream>,
    heard: Arc<AtomicUsize>,
    buffer: Vec<u8>,
    taken: usize,
    ident: Option<(Vec<u8>, Ident)>,
    throttle: Arc<Throttle>,
    /// Until when nothing is read.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Takes over a connected stream and sets its options.
    pub fn new(tcp: TcpStream, throttle: Arc<Throttle>) -> (Self, Killer, Ident) {
        let _ = tcp.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&tcp, true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&tcp, u32::try_from(UNACKED.as_millis()).unwrap_or(u32::MAX));
        let tcp = Arc::new(tcp);
        let heard = Arc::new(AtomicUsize::new(0));
        let killer = Killer { tcp: Arc::downgrade(&tcp), heard: heard.clone() };
        let ident = Ident::default();
        (Self { tcp, heard, buffer: Vec::new(), taken: 0, ident: Some((Vec::new(), ident.clone())), throttle, pause: None }, killer, ident)
    }

    /// Waits out the pause; a slow connection begins the next one with every read.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.throttle.is_slow() {
            self.pause = None;
            return Poll::Ready(());
        }
        if let Some(pause) = &mut self.pause {
            self.throttle.wake_when_room(cx.waker());
            // Room may have come before the waker was there.
            if self.throttle.is_slow() {
                ready!(pause.as_mut().poll(cx));
            }
        }
        self.pause = Some(Box::pin(tokio::time::sleep(PACE)));
        Poll::Ready(())
    }

    fn note_ident(&mut self, bytes: &[u8]) {
        let Some((line, ident)) = &mut self.ident else { return };
        for b in bytes {
            if *b == b'\n' || line.len() >= MAX_IDENT {
                let text: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(MAX_IDENT).collect();
                let _ = ident.set(text);
                self.ident = None;
                return;
            }
            line.push(*b);
        }
    }

    fn serve_buffered(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let left = self.buffer.get(self.taken..).unwrap_or_default();
        if left.is_empty() {
            return false;
        }
        let n = left.len().min(out.remaining());
        out.put_slice(left.get(..n).unwrap_or_default());
        self.taken += n;
        if self.taken >= self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        }
        true
    }
}

/// One read of the kernel. When it gives less than was asked for there is no more, and the next wait needs no further try.
fn receive(tcp: &TcpStream, asked: usize, mut recv: impl FnMut(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
    let mut got = None;
    // INVARIANT: the readiness is only cleared as it was before the read; bytes that arrive after it set it anew.
    let tried = tcp.try_io(Interest::READABLE, || {
        let n = recv(tcp)?;
        got = Some(n);
        if n > 0 && n < asked { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match got {
        Some(n) => Ok(n),
        None => tried.map(|()| 0),
    }
}

/// Lets another thread that is ready run before the next portion: a keystroke waits for one portion of somebody else's
/// copy instead of a time slice, and the peers of the copy get their turn sooner too. Costs next to nothing if none is.
fn step_back(moved: &io::Result<usize>) {
    if moved.as_ref().is_ok_and(|n| *n >= BULK) {
        std::thread::yield_now();
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 || this.serve_buffered(out) {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_pace(cx));
        loop {
            match this.tcp.poll_read_ready(cx) {
                Poll::Ready(r) => r?,
                Poll::Pending => {
                    give_back(&mut this.buffer);
                    return Poll::Pending;
                }
            }
            let direct = out.remaining() >= DIRECT && this.ident.is_none();
            let read = if direct {
                let asked = out.remaining();
                receive(&this.tcp, asked, |fd| Ok(rustix::net::recv(fd, &mut *out.initialize_unfilled(), RecvFlags::empty())?.0))
            } else {
                if this.buffer.capacity() == 0 {
                    this.buffer = borrow();
                }
                let buffer = &mut this.buffer;
                receive(&this.tcp, CHUNK, |fd| Ok(rustix::net::recv(fd, spare_capacity(buffer), RecvFlags::empty())?.0))
            };
            step_back(&read);
            if let Ok(n) = read {
                this.heard.fetch_add(n, Ordering::Relaxed);
            }
            match read {
                Ok(n) if direct => {
                    out.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Ok(_) => {
                    if this.ident.is_some() {
                        let head: Vec<u8> = this.buffer.iter().take(MAX_IDENT).copied().collect();
                        this.note_ident(&head);
                    }
                    this.serve_buffered(out);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Try first: a socket is writable far more often than not.
            match self.tcp.try_write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(cx))?,
                other => {
                    step_back(&other);
                    return Poll::Ready(other);
                }
            }
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = rustix::net::shutdown(&*self.tcp, rustix::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn small_and_large_reads_give_the_same_bytes_and_the_ident_is_seen() {
        let (mut far, near) = pair().await;
        let (mut socket, _, ident) = Socket::new(near, Arc::default());
        let mut sent = b"SSH-2.0-test_1 hello\r\n".to_vec();
        sent.extend((0..300_000u32).map(|i| (i % 251) as u8));
        let copy = sent.clone();
        let writer = tokio::spawn(async move {
            far.write_all(&copy).await.unwrap();
            far
        });

        let mut got = Vec::new();
        for size in [1usize, 4, 30_000, 5, 65_536, 7].iter().cycle() {
            let mut part = vec![0; (*size).min(sent.len() - got.len())];
            socket.read_exact(&mut part).await.unwrap();
            got.extend(part);
            if got.len() == sent.len() {
                break;
            }
        }

        assert_eq!(got, sent);
        assert_eq!(ident.get().unwrap(), "SSH-2.0-test_1 hello");
        drop(writer.await.unwrap());
    }

    #[tokio::test]
    async fn a_killed_socket_wakes_a_stuck_writer() {
        let (_far, near) = pair().await;
        let (mut socket, killer, _) = Socket::new(near, Arc::default());
        let stuck = tokio::spawn(async move {
            let block = vec![0; 1 << 20];
            while socket.write_all(&block).await.is_ok() {}
        });
        tokio::time::sleep(Duration::from_millis(50)).await;

        killer.kill();

        tokio::time::timeout(Duration::from_secs(2), stuck).await.unwrap().unwrap();
    }
}
