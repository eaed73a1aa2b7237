"""Fixtures: a real sshd, a real PostgreSQL, the built server, and the state most tests share."""

import pytest
from harness.door import Door
from harness.postgres import Postgres
from harness.rampart import Rampart
from harness.target import PASSWORD_ACCOUNT, Target, keygen
from harness.world import House, state


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder for the whole run that unix accounts can look into."""
    folder = tmp_path_factory.mktemp("e2e")
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def target(workplace):
    """The real sshd."""
    machine = Target(workplace / "target").start()
    yield machine
    machine.stop()


@pytest.fixture(scope="session")
def postgres():
    """The real PostgreSQL."""
    cluster = Postgres()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def alice_key(workplace):
    """alice's private key file."""
    return keygen(workplace / "alice_key", comment="alice@laptop")


@pytest.fixture(scope="session")
def direct(target):
    """Straight to the target, as its password account but with a key."""
    return Door(target.port, PASSWORD_ACCOUNT, target.key)


def build_house(folder, target, direct, alice_key, database_url=None, **more):
    """A started server with the shared state applied."""
    server = Rampart(folder, database_url, **more).start()
    try:
        server.apply(state(target, alice_key.with_suffix(".pub").read_text().strip()), name=f"{server.data.name}-state.yaml")
    except BaseException:
        server.stop()
        raise
    door = Door(server.ssh_port, f"alice@{PASSWORD_ACCOUNT}@web1", alice_key)
    return House(server, target, door, direct, alice_key)


@pytest.fixture(scope="session")
def house(workplace, target, direct, alice_key):
    """The server most tests share. A test that stops it or locks people out takes `own_house` instead."""
    built = build_house(workplace / "house" / "data", target, direct, alice_key)
    yield built
    built.server.stop()


@pytest.fixture(scope="session")
def pg_house(workplace, target, direct, alice_key, postgres):
    """The same on PostgreSQL."""
    built = build_house(workplace / "pg-house" / "data", target, direct, alice_key, postgres.database())
    yield built
    built.server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def each_house(request):
    """Both of them, one after the other."""
    return request.getfixturevalue("house" if request.param == "sqlite" else "pg_house")


@pytest.fixture
def own_house(tmp_path, target, direct, alice_key):
    """A server for one test alone."""
    built = build_house(tmp_path / "own" / "data", target, direct, alice_key)
    yield built
    built.server.stop()


@pytest.fixture
def fresh(tmp_path):
    """Makes servers on new data directories, stopped at the end."""
    made = []

    def make(name="data", **more):
        made.append(Rampart(tmp_path / name, **more))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None:
            server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request):
    """None for the embedded database, else the URL of a new PostgreSQL database."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").database()
