"""Data-quality rules: queries that find the rows which break them, over the tables and the newest release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import duckdb
import pyarrow as pa

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.inspect import RELEASE_VIEWS, connect, select
from data_catalog.printing import plain, shown
from data_catalog.schemas import TABLES
from data_catalog.storage import in_a_line

Severity = Literal["error", "warning"]
RULES = Path(__file__).with_name("checks.sql")
_HEAD = re.compile(r"^-- *(?P<name>\w+) *: *(?P<severity>\w+) *: *(?P<meaning>.+)$")
_EXAMPLES = 3


@dataclass(frozen=True)
class Rule:
    """A property of the data, and the query for the rows that violate it."""

    name: str
    severity: Severity
    meaning: str
    query: str


@dataclass(frozen=True)
class Result:
    """Result of a rule."""

    rule: Rule
    broken: int | None
    """Rows that break it; None where it asks for a release and there is none."""
    examples: tuple[dict[str, Any], ...] = ()
    """The first of them."""
    fault: str = ""
    """Fault of the rule's query, if it could not be run."""

    @property
    def verdict(self) -> str:
        """`holds`, `not asked`, `faulty`, or the rule's severity."""
        if self.fault:
            return "faulty"
        if self.broken is None:
            return "not asked"
        return self.rule.severity if self.broken else "holds"

    @property
    def said(self) -> str:
        """The first rows that break it, or what is wrong with its query, on one line."""
        return self.fault or "; ".join(
            " ".join(f"{name}={shown(value, 60)}" for name, value in row.items()) for row in self.examples
        )


def all_rules(*files: Path) -> list[Rule]:
    """The rules of the tables' description, of `checks.sql`, and of further files, whose rules replace those before.

    Raises:
        CatalogError: a file cannot be read, or a query in it has no head.
    """
    rules = {rule.name: rule for rule in described_rules()}
    for file in (RULES, *files):
        rules |= {rule.name: rule for rule in read_rules(file)}
    return list(rules.values())


def described_rules() -> Iterator[Rule]:
    """A rule for the columns of each table that may not be null, and for each column of another table's keys."""
    for table in TABLES.values():
        # to ask it of pictures would read them all
        filled = [
            column.name for column in table.columns if not (column.null or (table.wide and column.type.num_fields))
        ]
        nulls = " OR ".join(f'"{name}" IS NULL' for name in filled)
        query = f"SELECT {', '.join(table.key)} FROM {table.name} WHERE {nulls}"  # noqa: S608 - names of ours
        yield Rule(f"{table.name}_are_filled", "error", f"{table.name}: not null in {', '.join(filled)}", query)
        for column in table.columns:
            if column.of:
                other, key = column.of.split(".")
                keys = ", ".join(dict.fromkeys([*table.key, column.name]))
                query = (
                    f"SELECT {keys} FROM {table.name} "  # noqa: S608 - names of ours
                    f"WHERE {column.name} NOT IN (SELECT {key} FROM {other})"
                )
                yield Rule(f"{table.name}_{column.name}_exists", "error", f"{column.name} is one of {column.of}", query)


def read_rules(file: Path) -> list[Rule]:
    """The rules of one file.

    Raises:
        CatalogError: it cannot be read, a query has no head or is none that selects, or two rules have one name.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file}: rules cannot be read ({error})") from error
    rules: dict[str, Rule] = {}
    for line, head, query in _queries(text):
        where = f"{file}, line {line}"
        if head is None or head["severity"] not in get_args(Severity):
            raise CatalogError(f"{where}: above a query stands `-- name: {'|'.join(get_args(Severity))}: what holds`")
        name, severity = head["name"], cast(Severity, head["severity"])
        if query is None:
            raise CatalogError(f"{where}: the query of rule {name} does not end with a semicolon")
        if name in rules:
            raise CatalogError(f"{where}: there is a rule {name} above")
        rules[name] = Rule(name, severity, head["meaning"], query)
    return list(rules.values())


def _queries(text: str) -> Iterator[tuple[int, re.Match[str] | None, str | None]]:
    """Every query with the line on which it begins and the head above it; None where it has no end."""
    data = text.encode()
    head: re.Match[str] | None = None
    begin: int | None = None
    for at, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.comment:
            if begin is None and (found := _HEAD.match(data[at:].split(b"\n")[0].decode().rstrip())):
                head = found
        elif data[at : at + 1] == b";" and kind == duckdb.token_type.operator:
            if begin is not None:
                yield data[:begin].count(b"\n") + 1, head, data[begin:at].decode()
            head = begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield data[:begin].count(b"\n") + 1, head, None


def check(catalog: Catalog, rules: Sequence[Rule], planned: pa.Table | None = None) -> list[Result]:
    """Ask every rule.

    Args:
        catalog: tables and releases.
        rules: the rules.
        planned: rows of a release that is about to be written, to be asked instead of the newest one, which is then the
            parent; a release's columns but for the image, and `split`.

    A rule whose query is wrong is among the results, with what is wrong.
    """
    with connect(catalog) as connection:
        if planned is not None:
            # the newest release is the parent of the one that is planned
            connection.execute("DROP VIEW IF EXISTS parent")
            if "release" in _views(connection):
                connection.execute("ALTER VIEW release RENAME TO parent")
            connection.register("release", planned)
        missing = {*RELEASE_VIEWS} - _views(connection)
        return [_ask(connection, rule, missing) for rule in rules]


def _views(connection: duckdb.DuckDBPyConnection) -> set[str]:
    names = connection.sql("SELECT table_name FROM information_schema.tables").fetchall()
    return {str(name) for (name,) in names}


def broken(results: Iterable[Result]) -> bool:
    """Tell whether a rule of the severity `error` does not hold, or could not be asked because it is wrong."""
    return any(result.verdict in ("error", "faulty") for result in results)


def _ask(connection: duckdb.DuckDBPyConnection, rule: Rule, missing: set[str]) -> Result:
    if missing & set(re.findall(r"\w+", rule.query)):
        return Result(rule, None)
    try:
        found = select(connection, rule.query)
        first = found.limit(_EXAMPLES).to_arrow_table().to_pylist()
        count = len(first) if len(first) < _EXAMPLES else len(found)
    except (duckdb.Error, CatalogError) as error:
        return Result(rule, None, fault=in_a_line(error))
    return Result(rule, count, tuple({name: plain(value) for name, value in row.items()} for row in first))
