"""Refusals of an object store as one sentence: the fault, the place, and the remedy."""

from __future__ import annotations

import re
from typing import NamedTuple

from data_catalog.errors import StorageError

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SERVER_SAYS = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_BACKTRACE = re.compile(r"\n\s*(Debug source:|stack backtrace:|Backtrace:)")


class _Fault(NamedTuple):
    signs: re.Pattern[str]
    what: str
    remedy: str


_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, of keys that expire, AWS_SESSION_TOKEN"
_FAULTS = (
    _Fault(
        re.compile(r"NoSuchBucket|bucket does not exist|InvalidBucketName"),
        "there is no such bucket",
        "make the bucket, or check its name and AWS_ENDPOINT_URL",
    ),
    _Fault(
        re.compile(
            r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved"
            r"|region '[^']*' is wrong|BadRegion|Received redirect without LOCATION"
        ),
        "the bucket is in another region",
        "set AWS_REGION to the bucket's own",
    ),
    _Fault(re.compile(r"InvalidAccessKeyId|InvalidClientTokenId"), "the access key is not known there", _CREDENTIALS),
    _Fault(re.compile(r"SignatureDoesNotMatch"), "the secret key is not that of the access key", _CREDENTIALS),
    _Fault(re.compile(r"ExpiredToken|TokenRefreshRequired|InvalidToken"), "the session has expired", _CREDENTIALS),
    _Fault(re.compile(r"RequestTimeTooSkewed"), "this machine's clock is wrong", "set the clock"),
    _Fault(
        re.compile(r"latest/api/token|169\.254\.169\.254|CredentialsNotLoaded|no providers in chain|MissingCredential"),
        "no credentials are set",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    _Fault(
        re.compile(r"AccessDenied|AllAccessDisabled|403 Forbidden|401 Unauthorized|\bForbidden\b"),
        "access is denied",
        f"{_CREDENTIALS}, and that they may read, write, list and delete there",
    ),
    _Fault(
        re.compile(r"dns error|failed to lookup|tcp connect error|\(Connect\)|kind: Connect|Connection refused"),
        "the server cannot be reached",
        "check AWS_ENDPOINT_URL and the network, then run again",
    ),
    _Fault(
        re.compile(
            r"timed ?out|connection (closed|reset)|\(SendRequest\)|broken pipe|IncompleteMessage", re.IGNORECASE
        ),
        "the server does not answer",
        "check the network, then run again: what was done is kept",
    ),
    _Fault(
        re.compile(r"SlowDown|503 Service Unavailable|500 Internal|502 Bad|504 Gateway|InternalError"),
        "the server is failing",
        "run again later: what was done is kept",
    ),
    _Fault(
        re.compile(r"URL scheme is not allowed|[Ii]nvalid URL|relative URL without a base|builder error"),
        "the endpoint is no address",
        "set AWS_ENDPOINT_URL as https://HOST or http://HOST:PORT",
    ),
    _Fault(
        re.compile(r"400 Bad Request"),
        "the request is not understood there",
        "check AWS_REGION and AWS_ENDPOINT_URL",
    ),
)


def refused(where: str, error: BaseException) -> StorageError | None:
    """The error of a store that cannot be used; None if this is another kind of error."""
    said = _ANSI.sub("", str(error))  # what could not be connected to stands in obstore's trace alone
    for fault in _FAULTS:
        if fault.signs.search(said):
            return StorageError(f"{where}: {fault.what}; {fault.remedy}")
    return None


def unknown_refusal(where: str, error: BaseException) -> StorageError:
    """The error of a store that refuses for a reason of its own, in its words."""
    return StorageError(f"{where}: the object store refuses ({in_a_line(error)}); mend that, then run again")


def in_a_line(error: BaseException) -> str:
    """An error of a Rust library without its colours, its stack trace and its line breaks."""
    said = _without_trace(error)
    if message := _SERVER_SAYS.search(said):
        said = message.group(1)
    return " ".join(said.replace("↳", "-").split())[:300] or type(error).__name__


def _without_trace(error: BaseException) -> str:
    return _BACKTRACE.split(_ANSI.sub("", str(error)), maxsplit=1)[0]
