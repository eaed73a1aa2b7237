"""The built binary as a server, and its command line."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from .api import Api
from .process import Process, resident_kib
from .wait import free_port, until

BINARY = Path(os.environ.get("RAMPART_BINARY") or Path(__file__).parents[3] / "target" / "release" / "rampart")
ADMIN_PASSWORD = "Correct-Horse-7-Battery"


class Rampart:
    """One server on one data directory. Start and stop as often as needed; ports and data stay."""

    def __init__(self, folder, database_url=None, admin_password=ADMIN_PASSWORD, tls="off", env=None):
        self.data = Path(folder)
        self.home = self.data.parent
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = self.home / f"{self.data.name}.log"
        self.web_port, self.ssh_port = free_port(), free_port()
        self.tls = tls
        self.admin_password = admin_password
        self.url = f"{'http' if tls == 'off' else 'https'}://127.0.0.1:{self.web_port}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("RAMPART_")}
        self.env |= {
            "RAMPART_WEB_LISTEN": f"127.0.0.1:{self.web_port}",
            "RAMPART_SSH_LISTEN": f"127.0.0.1:{self.ssh_port}",
            "RAMPART_WEB_TLS": tls,
            "RAMPART_LOG": "info",
            "HOME": str(self.home),
        }
        if admin_password:
            self.env["RAMPART_ADMIN_PASSWORD"] = admin_password
        if database_url:
            self.env["RAMPART_DATABASE_URL"] = database_url
        self.env |= env or {}
        self.process = None
        self.ready_after = None

    # life

    def spawn(self, **env):
        """Starts the process without waiting."""
        assert BINARY.exists(), f"{BINARY} is missing: cargo build --release -p server"
        self.process = Process([BINARY, "serve", "--data", self.data], self.log, env=self.env | env)
        return self

    def start(self, seconds=30, **env):
        """Starts and waits for /readyz; `ready_after` says how long that took."""
        begun = time.monotonic()
        self.spawn(**env)
        until(lambda: self.ready() or self._must_live(), "the server to be ready", seconds, every=0.01)
        self.ready_after = time.monotonic() - begun
        return self

    def _must_live(self):
        if not self.process.alive():
            raise RuntimeError(f"the server ended with {self.process.child.returncode}:\n{self.process.output()[-3000:]}")
        return False

    def ready(self):
        try:
            return Api(self.url).get("/readyz").status_code == 200
        except OSError:
            return False

    def stop(self, seconds=25):
        if self.process is not None:
            code = self.process.stop(seconds)
            self.process = None
            return code
        return None

    def kill(self):
        self.process.kill()
        self.process = None

    def output(self):
        """Everything the server has printed in its life."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def resident_kib(self):
        return resident_kib(self.process.pid)

    # API

    def api(self, org=None):
        """Nobody's client."""
        return Api(self.url, org=org)

    def admin(self, org=None):
        """The first administrator's client; signed in once a server life."""
        return Api(self.url).login("admin", self.admin_password, org)

    # command line

    def cli(self, *arguments, check=True, input=None, timeout=60, data=True):
        """Runs `rampart …` on this data directory."""
        argv = [str(BINARY), *map(str, arguments)]
        if data:
            argv += ["--data", str(self.data)]
        done = subprocess.run(argv, env=self.env, input=input, capture_output=True, text=True, timeout=timeout)
        if check:
            assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def apply(self, text, *arguments, check=True, name="state.yaml"):
        """Writes `text` to a file and applies it."""
        path = self.home / name
        path.write_text(text)
        return self.cli("apply", "-f", path, *arguments, check=check)

    def ls(self, what):
        """`rampart ls WHAT -o json`."""
        listed = json.loads(self.cli("ls", what, "-o", "json").stdout)
        return listed["results"] if isinstance(listed, dict) else listed

    def host_key_fingerprint(self):
        """The fingerprint of the server's Ed25519 host key, as a client sees it."""
        scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", "-p", str(self.ssh_port), "127.0.0.1"], capture_output=True, text=True, timeout=20)
        shown = subprocess.run(["ssh-keygen", "-lf", "-"], input=scan.stdout, capture_output=True, text=True, check=True)
        return re.search(r"SHA256:\S+", shown.stdout).group(0)
