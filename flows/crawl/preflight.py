"""Checks before a crawl: keys, quota, tools, disk, write access, the media lanes."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import SecretStr

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, StorageError
from data_catalog.storage import Place, nearest, try_writing, working_folder
from flows.checks import Check
from flows.crawl.data_api.client import ENDPOINT, YouTube
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.data_api.quota import GET_A_KEY, Ledger, key_name, next_reset
from flows.crawl.media.downloader import js_runtimes, read_cookies
from flows.crawl.media.lane import LANE
from flows.crawl.media.store import USUAL_BYTES, media_folder
from flows.crawl.steps import open_ledger
from flows.errors import ApiUnreachableError, CrawlError, QuotaExhaustedError
from flows.settings import Settings
from flows.settings.crawl import CrawlSettings, MediaSettings

UPDATE = "pip install -U 'yt-dlp[default,deno]'"
OLD = 60
"""Days after which yt-dlp, which the site changes under every month, is worth a look."""

_A_VIDEO = "jNQXAC9IVRw"
# what yt-dlp takes
_OLDEST = {"deno": (2, 3, 0), "node": (22, 0, 0)}


def check(settings: Settings, catalog: Catalog) -> list[Check]:
    """Check everything that a crawl needs; costs one unit of quota for each key."""
    crawl = settings.crawl
    return [
        *_check_catalog(settings, catalog),
        check_connection("Data API", crawl.endpoint or ENDPOINT, crawl.timeout_s),
        check_connection("site", crawl.site, crawl.timeout_s),
        check_js_runtime(js_runtimes()),
        check_yt_dlp(version("yt-dlp"), date.today()),  # noqa: DTZ011 - a day more or less
        *([check_cookies(settings.media.cookies)] if settings.media.cookies else []),
    ]


def check_key(key: SecretStr, settings: CrawlSettings, ledger: Ledger) -> Check:
    """Check that the Data API accepts a key; costs one unit."""
    plain = key.get_secret_value()
    name = f"key {key_name(plain)}"
    alone = settings.model_copy(update={"api_key": key, "api_keys": (), "attempts": 1})
    try:
        youtube = YouTube(alone, ledger, seed=0)
        try:
            youtube.videos([_A_VIDEO], "id")
        finally:
            youtube.close()
    except QuotaExhaustedError as error:
        return Check(name, None, str(error), "wait until then, or give another key in crawl.api_keys")
    except ApiUnreachableError:
        return Check(name, False, "not asked about: nothing answers there", "mend the connection, see below")
    except FaultError as error:
        return Check(name, False, str(error), "run the check again; if it stays, look at the network")
    except CrawlError as error:
        return Check(name, False, str(error), "set a key that the API accepts as YTB_ADS__CRAWL__API_KEY")
    return Check(name, True, "accepted by the Data API")


def check_quota(key: str, ledger: Ledger) -> Check:
    """Check the quota that a key has left today."""
    left = {"searches": ledger.left(key, "searches"), "units": ledger.left(key, "units")}
    said = "; ".join(
        f"{budget}: {ledger.spent(key, budget):,} spent today, {left[budget]:,} left of {ledger.limits[budget]:,}"
        for budget in ("searches", "units")
    )
    name = f"quota of {key_name(key)}"
    spent = [budget for budget, number in left.items() if not number]
    if not spent:
        return Check(name, True, said)
    return Check(name, None, said, f"{' and '.join(spent)} begin anew at {_utc(next_reset(ledger.now()))}")


def check_lanes(ledger: Ledger) -> Check:
    """Check that the media lanes are not paused."""
    pause = ledger.paused(LANE)
    if pause is None:
        return Check("media lanes", True, "open")
    todo = f"wait until {_utc(pause.until)}, or solve it and run `ytb-ads crawl --resume-media`"
    return Check("media lanes", None, pause.reason, todo)


def check_js_runtime(runtimes: Mapping[str, Mapping[str, str]]) -> Check:
    """Check that one of these programs can run the site's JavaScript for yt-dlp."""
    found = {name: _version_of(settings.get("path", name)) for name, settings in runtimes.items()}
    good = {name: number for name, number in found.items() if number and number >= _OLDEST[name]}
    said = ", ".join(f"{name} {_dotted(number)}" if number else f"no {name}" for name, number in found.items())
    if not good:
        oldest = " or ".join(f"{name} {_dotted(number)}" for name, number in _OLDEST.items())
        return Check("JavaScript runtime", False, said, f"{UPDATE}; {oldest} or newer is needed")
    try:
        solver = version("yt-dlp-ejs")
    except PackageNotFoundError:
        return Check("JavaScript runtime", False, f"{said}; yt-dlp-ejs is not installed", UPDATE)
    return Check("JavaScript runtime", True, f"{said}; yt-dlp-ejs {solver}")


def check_yt_dlp(number: str, today: date) -> Check:
    """Check the age of yt-dlp; its version is a date."""
    try:
        year, month, day = map(int, number.split(".")[:3])
        age = (today - date(year, month, day)).days
    except ValueError:
        return Check("yt-dlp", None, f"{number}, which names no day", UPDATE)
    said = f"{number}, {age} days old"
    return Check("yt-dlp", None, said, f"{UPDATE} if videos fail") if age > OLD else Check("yt-dlp", True, said)


def check_cookies(path: Path) -> Check:
    """Check that the file of cookies holds any for the site."""
    try:
        cookies = read_cookies(path)
    except CrawlError as error:
        return Check("cookies", False, str(error), "export them from a browser that is signed in, as cookies.txt")
    number = sum("youtube.com\t" in line for line in cookies.splitlines())
    if not number:
        return Check("cookies", None, f"{path}: none of them is YouTube's", "export those of www.youtube.com")
    return Check("cookies", True, f"{path}: {number} of YouTube")


def check_connection(name: str, address: str, timeout_s: float) -> Check:
    """Check that a host answers, with a trusted certificate; no request is sent."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return Check(name, True, f"{host}, by way of the proxy that the environment names")
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            if parts.scheme == "https":
                with ssl.create_default_context().wrap_socket(connection, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        todo = "look at this machine's clock; if a proxy stands in between, name its certificate in SSL_CERT_FILE"
        return Check(name, False, f"{host}: its certificate is not trusted: {error.verify_message}", todo)
    except OSError as error:
        return Check(name, False, f"{host}: {error.strerror or error}", "look at the network, or a firewall")
    return Check(name, True, f"{host} answers")


def check_writable(name: str, folder: Place) -> Check:
    """Check that files can be created in a folder, or in the one that it will be created in."""
    try:
        try_writing(folder)
    except OSError as error:
        return Check(name, False, f"{error.filename}: {error.strerror}", "make it writable, or name another place")
    except StorageError as error:
        return Check(name, False, str(error), "mend that, or name another place")
    return Check(name, True, f"{folder} can be written")


def check_disk(folder: Path, ads: int, each_bytes: float, settings: MediaSettings) -> Check:
    """Check that there is room for the videos still to be fetched."""
    free = shutil.disk_usage(nearest(folder)).free
    need = ads * each_bytes
    said = f"{_size(free)} free; about {_size(need)} for {ads:,} videos of {_size(each_bytes)} still to be fetched"
    todo = f"make room in {folder}, or set media.keep = false to keep frames only"
    if free < settings.max_size_mb * 1e6:
        return Check("disk", False, f"{said}, and one may take {settings.max_size_mb} MB", todo)
    return Check("disk", None, said, todo) if free < need else Check("disk", True, said)


def videos_to_come(ads: Sequence[Mapping[str, Any]], settings: Settings) -> tuple[int, float]:
    """Count the videos still to be stored, and estimate the size of one.

    Args:
        ads: rows of `ads` from YouTube, with `media_status` and `media_size_bytes`.
        settings: how many ads are wanted, how high, and whether they stay.
    """
    had = sum(ad["media_status"] != "missing" for ad in ads)
    missing = max(0, sum(category.count for category in settings.crawl.categories.values()) - had)
    sizes = [ad["media_size_bytes"] for ad in ads if ad["media_size_bytes"]]
    each = statistics.median(sizes) if sizes else USUAL_BYTES * (settings.media.height / 360) ** 2
    return (missing if settings.media.keep else min(missing, settings.runner.batch_ads)), each


def _check_catalog(settings: Settings, catalog: Catalog) -> Iterator[Check]:
    """Check the catalog's folder, and the ledger in it."""
    folder = working_folder(media_folder(catalog))
    yield check_writable("catalog", catalog.place)
    yield check_writable("media store", folder)
    try:
        rows = catalog.read("ads", ["source", "media_status", "media_size_bytes"]).to_pylist()
    except CatalogError as error:
        yield Check("tables", False, str(error), "restore the table's folder, or name another catalog")
        rows = []
    ads, each = videos_to_come([row for row in rows if row["source"] == SOURCE], settings)
    yield check_disk(folder, ads, each, settings.media)
    try:
        with open_ledger(catalog, settings) as ledger:
            yield Check("ledger", True, f"{ledger.path} can be written")
            yield from _check_ledger(settings.crawl, ledger)
    except (CrawlError, StorageError) as error:
        yield Check("ledger", False, str(error), "make it writable, or name another file in crawl.quota.ledger")


def _check_ledger(settings: CrawlSettings, ledger: Ledger) -> Iterator[Check]:
    if not settings.given_keys:
        yield Check("key", False, "none is set", GET_A_KEY)
    for key in settings.given_keys:
        yield check_key(key, settings, ledger)
        yield check_quota(key.get_secret_value(), ledger)
    yield check_lanes(ledger)


def _version_of(program: str) -> tuple[int, ...] | None:
    """Version that `PROGRAM --version` prints; None if there is no such program or it prints none."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in found.groups()) if found and not done.returncode else None


def _dotted(number: Sequence[int]) -> str:
    return ".".join(map(str, number))


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"
