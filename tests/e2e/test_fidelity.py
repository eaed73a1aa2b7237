"""What goes through Rampart is what would have gone directly: each test runs the same thing through both doors."""

import concurrent.futures
import hashlib
import os
import socket
import subprocess
import time

import pexpect
import pytest
from harness.door import environment, said
from harness.wait import answers, free_port, until


def both(house, command=None, **more):
    """(direct, through Rampart)."""
    return house.direct.run(command, **more), house.door.run(command, **more)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_codes(each_house, code):
    direct, through = both(each_house, f"exit {code}")

    assert through.returncode == direct.returncode == code, said(through)
    assert through.stdout == direct.stdout and through.stderr == direct.stderr


@pytest.mark.parametrize("signal", ["TERM", "KILL", "SEGV"])
def test_a_command_ended_by_a_signal(house, signal):
    direct, through = both(house, f"kill -{signal} $$")

    assert through.returncode == direct.returncode, said(through)


def test_the_output_is_only_the_commands(house):
    direct, through = both(house, "echo out; echo err >&2")

    assert (through.stdout, through.stderr) == (direct.stdout, direct.stderr) == (b"out\n", b"err\n")


def test_200_mb_of_random_bytes_both_ways_at_once(house, tmp_path):
    block = os.urandom(8 << 20)
    body = b"\x03" + block * 25
    path = tmp_path / "body"
    path.write_bytes(body)

    begun = time.monotonic()
    with open(path, "rb") as source:
        client = house.door.popen("cat", stdin=source)
        digest = hashlib.sha256()
        while chunk := client.stdout.read(1 << 20):
            digest.update(chunk)
    assert client.wait(60) == 0, client.stderr.read()

    assert digest.hexdigest() == hashlib.sha256(body).hexdigest()
    print(f"{len(body) >> 20} MiB both ways in {time.monotonic() - begun:.1f} s")


def test_10_mb_on_stderr_stay_apart_from_stdout(house):
    command = "head -c 10000000 /dev/zero | tr '\\0' e >&2; head -c 1000000 /dev/zero | tr '\\0' o"

    done = house.door.run(command)

    assert done.returncode == 0
    assert done.stdout == b"o" * 1_000_000
    assert done.stderr == b"e" * 10_000_000


def test_every_byte_value_survives_without_a_terminal(house):
    body = bytes(range(256)) * 64

    direct, through = both(house, "cat", input=body)

    assert through.stdout == direct.stdout == body


def test_the_size_of_the_terminal_and_its_changes(house):
    child = house.door.spawn(rows=31, columns=101)
    try:
        child.expect_exact("$ ")
        child.sendline("stty size")
        child.expect_exact("31 101")
        child.setwinsize(50, 132)

        def resized():
            child.sendline("stty size")
            return child.expect(["50 132", "31 101"]) == 0

        until(resized, "the new size on the target")
        child.sendline("exit")
        child.expect_exact(pexpect.EOF)
    finally:
        child.close(force=True)


def test_term_lang_and_allowed_variables(house):
    more = {
        "env": {"TERM": "xterm-test", "LANG": "zh_CN.UTF-8", "LC_TIME": "C", "LC_E2E": "through", "FORBIDDEN": "x"},
        "flags": ["-o", "SendEnv=LANG LC_* FORBIDDEN"],
    }

    direct, through = both(house, 'echo "$LANG/$LC_TIME/$LC_E2E"', **more)
    assert through.stdout == direct.stdout == b"zh_CN.UTF-8/C/through\n"
    # The target would take this one; Rampart passes language and colours only.
    assert house.door.run('echo "[$FORBIDDEN]"', **more).stdout == b"[]\n"

    direct, through = both(house, 'echo "$TERM/$(tty | cut -c1-8)"', tty=True, **more)
    assert through.stdout == direct.stdout
    assert through.stdout.startswith(b"xterm-test//dev/pts")


def test_a_forced_terminal_translates_line_ends_and_passes_ctrl_c(house):
    direct, through = both(house, "printf 'a\\nb\\n'", tty=True)
    assert through.stdout == direct.stdout == b"a\r\nb\r\n"

    child = house.door.spawn("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done", tty=True)
    child.expect_exact("ready")
    child.send("\x03")
    child.expect_exact("caught")
    child.expect_exact(pexpect.EOF)
    child.close()
    assert child.exitstatus == 9


def test_one_connection_with_ten_channels(house, tmp_path):
    control = tmp_path / "cm"
    master = house.door.popen(flags=["-M", "-S", str(control), "-N"])
    try:
        until(control.exists, "the control socket")

        def channel(n):
            argv = ["ssh", "-F", "/dev/null", "-S", str(control), "x", f"echo start-{n}; sleep 1; echo end-{n}; exit {n}"]
            return subprocess.run(argv, capture_output=True, timeout=60, env=environment())

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            done = list(pool.map(channel, range(10)))

        assert [d.returncode for d in done] == list(range(10)), [d.stderr for d in done]
        assert [d.stdout for d in done] == [f"start-{n}\nend-{n}\n".encode() for n in range(10)]
        rows = [s for s in house.admin.sessions() if s.get("connection_id")]
        if rows:
            assert max(sum(r["connection_id"] == s["connection_id"] for r in rows) for s in rows) >= 10, "each channel is a session of its own"
    finally:
        # A signal that comes between two looks at the sockets is seen by this client only at its next packet.
        subprocess.run(["ssh", "-F", "/dev/null", "-S", str(control), "-O", "exit", "x"], capture_output=True, timeout=20, env=environment())
        try:
            master.wait(20)
        finally:
            master.kill()


def test_fifty_connections_at_once(house):
    def connect(n):
        return house.door.run(f"echo {n}; sleep 0.5; exit {n % 7}")

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        done = list(pool.map(connect, range(50)))

    assert [d.returncode for d in done] == [n % 7 for n in range(50)], {said(d) for d in done if d.returncode == 255}
    assert [d.stdout for d in done] == [f"{n}\n".encode() for n in range(50)]


def test_input_that_was_there_before_the_session_is_not_lost(house):
    direct, through = both(house, "sleep 0.3; cat", input=b"\x03early\n" * 1000)
    assert through.stdout == direct.stdout == b"\x03early\n" * 1000

    direct, through = both(house, None, input=b"echo early-$((40+2))\nexit 3\n")
    assert b"early-42" in through.stdout
    assert through.returncode == direct.returncode == 3


def test_the_end_of_input_arrives_while_output_goes_on(house):
    done = house.door.run("cat >/dev/null; sleep 0.3; echo after-eof", input=b"x" * 100_000)

    assert done.stdout == b"after-eof\n"


def test_an_idle_connection_with_keep_alives_stays(house):
    done = house.door.run("sleep 6; echo still-here", options=["ServerAliveInterval=1", "ServerAliveCountMax=2"])

    assert done.stdout == b"still-here\n", said(done)


def test_rekeying_in_the_middle_of_a_transfer(house):
    body = os.urandom(24 << 20)

    done = house.door.run("cat", input=body, options=["RekeyLimit=4M"])

    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(body).digest(), said(done)[-300:] if done.returncode else ""


@pytest.mark.parametrize(
    ("what", "flags"),
    [("sftp", ["-s"]), ("forwarding", ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"])],
)
def test_what_is_not_there_yet_is_refused_with_a_sentence_and_audited(house, what, flags):
    head = house.audit_head()

    done = house.door.run("sftp" if what == "sftp" else "true", flags=flags, timeout=30)

    assert done.returncode != 0, said(done)
    refused = until(lambda: [e for e in house.audit_since(head) if "refus" in e["kind"] or "denied" in e["kind"]], "an audit entry of the refusal")
    assert refused
    if what == "sftp":
        assert "not available" in said(done), said(done)


def test_a_local_forward_cannot_reach_anything(house):
    local = free_port()
    client = house.door.popen("echo up; sleep 30", flags=["-L", f"{local}:127.0.0.1:{house.target.port}"])
    try:
        assert client.stdout.readline() == b"up\n"
        until(lambda: answers(local), "the client's own listener")
        with socket.create_connection(("127.0.0.1", local), 5) as s:
            s.settimeout(5)
            assert s.recv(100) == b"", "a forwarded port let bytes through"
    finally:
        client.terminate()
        client.wait(10)
