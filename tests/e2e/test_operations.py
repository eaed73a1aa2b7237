"""What an administrator does on the node: passwords, keys, backups, checks."""

import re
import subprocess
import time

import pytest
from harness.door import said
from harness.rampart import BINARY, Rampart
from harness.target import PASSWORD_ACCOUNT


def test_reset_password(own_house):
    new = "Brand-New-Pass-77"

    own_house.server.cli("admin", "reset-password", "alice", input=f"{new}\n{new}\n")

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

    server.cli("admin", "backup", "--out", archive)
    if running:
        server.stop()
    copy = Rampart(tmp_path / "elsewhere" / "data")
    copy.data.parent.mkdir(parents=True, exist_ok=True)
    copy.cli("admin", "restore", "--from", archive)
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


def test_idle_sessions_are_warned_and_closed(fresh, target, direct, alice_key):
    from conftest import build_house

    built = build_house(fresh("idle").data, target, direct, alice_key, env={"RAMPART_SSH_IDLE": "3s", "RAMPART_SESSION_MAX_IDLE": "3s"})
    try:
        child = built.door.spawn()
        child.expect_exact("$ ")
        begun = time.monotonic()
        child.expect("was idle", timeout=40)
        assert time.monotonic() - begun > 2
    finally:
        built.server.stop()
