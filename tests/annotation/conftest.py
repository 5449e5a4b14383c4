"""A store on SQLite, and where there is a server, the same on PostgreSQL."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.store import Store, open_store

VARIABLE = "YTB_ADS_TEST_POSTGRES"
"""Names a server to test against: a url of a database in which schemas may be made. Without it one is started."""


def _program(name: str) -> str | None:
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(newest[-1]) if newest else shutil.which(name)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Url of a server's database `postgres`."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if given := os.environ.get(VARIABLE):
        yield given
        return
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip(f"no PostgreSQL server: set {VARIABLE}, or install Debian's postgresql")
    # the server refuses to run as root, and its user cannot enter pytest's folders
    as_user: list[str] = []
    folder = Path("/tmp") / f"ytb-ads-postgres-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = next(
            (name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()}), None
        )
        if user is None or shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def call(*command: str) -> None:
        log = tmp_path_factory.mktemp("postgres") / "log"
        with log.open("wb") as out:  # the server would hold a pipe open
            ended = subprocess.run([*as_user, *command], stdout=out, stderr=out, cwd=folder, timeout=60, check=False)
        assert ended.returncode == 0, log.read_text()

    data = str(folder / "data")
    try:
        call(initdb, "--auth=trust", "--username=postgres", "--no-sync", "-D", data)
        call(pg_ctl, "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=''", "start")
        yield f"postgresql://postgres@/postgres?host={folder}"
        call(pg_ctl, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """Url of an empty schema, which is quicker to have than a database."""
    import psycopg

    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield postgres_server + ("&" if "?" in postgres_server else "?") + f"options=-csearch_path%3D{name}"
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store may be made."""
    return (
        str(request.getfixturevalue("postgres")) if request.param == "postgresql" else str(tmp_path / "store.sqlite3")
    )


@pytest.fixture
def store(location: str) -> Iterator[Store]:
    opened = open_store(location)
    yield opened
    opened.close()
