"""The record: complete after a crash, playable, and provably untouched."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from conftest import build_house
from harness.rampart import BINARY
from harness.wait import until


def verify(*arguments, env=None):
    return subprocess.run([str(BINARY), "audit", "verify", *map(str, arguments)], capture_output=True, text=True, timeout=60, env=env)


def newest(house, **more):
    return sorted(house.admin.sessions(**more), key=lambda s: s["date_start"])[-1]


def play(server, session, *arguments):
    return server.cli("play", session["id"], *arguments).stdout


# A dying node


def test_kill_9_loses_at_most_a_second_and_the_session_is_interrupted(own_house):
    server = own_house.server
    client = own_house.door.popen("while date +%s.%N; do sleep 0.02; done")
    for _ in range(150):
        client.stdout.readline()

    died = time.time()
    server.kill()
    client.wait(20)
    server.start()

    row = until(lambda: next((s for s in own_house.server.admin().sessions() if s["is_finished"]), None), "the session to be closed", 30)
    assert "interrupted" in str(row.get("end_reason")), row
    stamps = [float(x) for x in re.findall(r"^\d{10}\.\d{9}$", play(server, row, "--text"), re.M)]
    assert len(stamps) > 100
    print(f"recording ends {died - stamps[-1]:.3f} s before the kill, {len(stamps)} lines")
    assert died - stamps[-1] <= 1.05
    assert server.cli("audit", "verify").returncode == 0
    assert own_house.door.run("echo on").stdout == b"on\n"


def test_a_graceful_stop_tells_people_and_closes_every_row(own_house):
    server = own_house.server
    client = own_house.door.popen("echo up; sleep 60", tty=True)
    assert client.stdout.readline().strip() == b"up"

    server.process.child.send_signal(signal.SIGTERM)
    out, err = client.communicate(timeout=60)
    server.stop()

    assert re.search(rb"restart|shutting down|stopp", out + err, re.I), out + err
    server.start()
    rows = server.admin().sessions()
    assert rows and all(s["is_finished"] for s in rows)
    assert "drained" in str(rows[0].get("end_reason")), rows[0]


# Playing


@pytest.fixture(scope="module")
def played(house):
    """A finished shell session with colours, wide text and a pause."""
    child = house.door.spawn(rows=30, columns=100, env={"TERM": "xterm-256color"})
    child.expect_exact("$ ")
    child.sendline("printf '\\033[31mred\\033[0m 你好\\n'; sleep 2; echo late-$((40+2))")
    child.expect_exact("late-42")
    child.sendline("exit")
    child.expect(r"(?s).*$")
    child.close()
    return until(
        lambda: next(
            (
                s
                for s in sorted(house.admin.sessions(), key=lambda s: s["date_start"], reverse=True)
                if s["is_finished"] and "late-42" in play(house.server, s, "--text")
            ),
            None,
        ),
        "the session",
    )


def test_text_holds_what_was_seen(house, played):
    text = play(house.server, played, "--text")

    assert "red 你好" in text and "late-42" in text
    assert "\x1b" not in text


def test_play_from_a_point_in_time(house, played):
    text = play(house.server, played, "--text", "--from", "2s")
    cast = play(house.server, played, "--cast", "--from", "2s")

    assert "late-42" in text
    assert "late-42" in cast


def test_the_cast_is_standard_asciicast_and_plays_in_asciinema(house, played, tmp_path):
    cast = play(house.server, played, "--cast")

    head, *events = [json.loads(line) for line in cast.splitlines()]
    assert head["version"] == 2 and (head["width"], head["height"]) == (100, 30)
    assert head["env"] == {"TERM": "xterm-256color"}
    assert all(len(e) == 3 and e[1] in "oirm" and isinstance(e[2], str) for e in events)
    times = [e[0] for e in events]
    assert times == sorted(times) and times[-1] > 1.5
    assert "late-42" in "".join(e[2] for e in events if e[1] == "o")

    path = tmp_path / "session.cast"
    path.write_text(cast)
    asciinema = Path(sys.executable).parent / "asciinema"
    shown = subprocess.run(
        [str(asciinema), "cat", str(path)],
        capture_output=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
    )
    assert shown.returncode == 0, shown.stderr
    assert "late-42" in shown.stdout.decode() and "你好" in shown.stdout.decode()


def test_the_terminal_player_pauses_seeks_searches_and_quits(house, played):

    child = pexpect.spawn(
        str(BINARY),
        ["play", played["id"], "--data", str(house.server.data)],
        env=house.server.env | {"TERM": "xterm-256color"},
        dimensions=(40, 120),
        encoding="utf-8",
        codec_errors="replace",
        timeout=15,
    )
    child.expect_exact("red")
    child.expect_exact("late-42")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# Tampering


@pytest.fixture(scope="module")
def sealed(workplace, target, direct, alice_key):
    """A stopped server's data directory with some history, and a pristine copy for each attack."""
    built = build_house(workplace / "sealed" / "data", target, direct, alice_key)
    try:
        # Several seconds of output, so that the recording has several segments.
        done = built.door.run("for i in $(seq 60); do head -c 3000 /dev/urandom | base64; sleep 0.05; done")
        assert done.returncode == 0
        for n in range(3):
            built.door.run(f"echo row-{n}")
        bundle = built.server.home / "bundle.rampart"
        built.server.cli("audit", "export", "--out", bundle)
        until(lambda: all(s["is_finished"] for s in built.admin.sessions()), "every session to be closed")
    finally:
        built.server.stop()
    assert verify("--data", built.server.data).returncode == 0
    return built.server.data, bundle


@pytest.fixture
def copy(sealed, tmp_path):
    """A copy to break."""
    where = tmp_path / "data"
    shutil.copytree(sealed[0], where, ignore=lambda d, names: [n for n in names if n.endswith(".sock")])
    return where


def biggest_recording(data):
    files = [p for p in (data / "recordings").rglob("*") if p.is_file() and p.read_bytes()[:8] == b"RMPTREC1"]
    return max(files, key=lambda p: p.stat().st_size)


def segments(body):
    """[(start, end)] of the segments of a recording file."""
    at = [m.start() for m in re.finditer(b"RSEG\x01[\x01\x02\x03]", body)]
    return list(zip(at, [*at[1:], len(body)], strict=True))


def broken(data, *names):
    done = verify("--data", data)
    text = done.stdout + done.stderr
    assert done.returncode == 1, f"exit {done.returncode}: {text}"
    assert "panicked" not in text
    for name in names:
        assert re.search(name, text), text
    print(text.strip().splitlines()[-1])
    return text


@pytest.mark.parametrize("attack", ["flip", "drop", "swap", "truncate", "truncate in a segment", "delete", "replace"])
def test_a_changed_recording_is_found_and_named(copy, attack):
    path = biggest_recording(copy)
    body = path.read_bytes()
    cut = segments(body)
    assert len(cut) >= 5, f"{len(cut)} segments"
    (a, b), (c, d) = cut[2], cut[3]
    if attack == "flip":
        middle = (a + b) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    elif attack == "drop":
        body = body[:a] + body[b:]
    elif attack == "swap":
        body = body[:a] + body[c:d] + body[a:b] + body[d:]
    elif attack == "truncate":
        body = body[: cut[-2][0]]
    elif attack == "truncate in a segment":
        body = body[: len(body) - 10]
    elif attack == "replace":
        others = [p for p in path.parent.rglob("*") if p.is_file() and p != path and p.read_bytes()[:8] == b"RMPTREC1"] or [
            p for p in (copy / "recordings").rglob("*") if p.is_file() and p != path and p.read_bytes()[:8] == b"RMPTREC1"
        ]
        body = others[0].read_bytes()
    if attack == "delete":
        path.unlink()
    else:
        path.write_bytes(body)

    broken(copy, path.stem[:8])


def database(data):
    found = [p for p in data.rglob("*") if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3"]
    assert len(found) == 1, found
    return found[0]


def entry_table(db):
    """The table of the audit chain and its column with the event."""
    for (name,) in db.execute("select name from sqlite_master where type='table'").fetchall():
        columns = [c[1] for c in db.execute(f"pragma table_info({name})")]
        if "prev_hash" in columns and "hash" in columns:
            return name, columns
    raise AssertionError("no audit chain in the database")


@pytest.mark.parametrize("attack", ["flip", "drop", "swap", "truncate", "rewrite the chain"])
def test_a_changed_audit_row_is_found_and_named(copy, attack):
    db = sqlite3.connect(database(copy))
    table, columns = entry_table(db)
    rows = db.execute(f"select rowid, * from {table} order by seq").fetchall()
    middle = len(rows) // 2
    seq = dict(zip(["rowid", *columns], rows[middle], strict=True))["seq"]
    for trigger in db.execute("select name from sqlite_master where type='trigger'").fetchall():
        db.execute(f"drop trigger {trigger[0]}")
    if attack == "flip":
        text_column = next(
            c
            for c in columns
            if c not in ("hash", "prev_hash", "node_id", "seq")
            and isinstance(dict(zip(["rowid", *columns], rows[middle], strict=True))[c], str)
            and len(dict(zip(["rowid", *columns], rows[middle], strict=True))[c]) > 8
        )
        value = dict(zip(["rowid", *columns], rows[middle], strict=True))[text_column]
        changed = value.replace("127.0.0.1", "127.0.0.9") if "127.0.0.1" in value else value[:-3] + ("x" if value[-3] != "x" else "y") + value[-2:]
        db.execute(f"update {table} set {text_column} = ? where rowid = ?", (changed, rows[middle][0]))
    elif attack == "drop":
        db.execute(f"delete from {table} where rowid = ?", (rows[middle][0],))
    elif attack == "swap":
        other = dict(zip(["rowid", *columns], rows[middle + 1], strict=True))["seq"]
        for frm, to in ((seq, -1), (other, seq), (-1, other)):
            db.execute(f"update {table} set seq = ? where seq = ?", (to, frm))
    elif attack == "truncate":
        db.execute(f"delete from {table} where seq >= ?", (seq,))
    else:
        db.execute(f"delete from {table}")
    db.commit()
    db.close()

    text = broken(copy)
    if attack in ("flip", "drop", "swap"):
        assert re.search(rf"\b{seq}\b|\b{seq + 1}\b", text), f"the entry {seq} is not named: {text}"


def test_a_verdict_on_a_live_server_and_over_the_network(house):
    done = verify("--data", house.server.data, env=house.server.env)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+", done.stdout)


def test_the_bundle_verifies_without_the_server_and_a_changed_one_does_not(sealed, tmp_path):
    _, bundle = sealed
    done = verify("--bundle", bundle, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr

    body = bytearray(bundle.read_bytes())
    for share in (0.2, 0.5, 0.8):
        changed = bytes(body[: int(len(body) * share)]) + bytes([body[int(len(body) * share)] ^ 1]) + bytes(body[int(len(body) * share) + 1 :])
        other = tmp_path / "changed.rampart"
        other.write_bytes(changed)
        done = verify("--bundle", other)
        assert done.returncode == 1, f"one flipped byte at {share:.0%} was not found: {done.stdout + done.stderr}"
    short = tmp_path / "short.rampart"
    short.write_bytes(bytes(body[: len(body) - len(body) // 4]))
    assert verify("--bundle", short).returncode == 1
