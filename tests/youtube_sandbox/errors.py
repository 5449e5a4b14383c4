"""Refusals in the words of the Data API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Refusal = tuple[int, dict[str, Any]]
"""Status and body."""


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def refusal(
    code: int,
    reason: str,
    message: str,
    *,
    domain: str = "global",
    location: str | None = None,
    status: str | None = None,
) -> Refusal:
    """An error in the API's shape."""
    entry = {"message": message, "domain": domain, "reason": reason}
    if location:
        entry |= {"location": location, "locationType": "parameter"}
    error: dict[str, Any] = {"code": code, "message": message, "errors": [entry]}
    if status:
        error["status"] = status
    return code, {"error": error}


REFUSALS: dict[str, Refusal] = {
    name: (status, body)
    for name, (status, body) in json.loads(Path(__file__).with_name("refusals.json").read_text("utf-8")).items()
}
"""Refusals by name, in the words of the API."""

BAD_GATEWAY = (
    b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n"
    b"<p><b>502.</b> <ins>That\xe2\x80\x99s an error.</ins>\n"
    b"<p>The server encountered a temporary error and could not complete your request.\n"
)


def missing(parameter: str) -> Refusal:
    """A required parameter is not there."""
    message = f"The request is missing a required parameter: {parameter}"
    return refusal(400, "missingRequiredParameter", message, domain="youtube.parameter", location=parameter)


def out_of_range(parameter: str, value: str, least: int, most: int) -> Refusal:
    """A number is not one of those allowed."""
    message = f"Invalid value '{value}'. Values must be within the range: [{least}, {most}]"
    return refusal(400, "invalidParameter", message, location=parameter)


def invalid(parameter: str, value: str) -> Refusal:
    """A value that the parameter does not take."""
    message = f"Invalid value at '{parameter}': '{value}'"
    return refusal(400, "invalidParameter", message, location=parameter, status="INVALID_ARGUMENT")


def unknown(parameter: str) -> Refusal:
    """A parameter that the method does not have."""
    message = f'Invalid JSON payload received. Unknown name "{parameter}": Cannot bind query parameter.'
    return refusal(400, "badRequest", message, status="INVALID_ARGUMENT")


def no_part(part: str) -> Refusal:
    """A part that the resource does not have."""
    return refusal(400, "unknownPart", f"'{part}'", domain="youtube.part", location="part")


def no_field(field: str) -> Refusal:
    """A field that the answer does not have."""
    return refusal(400, "invalidParameter", f"Invalid field selection {field}", location="fields")
