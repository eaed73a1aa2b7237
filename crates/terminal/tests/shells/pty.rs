//! A real program on a real pseudo-terminal, with a [`Tracker`] between it and the "person" of the test.

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use terminal::{Tracked, Tracker};

pub struct Person {
    pub tracker: Tracker,
    pub events: Vec<Tracked>,
    /// everything the target sent
    pub seen: Vec<u8>,
    master: File,
    slave: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    begin: Instant,
    /// sends what would be typed in one piece
    pub hasty: bool,
    /// the target is far away: keys come faster than their echo
    pub far: Option<std::sync::mpsc::Sender<Vec<u8>>>,
    /// the terminal program was told to mark pastes
    pub brackets: bool,
    next_tick: Duration,
}

impl Person {
    /// Starts `argv` on a terminal with its home in `home`.
    pub fn start(argv: &[&str], env: &[(&str, &str)], home: &Path, cols: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let slave = File::from(slave);
        // setsid(1) makes the pseudo-terminal the controlling one
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .args(argv)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("HOME", home)
            .env("TMUX_TMPDIR", home)
            .current_dir(home)
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave.try_clone().unwrap()));
        for (name, value) in env {
            command.env(name, value);
        }
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let mut reader = master.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut person = Self {
            tracker: Tracker::new(cols, rows),
            events: Vec::new(),
            seen: Vec::new(),
            master,
            slave,
            child,
            output,
            begin: Instant::now(),
            hasty: false,
            far: None,
            brackets: true,
            next_tick: Duration::from_secs(1),
        };
        person.wait_prompt();
        person
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    fn pump(&mut self, quiet: Duration) -> bool {
        let got = self.output.recv_timeout(quiet).ok();
        if let Some(bytes) = &got {
            let now = self.now();
            self.tracker.output(now, bytes);
            self.seen.extend_from_slice(bytes);
        }
        if self.begin.elapsed() > self.next_tick {
            self.next_tick += Duration::from_secs(1);
            let now = self.now();
            self.tracker.tick(now);
        }
        self.events.extend(self.tracker.drain());
        got.is_some()
    }

    /// Waits until nothing came for a while.
    pub fn wait_quiet(&mut self, millis: u64) {
        let end = Instant::now() + Duration::from_secs(20);
        let millis = if self.far.is_some() { millis + 200 } else { millis };
        while self.pump(Duration::from_millis(millis)) && Instant::now() < end {}
    }

    /// Waits until the screen looks like a prompt and is quiet.
    pub fn wait_prompt(&mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            self.wait_quiet(90);
            let text = self.tracker.screen_text();
            if self.tracker.at_prompt() && !text.trim().is_empty() {
                return;
            }
        }
    }

    /// Waits until the screen shows a text.
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            self.wait_quiet(60);
            if self.tracker.screen_text().contains(text) {
                return;
            }
        }
        panic!("{text:?} did not appear:\n{}", self.tracker.screen_text());
    }

    /// Puts the target far away: input takes this long to reach it.
    pub fn move_away(&mut self, millis: u64) {
        let (sender, receiver) = channel::<Vec<u8>>();
        let mut master = self.master.try_clone().unwrap();
        let (late, due) = channel::<(Instant, Vec<u8>)>();
        std::thread::spawn(move || {
            for bytes in receiver {
                let _ = late.send((Instant::now() + Duration::from_millis(millis), bytes));
            }
        });
        std::thread::spawn(move || {
            for (at, bytes) in due {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if master.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        self.far = Some(sender);
    }

    /// Sends bytes at once.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let now = self.now();
        self.tracker.input(now, bytes.as_ref());
        match &self.far {
            Some(far) => far.send(bytes.as_ref().to_vec()).unwrap(),
            None => self.master.write_all(bytes.as_ref()).unwrap(),
        }
    }

    /// Types key after key, each shown before the next. Escape sequences count as one key.
    pub fn keys(&mut self, text: &str) {
        if self.hasty {
            self.send(text);
            return self.wait_quiet(30);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let mut chars = rest.chars();
            let first = chars.next().unwrap();
            let mut len = first.len_utf8();
            if first == '\x1b' {
                let body = &rest[1..];
                len += match body.as_bytes().first() {
                    Some(b'[' | b'O') => 2 + body[1..].bytes().position(|b| b.is_ascii_alphabetic() || b == b'~').unwrap_or(0),
                    _ => 0,
                };
            }
            let (key, later) = rest.split_at(len);
            self.send(key);
            match &self.far {
                Some(_) => self.rest(20),
                None => self.wait_quiet(8),
            }
            rest = later;
        }
    }

    /// Types a line, presses Return and waits for the next prompt.
    pub fn run(&mut self, line: &str) {
        self.keys(line);
        self.enter();
    }

    pub fn enter(&mut self) {
        self.wait_quiet(40);
        self.send("\r");
        self.wait_prompt();
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.tracker.resize(cols, rows);
        tcsetwinsize(&self.slave, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        self.wait_quiet(120);
    }

    /// Lets time pass.
    pub fn rest(&mut self, millis: u64) {
        let end = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < end {
            self.pump(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
        }
    }

    /// Ends the session and gives the commands: text, output.
    pub fn finish(&mut self) -> Vec<(String, String)> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.wait_quiet(50);
        let now = self.now();
        self.tracker.finish(now);
        self.events.extend(self.tracker.drain());
        let mut started = Vec::new();
        let mut commands = Vec::new();
        for event in &self.events {
            match event {
                Tracked::CommandStarted { text, .. } => started.push(text.clone()),
                Tracked::Command { text, output, .. } => commands.push((text.clone(), output.clone())),
                Tracked::Input { .. } => {}
            }
        }
        assert_eq!(started, commands.iter().map(|c| c.0.clone()).collect::<Vec<_>>(), "every command that ends had begun");
        commands
    }

    /// Ends the session and gives the texts only.
    pub fn commands(&mut self) -> Vec<String> {
        self.finish().into_iter().map(|c| c.0).collect()
    }

    /// The recorded input.
    pub fn input(&self) -> String {
        let mut all = Vec::new();
        for event in &self.events {
            if let Tracked::Input { bytes, .. } = event {
                all.extend_from_slice(bytes);
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares line by line with a readable failure.
#[track_caller]
pub fn same(found: &[String], wanted: &[&str]) {
    for n in 0..found.len().max(wanted.len()) {
        let (f, w) = (found.get(n).map(String::as_str), wanted.get(n).copied());
        assert_eq!(f, w, "command {n}; all: {found:#?}");
    }
}
