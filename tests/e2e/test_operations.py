"""What an administrator does on the node: passwords, keys, backups, checks."""

import re
import subprocess
import time

import pexpect
import pytest
from conftest import build_house
from harness.door import said
from harness.rampart import BINARY, Rampart
from harness.target import PASSWORD_ACCOUNT
from harness.wait import until


def test_reset_password(own_house):
    new = "Brand-New-Pass-77"

    own_house.server.cli("admin", "reset-password", "alice", "--stdin", input=f"{new}\n")

    assert own_house.server.api().login("alice", new)


def test_rotating_the_key_keeps_every_secret_usable_while_running(own_house):
    server = own_house.server
    running = own_house.door.popen("echo up; read line; echo $line")
    assert running.stdout.readline() == b"up\n"

    server.cli("admin", "rotate-key")

    assert own_house.door.run("whoami").stdout.decode().strip() == PASSWORD_ACCOUNT
    out, _ = running.communicate(b"survived\n", timeout=20)
    assert out == b"survived\n"
    server.stop()
    server.start()
    assert own_house.door.run("whoami").stdout.decode().strip() == PASSWORD_ACCOUNT


@pytest.mark.parametrize("running", [True, False])
def test_backup_and_restore_bring_everything_to_another_place(own_house, tmp_path, running):
    server = own_house.server
    own_house.door.run("echo recorded-before")
    session = server.admin().sessions()[0]
    if not running:
        server.stop()
    archive = tmp_path / "backup"

    server.cli("admin", "backup", "--out", archive, "--with-keys", "--with-recordings")
    if running:
        server.stop()
    copy = Rampart(tmp_path / "elsewhere" / "data")
    copy.data.parent.mkdir(parents=True, exist_ok=True)
    copy.cli("admin", "restore", archive)
    copy.start()
    try:
        door = own_house.door.__class__(copy.ssh_port, own_house.door.user, own_house.door.key)
        done = door.run("echo after-restore")
        assert done.stdout == b"after-restore\n", said(done)
        assert copy.cli("audit", "verify").returncode == 0
        assert "recorded-before" in copy.cli("play", session["id"], "--text").stdout
    finally:
        copy.stop()


def test_doctor_says_what_is_well_and_what_is_not(own_house):
    done = own_house.server.cli("admin", "doctor")

    assert re.search(r"ok|well|✓", done.stdout, re.I), done.stdout


def test_the_command_line_explains_itself():
    for words in ([], ["serve"], ["apply"], ["export"], ["ls"], ["play"], ["audit"], ["audit", "verify"], ["admin"], ["admin", "backup"]):
        done = subprocess.run([str(BINARY), *words, "--help"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, words
        assert "Usage" in done.stdout
    done = subprocess.run([str(BINARY), "no-such-thing"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2


def test_lists_on_the_command_line(house):
    house.door.run("true")

    assert {"web1", "web2"} <= {row["name"] for row in house.server.ls("assets")}
    assert "alice" in {row["username"] for row in house.server.ls("users")}
    assert any(row["username"] == PASSWORD_ACCOUNT for row in house.server.ls("accounts"))
    assert house.server.ls("sessions")
    assert "web1" in house.server.cli("ls", "assets").stdout


def test_an_ordinary_person_on_the_node_cannot_use_the_data_directory(house):
    argv = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", str(BINARY), "ls", "users", "-o", "json", "--data", str(house.server.data)]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env={"PATH": "/usr/bin:/bin"})

    assert done.returncode != 0
    assert "alice" not in done.stdout
    for path in [house.server.data, *house.server.data.rglob("*")]:
        assert not path.lstat().st_mode & 0o007 or path.is_symlink(), f"{path} is open to others"


@pytest.mark.slow
def test_an_idle_session_is_warned_and_closed_while_a_busy_one_goes_on(tmp_path, target, direct, alice_key):
    env = {"RAMPART_SESSION_MAX_IDLE_MINUTES": "1", "RAMPART_SESSION_WARN_SECONDS": "30"}
    built = build_house(tmp_path / "idle" / "data", target, direct, alice_key, env=env)
    try:
        begun = time.monotonic()
        idle, busy = built.door.spawn(), built.door.spawn()
        idle.expect_exact("$ ")
        busy.expect_exact("$ ")

        def warned():
            busy.sendline("")
            return idle.expect(["No input for a while", pexpect.TIMEOUT], timeout=2) == 0

        until(warned, "the warning", 50)
        assert 20 < time.monotonic() - begun < 45

        def closed():
            busy.sendline("")
            return idle.expect([r"was idle for 1 minute", pexpect.TIMEOUT], timeout=2) == 0

        until(closed, "the end of the idle session", 60)
        assert 50 < time.monotonic() - begun < 80
        busy.sendline("echo still-$((40+2))")
        busy.expect_exact("still-42")
        reasons = until(lambda: [s["end_reason"] for s in built.admin.sessions() if s["is_finished"]], "the row to be closed")
        assert "idle" in str(reasons)
    finally:
        built.server.stop()
