//! A real PostgreSQL of its own: a fresh cluster in a temporary directory, on a free port of the loopback, gone when
//! the value is dropped — and also when the test process is killed.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

const USER: &str = "rampart";
const PASSWORD: &str = "only-for-tests";
/// Waits for the end of its input, which comes when the test ends in whatever way, and then stops the server.
const KEEPER: &str = r#""$@" & pid=$!; read -r _; kill -INT $pid; wait $pid"#;

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one. Takes one to three seconds.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or it does not start; the message says what to do.
    pub fn start() -> Result<Self> {
        let bin = programs()?;
        let dir = tempfile::Builder::new().prefix("rampart-pg-").tempdir()?;
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        if is_root(dir.path())? {
            run(Command::new("chown").arg("-R").arg("postgres:").arg(dir.path()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut pg = Self { bin, dir, port, server: None, databases: AtomicU32::new(0) };
        let mut init = pg.as_owner(&pg.bin.join("initdb"))?;
        init.arg("-D").arg(pg.data()).args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        init.arg(format!("--pwfile={}", password.display()));
        run(&mut init)?;
        pg.resume()?;
        Ok(pg)
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn database(&self) -> Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut create = Command::new(self.bin.join("createdb"));
        create.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, &name]).env("PGPASSWORD", PASSWORD);
        run(&mut create)?;
        Ok(format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port))
    }

    /// Stops the server; what it stored stays. For tests of outages.
    pub fn halt(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }

    /// Starts the server (again), on the same port.
    ///
    /// # Errors
    /// It does not start within 30 seconds; the message holds the end of its log.
    pub fn resume(&mut self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut keeper = self.as_owner(Path::new("/bin/sh"))?;
        keeper.args(["-c", KEEPER, "keeper"]).arg(self.bin.join("postgres")).arg("-D").arg(self.data());
        keeper.args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "max_connections=50"]);
        self.server = Some(keeper.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn().context("cannot start PostgreSQL")?);
        let deadline = Instant::now() + Duration::from_secs(30);
        let ready = |bin: &Path, port: u16| {
            Command::new(bin.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|s| s.success())
        };
        while !ready(&self.bin, self.port) {
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                bail!("PostgreSQL did not start: {log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
    /// PostgreSQL refuses to run as root.
    fn as_owner(&self, program: &Path) -> Result<Command> {
        let mut command = if is_root(self.dir.path())? {
            let mut c = Command::new("setpriv");
            c.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
            c
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Where Debian and others put the server's programs; the newest version.
#[allow(clippy::disallowed_methods, reason = "test tools are found by PATH; there is no configuration here")]
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or_default();
        found.push((version, entry.path().join("bin")));
    }
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = found.into_iter().rev().map(|(_, p)| p).chain(std::env::split_paths(&path));
    let bin = candidates.into_iter().find(|p| p.join("initdb").exists() && p.join("postgres").exists());
    bin.context("PostgreSQL is not installed, and this test needs a real one: `make setup` or `apt-get install postgresql`")
}

/// Whether files that we make belong to root.
fn is_root(dir: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let probe = tempfile::NamedTempFile::new_in(dir)?;
    Ok(probe.as_file().metadata()?.uid() == 0)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
