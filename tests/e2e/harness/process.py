"""Children with a log file, ended by their own process id."""

import os
import signal
import subprocess

from .wait import until


class Process:
    """A child in a session of its own, output appended to a file."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.log = log
        self._file = open(log, "ab")
        self.child = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=self._file, stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True
        )
        self.pid = self.child.pid

    def alive(self):
        return self.child.poll() is None

    def output(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def stop(self, seconds=20):
        """Asks to end, insists at the deadline. Returns the exit code."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._file.close()
        return self.child.returncode

    def kill(self):
        """SIGKILL, as if the machine had died."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            self.child.wait(10)
        self._file.close()

    def end_group(self):
        """Ends the child and what it started (its process group)."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, sig)
            except ProcessLookupError:
                break
            try:
                until(lambda: not self.alive(), "the group to end", 5)
                break
            except AssertionError:
                continue
        self.child.wait(5)
        self._file.close()


def resident_kib(pid):
    """Resident memory of one process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise LookupError(f"no VmRSS for {pid}")


def cpu_seconds(pid):
    """Processor time of one process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes_with(argument):
    """Ids of the processes one of whose arguments contains `argument`."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    if argument.encode() in f.read():
                        found.append(int(entry))
            except OSError:
                continue
    return found
