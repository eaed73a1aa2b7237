"""Planted secrets appear nowhere: not in files, logs, answers, recordings, plans or process arguments."""

import base64
import secrets

import pytest
from conftest import build_house
from harness.door import Door
from harness.screen import Screen
from harness.target import KEY_ACCOUNT, PASSWORD_ACCOUNT
from harness.wait import until

API_LISTS = [
    "/api/v1/users/users/",
    "/api/v1/users/groups/",
    "/api/v1/assets/assets/",
    "/api/v1/assets/hosts/",
    "/api/v1/assets/nodes/",
    "/api/v1/assets/platforms/",
    "/api/v1/accounts/accounts/",
    "/api/v1/perms/asset-permissions/",
    "/api/v1/terminal/sessions/",
    "/api/v1/terminal/commands/",
    "/api/v1/audits/login-logs/",
    "/api/v1/audits/operate-logs/",
    "/api/v1/audits/password-change-logs/",
    "/api/v1/audits/entries/",
    "/api/v1/rbac/roles/",
]


@pytest.mark.parametrize("flavour", ["sqlite", "postgres"])
def test_planted_secrets_are_found_nowhere(flavour, tmp_path, target, direct, alice_key, request):
    url = request.getfixturevalue("postgres").database() if flavour == "postgres" else None
    house = build_house(
        tmp_path / "canary" / "data", target, direct, alice_key, url, admin_password="Canary-Admin-" + secrets.token_hex(6), env={"RAMPART_LOG": "debug"}
    )
    server = house.server
    person = "Canary-Person-" + secrets.token_hex(6)
    typed = "canary-typed-" + secrets.token_hex(6)
    stored = "Canary-Stored-" + secrets.token_hex(6)
    try:
        server.apply(
            f"""\
kind: User
metadata: {{name: canary}}
spec: {{name: Canary, email: canary@example.org, groups: [ops], password: {{value: {person}}}}}
---
kind: Host
metadata: {{name: canary-host}}
spec:
  address: 127.0.0.3
  platform: Linux
  nodes: [/Default/Web]
  protocols: [ssh/{target.port}]
  accounts: [{{username: root, secret: {{value: {stored}}}}}]
""",
            name="canary.yaml",
        )
        (server.home / "canary.yaml").unlink()
        (server.home / "data-state.yaml").unlink()

        # Every way a secret travels: API login, SSH password login, a target's password, a target's key, a refused password, a no-echo prompt.
        client = server.api().login("canary", person)
        bearer = client.token
        assert Door(server.ssh_port, f"canary@{PASSWORD_ACCOUNT}@web1", password=person).run("echo in").stdout == b"in\n"
        assert house.door.as_user(f"alice@{KEY_ACCOUNT}@web1").run("echo in").stdout == b"in\n"
        assert Door(server.ssh_port, "canary@root@canary-host", password=person).run("true").returncode != 0
        screen = Screen(house.door.spawn())
        screen.wait_for("$ ")
        screen.line("read -s hidden; echo len-${#hidden}")
        screen.pump(0.4)
        screen.line(typed)
        screen.wait_for(f"len-{len(typed)}")
        screen.line("exit")
        screen.close()
        wrong = "Canary-Wrong-" + secrets.token_hex(6)
        Door(server.ssh_port, "canary@root@canary-host", password=wrong).run("true")
        until(lambda: all(s["is_finished"] for s in house.admin.sessions()), "every session to be closed")

        private = target.key.read_text().splitlines()
        needles = {
            "administrator's password": server.admin_password,
            "person's password": person,
            "wrong password": wrong,
            "bearer token": bearer,
            "target's password": target.password,
            "stored password": stored,
            "typed secret": typed,
            "private key": private[2],
        }

        places = {}
        for path in API_LISTS:
            places[path] = house.admin.get(path, limit=100).content
        played = [s for s in house.admin.sessions() if s["is_success"]]
        assert played
        for s in played:
            for how in ("--text", "--cast"):
                places[f"play {how} {s['id']}"] = server.cli("play", s["id"], how).stdout.encode()
        places["export"] = server.cli("export").stdout.encode()
        places["metrics"] = server.api().get("/metrics").content
        places["log"] = server.output().encode()
        places["process arguments"] = b"\n".join(open(f"/proc/{server.process.pid}/{n}", "rb").read() for n in ("cmdline",))
        server.stop()
        for path in server.data.rglob("*"):
            if path.is_file():
                places[f"file {path.relative_to(server.data)}"] = path.read_bytes()
        if url:
            tables = request.getfixturevalue("postgres").sql(url, "select table_name from information_schema.tables where table_schema='public'").split()
            assert tables
            for table in tables:
                places[f"table {table}"] = request.getfixturevalue("postgres").sql(url, f"select t::text from {table} t").encode()

        found = []
        for what, needle in needles.items():
            for form in (needle, base64.b64encode(needle.encode()).decode().rstrip("=")[:-1], needle.encode().hex()):
                found += [f"the {what} is in {place}" for place, content in places.items() if form.encode() in content]
        assert not found, "\n".join(found)
        assert len(places) > 20
    finally:
        server.stop()
