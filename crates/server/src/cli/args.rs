//! The command line as written: every subcommand, option and example. What they do is in the sibling modules.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{Pin, Span};

/// Rampart: reach servers through one door that knows who you are, what you may do, and keeps the record.
#[derive(Debug, Parser)]
#[command(name = "rampart", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  rampart serve --data ./data\n  rampart apply -f state.yaml --data ./data\n  rampart audit verify --data ./data\n\nExit codes: 0 fine, 1 the answer is no or it failed, 2 wrong usage, 3 server not reached, 4 not allowed."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node.
    #[command(after_help = "Example:\n  RAMPART_ADMIN_PASSWORD=… rampart serve --data /var/lib/rampart")]
    Serve(ServeArgs),
    /// Bring users, groups, assets, accounts and permissions to the state that files declare.
    #[command(after_help = "Example:\n  rampart apply -f state.yaml --dry-run --data ./data\n  rampart apply -f people.yaml -f servers.yaml --prune")]
    Apply(ApplyArgs),
    /// Print the current state in the form that `apply` reads.
    #[command(after_help = "Example:\n  rampart export --org Default > state.yaml")]
    Export(ExportArgs),
    /// List sessions, assets, accounts, users or commands.
    #[command(
        after_help = "Example:\n  rampart ls sessions --active\n  rampart ls commands --session 0198… -o json\n  rampart ls users --where is_active=false"
    )]
    Ls(LsArgs),
    /// Play a recorded session.
    #[command(
        after_help = "Example:\n  rampart play 0198c2b4 --from 1m30s --speed 2\n  rampart play 0198c2b4 --cast > session.cast\n\nKeys: space pause, . step, ←/→ 5 s, ↑/↓ or +/- speed, / search, n next hit, g go to a time, i skip idle time, q quit."
    )]
    Play(PlayArgs),
    /// Log in to a server and keep the login for the other commands.
    #[command(after_help = "Example:\n  rampart login https://rampart.example.org --user alice")]
    Login(LoginArgs),
    /// Forget the login of a server.
    #[command(after_help = "Example:\n  rampart logout https://rampart.example.org")]
    Logout(LogoutArgs),
    /// Open a shell or run a command on an asset with your own ssh program.
    #[command(after_help = "Example:\n  rampart ssh root@web1\n  rampart ssh root@web1 uptime")]
    Ssh(NativeArgs),
    /// Transfer files with your own sftp program.
    #[command(after_help = "Example:\n  rampart sftp app@web1")]
    Sftp(NativeArgs),
    /// Copy files with your own scp program.
    #[command(after_help = "Example:\n  rampart scp -r ./site app@web1:/srv/www")]
    Scp(ScpArgs),
    /// Check and export the evidence.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look after a node (root or the owner of its data directory).
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Print the completion script of a shell.
    #[command(after_help = "Example:\n  rampart completion bash > /etc/bash_completion.d/rampart")]
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    #[command(after_help = "Example:\n  rampart version -o json")]
    Version {
        /// Form.
        #[arg(short, long, default_value = "table")]
        output: Output,
    },
}

/// `rampart serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML); every key may also come from RAMPART_<SECTION>_<KEY>.
    #[arg(long, value_name = "FILE", env = "RAMPART_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory: database, keys, recordings [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Which server a command speaks to, and how it is trusted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where")]
pub struct Target {
    /// Server to ask, with the login kept by `rampart login` [env: RAMPART_SERVER].
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub server: Option<String>,
    /// Accept certificates of this authority too (PEM).
    #[arg(long, value_name = "FILE", env = "RAMPART_CA")]
    pub ca: Option<PathBuf>,
    /// Accept exactly the certificate with this SHA-256 fingerprint (hex).
    #[arg(long, value_name = "SHA256", env = "RAMPART_PIN")]
    pub pin: Option<Pin>,
    /// Data directory: as the local administrator, through the running node or directly [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Target {
    /// The server that is meant: the option, or the environment unless a data directory is named.
    pub fn server(&self) -> Option<String> {
        self.server.clone().or_else(|| if self.data.is_none() { super::env("RAMPART_SERVER") } else { None })
    }
}

/// The form of printed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// The form of exported state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateForm {
    /// Many YAML documents.
    Yaml,
    /// A JSON list of documents.
    Json,
}

/// `rampart apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Files that declare state (YAML or JSON); `-` is standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true, num_args = 1..)]
    pub file: Vec<PathBuf>,
    /// Only print what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what earlier runs made from these files and they no longer declare.
    #[arg(long)]
    pub prune: bool,
    /// Form of the plan.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `rampart export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Only this organization, by name or id.
    #[arg(long)]
    pub org: Option<String>,
    /// Form.
    #[arg(short, long, default_value = "yaml")]
    pub output: StateForm,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// What `rampart ls` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Sessions, newest first.
    Sessions,
    /// Assets.
    Assets,
    /// Accounts on assets.
    Accounts,
    /// Users.
    Users,
    /// Commands typed in sessions, newest first.
    Commands,
}

/// `rampart ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// What to list.
    pub what: Listed,
    /// Words to look for.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only rows whose FIELD is VALUE, with the field names of the API; may be repeated.
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = super::field_value)]
    pub filters: Vec<(String, String)>,
    /// Only sessions that still run.
    #[arg(long)]
    pub active: bool,
    /// Only the commands of one session (id).
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Only what began within this time, for example 2h or 7d.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Span>,
    /// Organization, by name or id.
    #[arg(long)]
    pub org: Option<String>,
    /// Most rows.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
    /// Rows to skip.
    #[arg(long, default_value_t = 0)]
    pub offset: u64,
    /// Form.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `rampart play`.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// Session id (its beginning is enough when it is the only one), or the path of a recording.
    pub id: String,
    /// Write asciicast v2 to standard output instead of playing.
    #[arg(long, conflicts_with = "text")]
    pub cast: bool,
    /// Write plain text to standard output instead of playing.
    #[arg(long)]
    pub text: bool,
    /// Start there, for example 1m30s.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Span>,
    /// How many times faster than it happened.
    #[arg(long, default_value_t = 1.0, value_parser = super::speed)]
    pub speed: f64,
    /// Shorten pauses to this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    pub idle_limit: Option<f64>,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `rampart login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Address of the server, for example https://rampart.example.org:8443.
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// User name; asked for when missing.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Read the password from the first line of standard input, and a code from the second when one is needed.
    #[arg(long)]
    pub stdin: bool,
    /// Server, as an option.
    #[arg(long, value_name = "URL", env = "RAMPART_SERVER", conflicts_with = "url")]
    pub server: Option<String>,
    /// Accept certificates of this authority too (PEM).
    #[arg(long, value_name = "FILE", env = "RAMPART_CA")]
    pub ca: Option<PathBuf>,
    /// Accept exactly the certificate with this SHA-256 fingerprint (hex).
    #[arg(long, value_name = "SHA256", env = "RAMPART_PIN")]
    pub pin: Option<Pin>,
    /// Host and port of the SSH door when it is not port 2222 of the server.
    #[arg(long, value_name = "HOST:PORT")]
    pub ssh: Option<String>,
}

/// `rampart logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Server; every login is forgotten when missing.
    #[arg(value_name = "URL")]
    pub url: Option<String>,
}

/// Where the user's own programs are sent.
#[derive(Debug, Clone, Args)]
pub struct Door {
    /// Server whose login to use.
    #[arg(long, value_name = "URL", env = "RAMPART_SERVER")]
    pub server: Option<String>,
    /// User name; that of the kept login when missing.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Host and port of the SSH door; that of the kept login when missing.
    #[arg(long, value_name = "HOST:PORT", env = "RAMPART_SSH")]
    pub ssh: Option<String>,
}

/// `rampart ssh` and `rampart sftp`.
#[derive(Debug, Args)]
pub struct NativeArgs {
    /// Where.
    #[command(flatten)]
    pub door: Door,
    /// Asset, or account and asset: web1, root@web1.
    #[arg(value_name = "[ACCOUNT@]ASSET")]
    pub to: String,
    /// Handed to the program: its options, the command to run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub args: Vec<String>,
}

/// `rampart scp`.
#[derive(Debug, Args)]
pub struct ScpArgs {
    /// Where.
    #[command(flatten)]
    pub door: Door,
    /// Options of scp, then sources and destination; the remote ones are [ACCOUNT@]ASSET:PATH on one asset.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub args: Vec<String>,
}

/// `rampart audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the audit chain and the recordings; exit 0 = intact, 1 = broken, naming the first broken record.
    #[command(
        after_help = "Example:\n  rampart audit verify --data ./data\n  rampart audit verify --bundle evidence.tar --pubkey 9f2c…\n  rampart audit verify --server https://rampart.example.org"
    )]
    Verify(VerifyArgs),
    /// Write the audit chain, its checkpoints and the recordings into one file that verifies without the server.
    #[command(after_help = "Example:\n  rampart audit export --out evidence.tar --data ./data")]
    Export(AuditExportArgs),
}

/// `rampart audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Check an exported bundle instead of a server.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "data"])]
    pub bundle: Option<PathBuf>,
    /// Public key (hex, or a file that holds it) that must have signed; without it, the keys named in the evidence.
    #[arg(long, value_name = "KEY|FILE")]
    pub pubkey: Vec<String>,
    /// Form.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `rampart audit export`.
#[derive(Debug, Args)]
pub struct AuditExportArgs {
    /// File to write; must not exist.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Only this session (id) and the part of the chain that proves it; may be repeated.
    #[arg(long, value_name = "ID")]
    pub session: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `rampart admin`.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Set a new password for a user.
    #[command(after_help = "Example:\n  rampart admin reset-password admin --data ./data\n  echo \"$NEW\" | rampart admin reset-password alice --stdin")]
    ResetPassword(ResetPasswordArgs),
    /// End the lock-out of a user or an address.
    #[command(after_help = "Example:\n  rampart admin unlock alice\n  rampart admin unlock --address 203.0.113.7")]
    Unlock(UnlockArgs),
    /// Make new keys for sealed secrets.
    #[command(after_help = "Example:\n  rampart admin rotate-key --data-key --data ./data")]
    RotateKey(RotateKeyArgs),
    /// Write a consistent copy of the node into one file.
    #[command(after_help = "Example:\n  rampart admin backup --out rampart.tar --with-keys --data ./data")]
    Backup(BackupArgs),
    /// Make a data directory from a backup.
    #[command(after_help = "Example:\n  rampart admin restore rampart.tar --data ./new-data")]
    Restore(RestoreArgs),
    /// Look for anything wrong with a node; exit 1 when something is.
    #[command(after_help = "Example:\n  rampart admin doctor --data ./data -o json")]
    Doctor(DoctorArgs),
}

/// The data directory of the node.
#[derive(Debug, Clone, Default, Args)]
pub struct DataDir {
    /// Data directory [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `rampart admin reset-password`.
#[derive(Debug, Args)]
pub struct ResetPasswordArgs {
    /// User name.
    pub user: String,
    /// Read the password from the first line of standard input instead of asking.
    #[arg(long)]
    pub stdin: bool,
    /// Node.
    #[command(flatten)]
    pub data: DataDir,
}

/// `rampart admin unlock`.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// User name.
    #[arg(required_unless_present = "address")]
    pub user: Option<String>,
    /// Client address.
    #[arg(long, value_name = "IP")]
    pub address: Option<IpAddr>,
    /// Node.
    #[command(flatten)]
    pub data: DataDir,
}

/// `rampart admin rotate-key`. Neither option means both.
#[derive(Debug, Args)]
pub struct RotateKeyArgs {
    /// Wrap the data keys with a new master key.
    #[arg(long)]
    pub master: bool,
    /// Seal every secret again under a new data key.
    #[arg(long)]
    pub data_key: bool,
    /// Node.
    #[command(flatten)]
    pub data: DataDir,
}

/// `rampart admin backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write; must not exist.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Put the keys in as well: the file alone is then enough to read every secret. Keep it accordingly.
    #[arg(long)]
    pub with_keys: bool,
    /// Put the recordings in as well; without it, only their index.
    #[arg(long)]
    pub with_recordings: bool,
    /// Node.
    #[command(flatten)]
    pub data: DataDir,
}

/// `rampart admin restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Backup to read.
    pub file: PathBuf,
    /// Data directory to make; must be empty or missing.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `rampart admin doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Form.
    #[arg(short, long, default_value = "table")]
    pub output: Output,
    /// Node.
    #[command(flatten)]
    pub data: DataDir,
}
