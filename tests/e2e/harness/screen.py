"""What a person sees: a terminal emulation over a child on a pty."""

import contextlib
import time

import pexpect
import pyte

from .wait import TimedOut


class Emulation(pyte.HistoryScreen):
    """pyte does not know the private forms of some sequences that vim asks terminals with."""

    def select_graphic_rendition(self, *attributes, private=False):
        if not private:
            super().select_graphic_rendition(*attributes)

    def report_device_status(self, mode=0, private=False, **_):
        if not private:
            super().report_device_status(mode)


class Screen:
    """Feeds a pexpect child into a pyte screen."""

    def __init__(self, child, rows=24, columns=80):
        self.child = child
        self.screen = Emulation(columns, rows, history=5000)
        self.stream = pyte.Stream(self.screen)
        self.raw = ""

    def pump(self, seconds=0.05):
        """Takes in what has arrived."""
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            while True:
                text = self.child.read_nonblocking(65536, timeout=seconds)
                self.raw += text
                self.stream.feed(text)
                seconds = 0

    def text(self):
        """The visible lines."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def shows(self, wanted):
        """Whether some text is on the screen; a blank after a prompt counts."""
        return wanted in "\n".join(self.screen.display) or wanted in self.text()

    def wait_for(self, wanted, seconds=20):
        """Until `wanted` is on the screen."""
        deadline = time.monotonic() + seconds
        while True:
            self.pump()
            if self.shows(wanted):
                return self.text()
            if time.monotonic() > deadline or not self.child.isalive():
                self.pump(0.2)
                if self.shows(wanted):
                    return self.text()
                raise TimedOut(f"{wanted!r} is not on the screen:\n{self.text()}")

    def wait_gone(self, unwanted, seconds=20):
        """Until `unwanted` is no longer on the screen."""
        deadline = time.monotonic() + seconds
        while self.shows(unwanted):
            if time.monotonic() > deadline:
                raise TimedOut(f"{unwanted!r} is still on the screen:\n{self.text()}")
            self.pump()

    def send(self, keys):
        self.child.send(keys)

    def line(self, text):
        self.child.send(text + "\r")

    def resize(self, rows, columns):
        self.child.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def close(self):
        self.child.close(force=True)
