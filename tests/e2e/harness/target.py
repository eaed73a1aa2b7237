"""A real OpenSSH server on loopback with its own configuration, and the unix accounts it lets in."""

import os
import pwd
import secrets
import subprocess
from pathlib import Path

from .process import Process
from .wait import answers, free_port, until

# Fixed names: the accounts stay on the machine, locked away from any password but the one of this run.
PASSWORD_ACCOUNT = "rampart-app"
KEY_ACCOUNT = "rampart-ops"
INTERACTIVE_ACCOUNT = "rampart-kbd"
# Several loopback addresses, so that assets can have an address of their own.
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")


def account_password():
    """The password of the unix accounts: made once a boot, so that runs beside each other do not change it for one another."""
    path = Path("/run/rampart-e2e-password")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as f:
            f.write("Tgt-" + secrets.token_hex(8))
    except FileExistsError:
        pass
    return until(path.read_text, "the password of the unix accounts")


def keygen(path, kind="ed25519", comment="e2e"):
    """A fresh key pair without a passphrase; the path of the private half."""
    path = Path(path)
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)], check=True)
    return path


def unix_account(name, password):
    """Makes sure the local account exists with this password."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True)
    subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True)


class Target:
    """One sshd. Its `password` opens PASSWORD_ACCOUNT and INTERACTIVE_ACCOUNT, `key` opens all accounts."""

    def __init__(self, folder, extra=""):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        self.password = account_password()
        self.key = keygen(self.folder / "account_key")
        self.extra = extra
        self.process = None
        for name in (PASSWORD_ACCOUNT, KEY_ACCOUNT, INTERACTIVE_ACCOUNT):
            unix_account(name, self.password)
        os.makedirs("/run/sshd", exist_ok=True)
        keygen(self.folder / "host_ed25519")
        keygen(self.folder / "host_rsa", "rsa")
        authorized = self.folder / "authorized_keys"
        authorized.write_text(self.key.with_suffix(".pub").read_text())
        os.chmod(authorized, 0o644)

    def start(self):
        d = self.folder
        listen = "\n".join(f"ListenAddress {a}" for a in ADDRESSES)
        (d / "sshd_config").write_text(
            f"""{listen}
Port {self.port}
HostKey {d}/host_ed25519
HostKey {d}/host_rsa
PidFile none
UsePAM yes
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication yes
AuthorizedKeysFile {d}/authorized_keys
StrictModes no
AllowUsers {PASSWORD_ACCOUNT} {KEY_ACCOUNT} {INTERACTIVE_ACCOUNT}
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_* FORBIDDEN
MaxStartups 500
MaxSessions 200
MaxAuthTries 6
LogLevel VERBOSE
Subsystem sftp /usr/lib/openssh/sftp-server
{self.extra}
Match User {PASSWORD_ACCOUNT}
  PubkeyAuthentication yes
Match User {KEY_ACCOUNT}
  PasswordAuthentication no
  KbdInteractiveAuthentication no
Match User {INTERACTIVE_ACCOUNT}
  PasswordAuthentication no
"""
        )
        self.process = Process(["/usr/sbin/sshd", "-D", "-e", "-f", d / "sshd_config"], d / "sshd.log")
        until(lambda: answers(self.port), "the target sshd to listen")
        return self

    def new_host_keys(self):
        """What a reinstalled machine (or an attacker) looks like."""
        for name in ("host_ed25519", "host_rsa"):
            for suffix in ("", ".pub"):
                (self.folder / (name + suffix)).unlink()
        keygen(self.folder / "host_ed25519")
        keygen(self.folder / "host_rsa", "rsa")

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self.process = None

    def log(self):
        return (self.folder / "sshd.log").read_text(errors="replace")
