"""Starting: readiness, the first administrator, one server a data directory, nothing lost over a restart."""

import re
import subprocess
import time

from harness.api import Api
from harness.rampart import ADMIN_PASSWORD, BINARY
from harness.wait import until


def test_a_new_and_an_existing_data_directory_become_ready(fresh, database_url, capsys):
    server = fresh(database_url=database_url).start()
    first = server.ready_after
    until(lambda: server.api().get("/healthz").status_code == 200, "healthz")
    server.stop()

    server.start()

    with capsys.disabled():
        print(
            f"\n  ready after {first:.2f} s on a new, {server.ready_after:.2f} s on an existing data directory, {server.resident_kib() / 1024:.0f} MiB resident"
        )
    # The promise is 3 s and 1 s; a busy machine gets some room.
    assert first < 6
    assert server.ready_after < 3
    assert server.resident_kib() < 80 * 1024


def test_stopping_is_clean_and_quick(fresh):
    server = fresh().start()
    begun = time.monotonic()

    code = server.stop()

    assert code == 0
    assert time.monotonic() - begun < 10


def test_a_second_server_on_the_same_data_directory_refuses_and_says_why(fresh):
    server = fresh().start()

    second = subprocess.run(
        [str(BINARY), "serve", "--data", str(server.data)],
        env=server.env | {"RAMPART_WEB_LISTEN": "127.0.0.1:0", "RAMPART_SSH_LISTEN": "127.0.0.1:0"},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert second.returncode != 0
    text = second.stdout + second.stderr
    assert str(server.data) in text or "data directory" in text.lower()
    assert re.search(r"already|in use|another|running", text, re.I), text
    assert "panicked" not in text
    assert server.ready()


def test_without_a_password_a_setup_link_is_printed_and_nobody_gets_in_before_it_was_used(fresh):
    server = fresh(admin_password=None).start()
    link = until(lambda: re.search(r"https?://\S*setup\S*", server.output()), "the setup link").group(0)
    for guess in ("", "admin", "ChangeMe", "password", "rampart"):
        assert server.api().post("/api/v1/authentication/auth/", {"username": "admin", "password": guess}).status_code in (400, 401, 403)
    path = "/" + link.split("://", 1)[1].split("/", 1)[1]

    page = server.api().get(path)
    assert page.status_code == 200, page.text
    token = re.search(r"token=([^&\s]+)", path) or re.search(r"setup/([^/?\s]+)", path)
    used = server.api().post("/api/v1/authentication/setup/", {"token": token.group(1), "password": ADMIN_PASSWORD})
    assert used.status_code < 300, f"{used.status_code} {used.text}"

    assert server.api().login("admin", ADMIN_PASSWORD).get("/api/v1/users/profile/").status_code == 200
    again = server.api().post("/api/v1/authentication/setup/", {"token": token.group(1), "password": ADMIN_PASSWORD + "2"})
    assert again.status_code >= 400, "a setup link works once"


def test_the_password_variable_counts_on_the_very_first_start_only(fresh):
    server = fresh().start()
    server.stop()

    server.start(RAMPART_ADMIN_PASSWORD="Another-Horse-8-Battery")

    assert server.api().login("admin", ADMIN_PASSWORD)
    other = server.api().post("/api/v1/authentication/auth/", {"username": "admin", "password": "Another-Horse-8-Battery"})
    assert other.status_code in (400, 401)


def test_a_restart_keeps_everything(own_house):
    server = own_house.server
    assert own_house.door.run("echo before").stdout == b"before\n"
    before = server.cli("export").stdout
    sessions = own_house.admin.sessions()
    host_key = server.host_key_fingerprint()

    server.stop()
    server.start()

    assert server.cli("export").stdout == before
    assert server.host_key_fingerprint() == host_key
    assert {s["id"] for s in server.admin().sessions()} >= {s["id"] for s in sessions}
    assert own_house.door.run("echo after").stdout == b"after\n"
    assert server.cli("audit", "verify").returncode == 0


def test_the_generated_certificate_serves_https(fresh):
    server = fresh(tls="auto").start()

    answer = Api(server.url).get("/healthz")

    assert answer.status_code == 200
    assert answer.url.startswith("https://")
    assert "max-age" in answer.headers.get("Strict-Transport-Security", "")


def test_wrong_configuration_is_named_and_nothing_starts(fresh):
    server = fresh(env={"RAMPART_SSH_LISTEN": "not-an-address"})
    server.spawn()

    until(lambda: not server.process.alive(), "the server to give up")

    assert server.process.child.returncode != 0
    assert "not-an-address" in server.output() or "ssh" in server.output().lower()
    assert "panicked" not in server.output()


def test_metrics_are_there_for_loopback(house):
    text = house.server.api().get("/metrics").text

    assert re.search(r"^# TYPE \w+", text, re.M)
    assert "rampart" in text
