"""A way in for OpenSSH: direct to the target, or through Rampart. Tests run the same thing through both."""

import os
import subprocess

import pexpect

OPTIONS = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "ControlMaster=no",
    "ControlPath=none",
    "GSSAPIAuthentication=no",
    "UpdateHostKeys=no",
    "ConnectTimeout=20",
]


def environment(**more):
    """A clean environment: only what the caller names reaches the far side."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), "TERM": "xterm-256color", **more}


class Door:
    """Where to connect, as whom, with which key or password."""

    def __init__(self, port, user, key=None, password=None, host="127.0.0.1"):
        self.host, self.port, self.user, self.key, self.password = host, port, user, key, password

    def as_user(self, user):
        """The same door under another user name."""
        return Door(self.port, user, self.key, self.password, self.host)

    def argv(self, command=None, tty=False, options=(), flags=()):
        """The `ssh` command line."""
        argv = ["sshpass", "-p", self.password] if self.password else []
        argv += ["ssh", "-F", "/dev/null", "-p", str(self.port), "-l", self.user]
        for option in [*options, *OPTIONS, "LogLevel=INFO"]:
            argv += ["-o", option]
        if self.password:
            argv += ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        elif self.key:
            argv += ["-i", str(self.key), "-o", "PreferredAuthentications=publickey,keyboard-interactive"]
        if tty:
            argv.append("-tt")
        argv += [*flags, self.host]
        return argv + ([command] if command is not None else [])

    def run(self, command=None, input=b"", timeout=90, env=None, **more):
        """Runs to the end; stdout and stderr apart, as bytes. Notices of the client itself are taken out of stderr."""
        done = subprocess.run(self.argv(command, **more), input=input, capture_output=True, timeout=timeout, env=environment(**(env or {})))
        done.stderr = b"".join(line for line in done.stderr.splitlines(True) if not line.startswith(b"Warning: Permanently added"))
        return done

    def popen(self, command=None, env=None, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more):
        """Starts and leaves it running."""
        return subprocess.Popen(self.argv(command, **more), stdin=stdin, stdout=stdout, stderr=stderr, env=environment(**(env or {})))

    def spawn(self, command=None, rows=24, columns=80, env=None, tty=False, timeout=20, **more):
        """Starts on a terminal."""
        argv = self.argv(command, tty=tty, **more)
        return pexpect.spawn(
            argv[0], argv[1:], dimensions=(rows, columns), env=environment(**(env or {})), timeout=timeout, encoding="utf-8", codec_errors="replace"
        )


def said(done):
    """Everything a person at the terminal would have seen of a finished run."""
    return (done.stdout + done.stderr).decode("utf-8", "replace")
