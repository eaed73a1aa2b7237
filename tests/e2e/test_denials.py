"""Each refusal tells the person one clear sentence and leaves an audit entry."""

import datetime
import re
import subprocess
import threading
import time

import pytest
from conftest import build_house
from harness.door import Door, said
from harness.target import PASSWORD_ACCOUNT, Target, keygen
from harness.wait import free_port, until
from harness.world import ALICE_PASSWORD


class Case:
    """One way to be refused: the state that leads to it, whom to connect as, and the sentence."""

    def __init__(self, name, state, target, sentence, user=None):
        self.name, self.state, self.target, self.sentence = name, state, target, sentence
        self.user = user or f"{name}-user"


def ago(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rule(user, accounts='["@ALL"]', assets="[web2]", more=""):
    return f'kind: AssetPermission\nmetadata: {{name: "deny-{user}"}}\nspec: {{users: [{user}], assets: {assets}, accounts: {accounts}, protocols: [all], actions: [connect]{more}}}\n'


def host(name, port, accounts, address="127.0.0.3", more=""):
    return f"kind: Host\nmetadata: {{name: {name}}}\nspec: {{address: {address}, platform: Linux, nodes: [/Default/Denials], protocols: [ssh/{port}], accounts: [{accounts}]{more}}}\n"


def account(password, name=PASSWORD_ACCOUNT, more=""):
    return f"{{username: {name}, secret: {{value: {password}}}{more}}}"


@pytest.fixture(scope="module")
def key(workplace):
    return keygen(workplace / "denied_key")


@pytest.fixture(scope="module")
def cases(house, key):
    """All the states, applied at once."""
    port, closed, password = house.target.port, free_port(), house.target.password
    app = PASSWORD_ACCOUNT
    made = [
        Case("no-permission", "", f"{app}@web2", r"no permission|No asset named"),
        Case("not-yet", rule("not-yet-user", more=f", date_start: {ago(10)}, date_expired: {ago(20)}"), f"{app}@web2", r"not valid yet"),
        Case("expired", rule("expired-user", more=f", date_start: {ago(-20)}, date_expired: {ago(-10)}"), f"{app}@web2", r"has expired"),
        Case("excluded", rule("excluded-user", accounts=f'["@ALL", "!{app}"]'), f"{app}@web2", r"excludes account"),
        Case("not-granted", rule("not-granted-user", accounts="[root]"), f"{app}@web2", r"not granted"),
        Case("inactive-rule", rule("inactive-rule-user", more=", is_active: false"), f"{app}@web2", r"no permission|No asset named"),
        Case(
            "asset-off",
            host("asset-off", port, account(password), more=", is_active: false") + "---\n" + rule("asset-off-user", assets="[asset-off]"),
            f"{app}@asset-off",
            r"is disabled",
        ),
        Case(
            "account-off",
            host("account-off", port, account(password, more=", is_active: false")) + "---\n" + rule("account-off-user", assets="[account-off]"),
            f"{app}@account-off",
            r"is disabled|not granted",
        ),
        Case("wrong-protocol", rule("wrong-protocol-user").replace("protocols: [all]", "protocols: [rdp]"), f"{app}@web2", r"ssh is not open|no permission"),
        Case("unknown-asset", rule("unknown-asset-user"), f"{app}@nowhere", r"No asset named nowhere"),
        Case(
            "ambiguous",
            host("twin-a", port, account(password), "127.0.0.4")
            + "---\n"
            + host("twin-b", port, account(password), "127.0.0.4")
            + "---\n"
            + rule("ambiguous-user", assets="[twin-a, twin-b]"),
            f"{app}@127.0.0.4",
            r"matches several assets.*twin-a.*twin-b",
        ),
        Case(
            "unreachable",
            host("unreachable", closed, account(password)) + "---\n" + rule("unreachable-user", assets="[unreachable]"),
            f"{app}@unreachable",
            r"cannot be reached",
        ),
        Case(
            "bad-secret",
            host("bad-secret", port, account("not-the-password")) + "---\n" + rule("bad-secret-user", assets="[bad-secret]"),
            f"{app}@bad-secret",
            r"refused the stored credentials",
        ),
        Case(
            "no-secret",
            host("no-secret", port, f"{{username: {app}}}") + "---\n" + rule("no-secret-user", assets="[no-secret]"),
            f"{app}@no-secret",
            r"No secret is stored|needs a secret typed by you",
        ),
    ]
    public = key.with_suffix(".pub").read_text().strip()
    users = [f'kind: User\nmetadata: {{name: {c.user}}}\nspec: {{name: {c.user}, email: {c.user}@example.org, public_keys: ["{public}"]}}\n' for c in made]
    states = [c.state for c in made if c.state]
    house.server.apply("---\n".join([*users, *states]), name="denials.yaml")
    return {c.name: c for c in made}


NAMES = [
    "no-permission", "not-yet", "expired", "excluded", "not-granted", "inactive-rule", "asset-off", "account-off", "wrong-protocol",
    "unknown-asset", "ambiguous", "unreachable", "bad-secret", "no-secret",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_has_a_sentence_and_an_audit_entry(house, cases, key, name):
    case = cases[name]
    head = house.audit_head()

    done = Door(house.server.ssh_port, f"{case.user}@{case.target}", key).run("echo REACHED")

    text = said(done)
    assert b"REACHED" not in done.stdout
    assert done.returncode != 0
    assert re.search(case.sentence, text, re.S), text
    assert text.count("\n") < 12, f"more than one clear sentence:\n{text}"
    entries = until(lambda: [e for e in house.audit_since(head) if case.user in str(e)], "an audit entry")
    assert any(re.search(r"denied|refused|failed|close", e["kind"]) for e in entries), [e["kind"] for e in entries]


def test_an_inactive_user_does_not_get_in(house, cases, key):
    user = house.admin.named("/api/v1/users/users/", "expired-user", "username")
    house.admin.ok(house.admin.patch(f"/api/v1/users/users/{user['id']}/", {"is_active": False}))
    head = house.audit_head()
    try:
        done = Door(house.server.ssh_port, f"expired-user@{PASSWORD_ACCOUNT}@web2", key).run("echo REACHED")

        assert b"REACHED" not in done.stdout and done.returncode != 0
        assert re.search(r"disabled|inactive|denied", said(done)), said(done)
        until(lambda: [e for e in house.audit_since(head) if "expired-user" in str(e)], "an audit entry")
    finally:
        house.admin.patch(f"/api/v1/users/users/{user['id']}/", {"is_active": True})


def test_a_wrong_password_is_refused_logged_and_says_nothing_more(house):
    head = house.audit_head()

    done = Door(house.server.ssh_port, f"bob@{PASSWORD_ACCOUNT}@web2", password="wrong-wrong-wrong").run("echo REACHED")

    assert done.returncode != 0 and b"REACHED" not in done.stdout
    assert re.search(r"wrong|denied", said(done)), said(done)
    until(lambda: [e for e in house.audit_since(head) if "bob" in str(e) and "login" in e["kind"]], "an audit entry")
    row = until(lambda: [r for r in house.admin.rows("/api/v1/audits/login-logs/") if r["username"] == "bob" and not log_ok(r)], "a login log")[0]
    assert row["ip"].startswith("127.0.0.1")


def log_ok(row):
    """JumpServer shows the status as a choice, {value, label}."""
    status = row["status"]
    return status["value"] if isinstance(status, dict) else status


def test_an_unknown_user_sounds_the_same_as_a_wrong_password(house):
    unknown = Door(house.server.ssh_port, f"nobody-{time.time_ns()}@{PASSWORD_ACCOUNT}@web2", password="wrong-wrong-wrong").run("true")
    known = Door(house.server.ssh_port, f"mail@corp.example@{PASSWORD_ACCOUNT}@web2", password="wrong-wrong-wrong").run("true")

    def plain(done):
        return re.sub(r"[\w.@-]+@\S+|\d+", "", said(done))

    assert plain(unknown) == plain(known)


def test_too_many_failures_lock_and_an_administrator_unlocks(own_house):
    server = own_house.server
    login = Door(server.ssh_port, f"alice@{PASSWORD_ACCOUNT}@web1", password="Wonder-land-")
    nobody = server.api()
    for _ in range(7):
        answer = nobody.post("/api/v1/authentication/auth/", {"username": "Alice", "password": "wrong-wrong-wrong"})
        assert answer.status_code in (400, 401, 403, 429)

    done = login.run("true")
    assert done.returncode != 0
    assert re.search(r"locked", said(done)), said(done)
    # The right credential does not help while the lock holds.
    assert Door(server.ssh_port, login.user, password=ALICE_PASSWORD).run("true").returncode != 0
    assert any("lock" in e["kind"] or "locked" in str(e) for e in own_house.admin.audit_entries())

    server.cli("admin", "unlock", "alice")

    assert Door(server.ssh_port, login.user, password=ALICE_PASSWORD).run("echo in").stdout == b"in\n"


def test_a_changed_host_key_stops_the_connection_until_it_is_confirmed(house, workplace, key):
    other = Target(workplace / "second-target").start()
    try:
        public = key.with_suffix(".pub").read_text().strip()
        house.server.apply(
            f'kind: User\nmetadata: {{name: hk-user}}\nspec: {{name: hk, email: hk@example.org, public_keys: ["{public}"]}}\n---\n'
            + host("second", other.port, account(house.target.password))
            + "---\n"
            + rule("hk-user", assets="[second]"),
            name="hostkey.yaml",
        )
        door = Door(house.server.ssh_port, f"hk-user@{PASSWORD_ACCOUNT}@second", key)
        assert door.run("echo first").stdout == b"first\n"
        other.stop()
        other.new_host_keys()
        other.start()
        head = house.audit_head()

        done = door.run("echo REACHED")

        assert b"REACHED" not in done.stdout and done.returncode != 0
        assert re.search(r"host key of .* has changed", said(done)), said(done)
        assert "REACHED" not in other.log()
        until(lambda: [e for e in house.audit_since(head) if "host" in e["kind"] or "host_key" in str(e)], "an audit entry")
    finally:
        other.stop()


def test_no_disk_for_the_recording_means_no_session(tmp_path, target, direct, alice_key):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], check=True)
    built = None
    try:
        built = build_house(disk / "data", target, direct, alice_key)
        assert built.door.run("echo fine").stdout == b"fine\n"
        running = built.door.popen("while head -c 20000 /dev/urandom | base64; do sleep 0.05; done")
        running.stdout.read(1000)
        free = int(subprocess.run(["df", "--output=avail", "-B1", str(disk)], capture_output=True, text=True, check=True).stdout.split()[1])
        with open(disk / "ballast", "wb") as ballast:
            try:
                for _ in range(free // 65536 + 2):
                    ballast.write(b"\0" * 65536)
                    ballast.flush()
            except OSError:
                pass

        refused = until(lambda: (d := built.door.run("echo REACHED")).returncode != 0 and d, "a refusal on a full disk")
        assert b"REACHED" not in refused.stdout
        assert re.search(r"cannot be recorded|audit log cannot be written|cannot do that right now", said(refused)), said(refused)

        # The running session ends as well: nothing goes on unrecorded.
        drain(running)
        assert running.wait(30) != 0
        (disk / "ballast").unlink()
        until(lambda: built.door.run("echo again").stdout == b"again\n", "recovery by itself", 30)
        assert built.server.cli("audit", "verify").returncode == 0
    finally:
        if built:
            built.server.stop()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def drain(client):
    """Reads a client's output to the end in the background."""

    def take(stream):
        while stream.read(65536):
            pass

    for stream in (client.stdout, client.stderr):
        threading.Thread(target=take, args=(stream,), daemon=True).start()


# Revocation


@pytest.fixture
def live(house, key):
    """A person with one rule and a running session; returns everything a revocation could touch."""
    name = f"live{time.time_ns() % 10**9}"
    public = key.with_suffix(".pub").read_text().strip()
    house.server.apply(
        f'kind: User\nmetadata: {{name: {name}}}\nspec: {{name: {name}, email: {name}@example.org, public_keys: ["{public}"]}}\n---\n'
        + host(f"host-{name}", house.target.port, account(house.target.password))
        + "---\n"
        + rule(name, assets=f"[host-{name}]"),
        name="live.yaml",
    )
    client = Door(house.server.ssh_port, f"{name}@{PASSWORD_ACCOUNT}@host-{name}", key).popen("echo up; while :; do sleep 0.1; done", tty=True)
    assert client.stdout.readline().strip() == b"up"
    yield name, client
    if client.poll() is None:
        client.kill()
    client.wait(10)


def cut_within_a_second(client, since):
    client.wait(10)
    took = time.monotonic() - since
    text = (client.stdout.read() + client.stderr.read()).decode()
    assert took < 1.5, f"the session lived {took:.2f} s longer"
    print(f"cut after {took:.3f} s")
    return text


def finished(house, name):
    """The end reason of a person's session, once closed."""
    return until(
        lambda: next((str(s.get("end_reason")) for s in house.admin.sessions() if name in str(s["user"]) and s["is_finished"]), None), "the row to be closed"
    )


@pytest.mark.parametrize("what", ["rule removed", "user disabled", "asset disabled", "account disabled", "account removed"])
def test_a_withdrawn_right_cuts_the_live_session(house, live, what):
    name, client = live
    admin = house.admin
    if what == "rule removed":
        path, body = f"/api/v1/perms/asset-permissions/{admin.named('/api/v1/perms/asset-permissions/', f'deny-{name}')['id']}/", None
    elif what == "user disabled":
        path, body = f"/api/v1/users/users/{admin.named('/api/v1/users/users/', name, 'username')['id']}/", {"is_active": False}
    elif what == "asset disabled":
        path, body = f"/api/v1/assets/hosts/{admin.named('/api/v1/assets/assets/', f'host-{name}')['id']}/", {"is_active": False}
    else:
        asset = admin.named("/api/v1/assets/assets/", f"host-{name}")["id"]
        found = admin.rows("/api/v1/accounts/accounts/", asset=asset)
        path, body = f"/api/v1/accounts/accounts/{found[0]['id']}/", {"is_active": False} if what == "account disabled" else None

    admin.ok(admin.delete(path) if body is None else admin.patch(path, body))
    text = cut_within_a_second(client, time.monotonic())

    assert re.search(r"withdrawn|disabled|closed", text), text
    assert "revoked" in finished(house, name)


def test_an_expiring_permission_cuts_the_live_session_on_time(house, live):
    name, client = live
    admin = house.admin
    found = admin.named("/api/v1/perms/asset-permissions/", f"deny-{name}")
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    admin.ok(admin.patch(f"/api/v1/perms/asset-permissions/{found['id']}/", {"date_expired": end.isoformat()}))
    deadline = time.monotonic() + (end - datetime.datetime.now(datetime.timezone.utc)).total_seconds()

    text = cut_within_a_second(client, deadline)

    assert time.monotonic() > deadline - 0.5, "cut too early"
    assert re.search(r"expired|withdrawn", text), text


def test_a_session_is_killed_by_api(house, live):
    name, client = live
    row = until(lambda: [s for s in house.admin.sessions(is_finished="false") if name in str(s["user"])], "the live session")[0]

    house.admin.ok(house.admin.post("/api/v1/terminal/tasks/kill-session/", [row["id"]]))
    text = cut_within_a_second(client, time.monotonic())

    assert re.search(r"ended by", text), text
    assert "killed" in finished(house, name)


def test_another_persons_session_is_untouched_by_a_withdrawal(house, live):
    name, client = live
    other = house.door.popen("echo up; read line; echo still-$line", tty=False)
    assert other.stdout.readline() == b"up\n"

    house.admin.ok(house.admin.delete(f"/api/v1/perms/asset-permissions/{house.admin.named('/api/v1/perms/asset-permissions/', f'deny-{name}')['id']}/"))
    client.wait(10)

    out, _ = other.communicate(b"here\n", timeout=20)
    assert out == b"still-here\n"
