"""Google's own description of the API, as its client carries it: parameters, their values, parts and fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from tests.youtube_sandbox.errors import (
    REFUSALS,
    RefusedError,
    invalid,
    missing,
    no_field,
    no_part,
    out_of_range,
    unknown,
)

Fields = dict[str, Any]
"""Names of the fields that are wanted; below each those of its own, or nothing for all of it."""

METHODS = ("search", "videos", "channels", "playlistItems", "commentThreads", "comments")
_OF_EVERY_ITEM = ("kind", "etag")


def check_call(method: str, parameters: Mapping[str, str]) -> None:
    """Make sure that the API has this method, its parameters, their values, its parts and the fields asked for.

    Raises:
        RefusedError: it does not.
    """
    if method not in METHODS:
        raise RefusedError(REFUSALS["http_404"])
    known = _parameters(method)
    for name, value in parameters.items():
        if name not in known:
            raise RefusedError(unknown(name))
        _check_value(name, value, known[name])
    for name, described in known.items():
        if described.get("required") and not parameters.get(name):
            raise RefusedError(missing(name))
    for part in parameters["part"].split(","):
        if part not in _parts(method):
            raise RefusedError(no_part(part))
    if parameters.get("fields"):
        fields_of(method, parameters["fields"])


def page_size(method: str, parameters: Mapping[str, str]) -> int:
    """The number of items that a checked call wants on a page."""
    return int(parameters.get("maxResults") or _parameters(method)["maxResults"]["default"])


@lru_cache(maxsize=256)
def fields_of(method: str, text: str) -> Fields:
    """Read what the parameter `fields` selects, as `nextPageToken,items(id,snippet/title)`.

    Raises:
        RefusedError: the answer has no such field, or this is no selection.
    """
    tokens = iter([*re.findall(r"[(),/]|[^(),/\s]+", text), ""])
    fields, last = _read_list(tokens)
    if last:
        raise RefusedError(invalid("fields", text))
    _check_fields(fields, answer_schema(method))
    return fields


def select(value: Any, fields: Fields) -> Any:
    """What is left of an answer when only these fields are wanted."""
    if not fields or "*" in fields:
        return value
    if isinstance(value, list):
        return [select(item, fields) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: select(value[name], fields[name]) for name in value if name in fields}


def _check_value(name: str, value: str, described: Mapping[str, Any]) -> None:
    if described["type"] == "integer":
        least, most = int(described["minimum"]), int(described["maximum"])
        if not value.isdecimal() or not least <= int(value) <= most:
            raise RefusedError(out_of_range(name, value, least, most))
    if "enum" in described and value not in described["enum"]:
        raise RefusedError(invalid(name, value))


def _read_list(tokens: Iterator[str]) -> tuple[Fields, str]:
    """Fields up to the end or a closing bracket, and what ended them."""
    fields: Fields = {}
    while True:
        name = next(tokens)
        if not name or name in "(),/":
            raise RefusedError(invalid("fields", name))
        below, end = _read_below(tokens)
        fields.setdefault(name, {}).update(below)
        if end != ",":
            return fields, end


def _read_below(tokens: Iterator[str]) -> tuple[Fields, str]:
    """What follows a name: the fields below it, and the sign behind them."""
    sign = next(tokens)
    if sign == "/":
        name = next(tokens)
        below, end = _read_below(tokens)
        return {name: below}, end
    if sign == "(":
        below, end = _read_list(tokens)
        if end != ")":
            raise RefusedError(invalid("fields", "("))
        return below, next(tokens)
    return {}, sign


def _check_fields(fields: Fields, schema: Mapping[str, Any]) -> None:
    for name, below in fields.items():
        if name == "*":
            continue
        if name not in schema:
            raise RefusedError(no_field(name))
        _check_fields(below, fields_below(schema[name]))


def fields_below(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields of an object, of the objects of a list, or none; each with its own description."""
    schema = schema.get("items", schema)
    schema = _document()["schemas"][schema["$ref"]] if "$ref" in schema else schema
    return dict(schema.get("properties", {}))


@cache
def answer_schema(method: str) -> Mapping[str, Any]:
    """The fields of a method's answer, each with its description."""
    return fields_below(_document()["resources"][method]["methods"]["list"]["response"])


@cache
def _parts(method: str) -> frozenset[str]:
    return frozenset(fields_below(answer_schema(method)["items"])).difference(_OF_EVERY_ITEM)


@cache
def _parameters(method: str) -> Mapping[str, Any]:
    return _document()["parameters"] | _document()["resources"][method]["methods"]["list"]["parameters"]


@cache
def _document() -> dict[str, Any]:
    folder = files("googleapiclient.discovery_cache.documents")
    return dict(json.loads(folder.joinpath("youtube.v3.json").read_text("utf-8")))
