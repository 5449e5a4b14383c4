"""A store on SQLite, and where there is a server, the same on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.store import Store, open_store


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
