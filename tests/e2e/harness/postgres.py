"""A real PostgreSQL cluster of its own, thrown away at the end."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile

from .process import Process
from .wait import free_port, until


class Postgres:
    """Trust authentication on loopback; each server under test gets a database of its own."""

    def __init__(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.folder = tempfile.mkdtemp(prefix="rampart-e2e-pg-")
        self.port = free_port()
        self.count = 0
        owner = pwd.getpwnam("postgres")
        os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        data = f"{self.folder}/data"
        subprocess.run(
            [*as_owner, f"{self.bin}/initdb", "-D", data, "-U", "rampart", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True,
            cwd="/",
            capture_output=True,
        )
        self.process = Process(
            [*as_owner, f"{self.bin}/postgres", "-D", data, "-p", self.port, "-h", "127.0.0.1", "-k", self.folder, "-c", "max_connections=200"],
            f"{self.folder}/log",
            cwd="/",
        )
        until(lambda: self._sql("postgres", "select 1") == "1", "PostgreSQL to answer", 30)

    def _sql(self, database, statement):
        out = subprocess.run(
            ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "rampart", "-d", database, "-c", statement],
            capture_output=True,
            text=True,
            timeout=30,
        )
        return out.stdout.strip()

    def database(self):
        """The URL of a new, empty database."""
        self.count += 1
        name = f"rampart{self.count}"
        self._sql("postgres", f"create database {name}")
        return f"postgres://rampart@127.0.0.1:{self.port}/{name}"

    def sql(self, url, statement):
        """Runs a statement in one of our databases, past Rampart."""
        return self._sql(url.rsplit("/", 1)[1], statement)

    def stop(self):
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
