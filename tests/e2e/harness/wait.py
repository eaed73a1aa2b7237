"""Waiting for a condition, never for a length of time."""

import socket
import time


class TimedOut(AssertionError):
    """The condition did not come true before the deadline."""


def until(condition, what, seconds=15.0, every=0.02):
    """Calls `condition` until it returns something true, and returns that. `what` says in words what was awaited."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, AssertionError, LookupError, ValueError) as fault:
            last = fault
        if time.monotonic() > deadline:
            raise TimedOut(f"not within {seconds} s: {what} (last: {last!r})")
        time.sleep(every)


def answers(port, host="127.0.0.1"):
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


_given = set()


def free_port():
    """A loopback port that nothing listens on and that was not handed out before."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
