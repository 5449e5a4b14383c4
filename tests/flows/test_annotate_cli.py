"""`ytb-ads annotate`: who is let in, how far they are, what goes in and out, and what is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from annotation.errors import AnnotationError, RoundError, StoreError
from annotation.store.people import JOIN_PATH
from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from flows.commands.main import app
from flows.review.human import review_store
from flows.settings import ReviewSettings, Settings
from tests.flows.conftest import ROOT
from tests.flows.review.people import judge, open_round, small_catalog

TWO = Settings(review=ReviewSettings(policy="human", reviewers=2))


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Four ads, and a round of two reviewers over them."""
    catalog = small_catalog(tmp_path / "catalog")
    with review_store(catalog, TWO.review) as store:
        assert open_round(catalog, store, TWO)
    return catalog


def run(catalog: Catalog | Path, *arguments: str | Path) -> Result:
    """Run a command of `annotate`."""
    root = catalog.root if isinstance(catalog, Catalog) else str(catalog)
    return CliRunner().invoke(app, ["annotate", *map(str, arguments), "--catalog", root])


def done(catalog: Catalog | Path, *arguments: str | Path) -> str:
    """What a command that works prints to standard output."""
    result = run(catalog, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(catalog: Catalog | Path, *arguments: str | Path) -> BaseException:
    result = run(catalog, *arguments)
    assert result.exit_code == 1
    assert result.exception is not None
    return result.exception


def test_an_invitation_is_one_link_on_standard_output_and_lets_its_person_in(catalog: Catalog) -> None:
    link = done(catalog, "invite", "Ann Lee", "--role", "reviewer").strip()
    assert link.startswith(f"http://127.0.0.1:8440{JOIN_PATH}")
    with review_store(catalog, TWO.review) as store:
        person = store.people.admit(link.rpartition("#")[2])
    assert (person.name, person.role) == ("Ann Lee", "reviewer")
    assert link.rpartition("#")[2] not in done(catalog, "people", "--json")


def test_a_renewed_link_ends_the_old_one(catalog: Catalog) -> None:
    old = done(catalog, "invite", "Ann", "--role", "reviewer").strip().rpartition("#")[2]
    assert "invited already" in str(refused(catalog, "invite", "Ann", "--role", "reviewer"))
    assert "has the role reviewer" in str(refused(catalog, "invite", "Ann", "--role", "admin", "--renew"))
    new = done(catalog, "invite", "Ann", "--role", "reviewer", "--renew").strip().rpartition("#")[2]
    with review_store(catalog, TWO.review) as store:
        store.people.admit(new)
        with pytest.raises(AnnotationError):
            store.people.admit(old)


def test_who_is_revoked_is_listed_as_such(catalog: Catalog) -> None:
    done(catalog, "invite", "Ann", "--role", "reviewer")
    done(catalog, "invite", "Vera", "--role", "verifier")
    assert "Ann is shut out" in done(catalog, "revoke", "Ann")
    people = json.loads(done(catalog, "people", "--json"))
    assert {(person["name"], person["role"], person["state"]) for person in people} == {
        ("Ann", "reviewer", "revoked"),
        ("Vera", "verifier", "valid"),
    }
    assert "nobody is called 'Bob'" in str(refused(catalog, "revoke", "Bob"))


def test_the_page_has_another_address_where_the_settings_say_so(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "ytb_ads.toml").write_text('[review]\npage = "https://ads.example.org/"\n')
    assert done(catalog, "invite", "Ann", "--role", "admin").startswith(f"https://ads.example.org{JOIN_PATH}")
    for wrong in ("javascript:alert(1)", "https://a.example?q=1", "https://a.example/x", "a.example"):
        assert run(catalog, "invite", "Bob", "--role", "reviewer", "--url", wrong).exit_code == 2, wrong
    asked = ("invite", "Bob", "--role", "reviewer", "--url", "http://127.0.0.1:9000")
    assert done(catalog, *asked).startswith(f"http://127.0.0.1:9000{JOIN_PATH}")


def test_status_tells_how_far_the_round_and_everybody_is(catalog: Catalog) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda ad, n: "positive" if n == 0 or ad == "a" else "negative", only="ab")
    told = json.loads(done(catalog, "status", "--json"))
    assert told["round"]["by_state"] == {"open": 2, "agreed": 1, "needs_verifier": 1}
    assert [(person["done"], person["total"]) for person in told["people"]] == [(2, 4), (2, 4)]
    assert "Round 1, open: 4 entries" in done(catalog, "status")


def test_agreement_is_told_for_people_and_for_programs(catalog: Catalog) -> None:
    pytest.importorskip("krippendorff")
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda ad, n: "positive" if n == 0 or ad in "ac" else "negative")
    told = json.loads(done(catalog, "agreement", "--json"))
    assert told["pairs"][0]["same_choice"] == {"n": 2, "of": 4, "share": 0.5}
    assert told["krippendorff_alpha"]["n_votes"] == 8
    assert told["comments_and_people"] == [{"comments": "positive", "people": "positive", "n": 2}]
    shown = done(catalog, "agreement")
    assert "Krippendorff's alpha" in shown
    assert "Reviewer 0" in shown


@pytest.mark.parametrize(("kind", "suffix"), [("csv", ".csv"), ("parquet", ".parquet"), ("label-studio", ".json")])
def test_votes_that_are_exported_can_be_imported_into_a_catalog_that_lacks_them(
    kind: str, suffix: str, catalog: Catalog, tmp_path: Path
) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda ad, n: "negative" if ad == "a" else "positive", excluded=["a:1"], only="ab")
        before = votes(catalog)
    file = tmp_path / f"votes{suffix}"
    done(catalog, "export", file, "--format", kind)

    store_file = Path(catalog.root) / "annotation"
    store_file.rename(tmp_path / "kept")
    with review_store(catalog, TWO.review) as store:
        assert open_round(catalog, store, TWO)
        for n in range(2):
            store.people.invite(f"Reviewer {n}", "reviewer")
    assert "4 taken, 0 there already, 0 refused" in done(catalog, "import", file)
    assert votes(catalog) == before
    done(catalog, "import", file)
    assert votes(catalog) == before


def votes(catalog: Catalog) -> set[tuple[str, str, str, tuple[str, ...]]]:
    from tests.annotation.store_builders import states

    with review_store(catalog, TWO.review) as store:
        names = {person.id: person.name for person in store.people.all()}
        return {
            (entry_id, names[person], vote.choice, vote.excluded_frames)
            for entry_id, state in states(store, 1).items()
            for person, vote in state.votes.items()
        }


def test_a_label_studio_file_shows_what_the_page_shows_and_the_comments_label_only_when_asked(
    catalog: Catalog, tmp_path: Path
) -> None:
    done(catalog, "export", tmp_path / "blind.json", "--format", "label-studio", "--frames-url", "https://x.org/f/")
    tasks = json.loads((tmp_path / "blind.json").read_text())
    assert len(tasks) == 4
    assert all(not task["predictions"] and not task["annotations"] for task in tasks)
    of_a = next(task["data"] for task in tasks if task["data"]["video_id"] == "a")
    assert of_a["frames"] == ["https://x.org/f/a_0.jpg", "https://x.org/f/a_1.jpg"]
    assert [comment["text"] for comment in of_a["comments"]] == ["lovely"] * 3
    assert "many words" in of_a["words"]
    done(catalog, "export", tmp_path / "seeing.json", "--format", "label-studio", "--predictions")
    assert all(task["predictions"] for task in json.loads((tmp_path / "seeing.json").read_text()))


def test_an_import_takes_what_it_can_says_what_it_cannot_and_ends_with_1(catalog: Catalog, tmp_path: Path) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda ad, n: "positive", only="a")
    done(catalog, "export", tmp_path / "votes.csv", "--format", "csv")
    text = (tmp_path / "votes.csv").read_text()
    (tmp_path / "votes.csv").write_text(text.replace("Reviewer 1", "Nob\x1b[2Jody"))
    result = run(catalog, "import", tmp_path / "votes.csv")
    assert result.exit_code == 1
    assert "0 taken, 1 there already, 1 refused" in result.stdout
    assert "nobody is called" in result.stderr
    assert "\x1b" not in result.output


def test_an_import_that_settles_the_last_entry_closes_the_round_once_it_was_quiet(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda ad, n: "positive")
    done(catalog, "export", tmp_path / "votes.parquet", "--format", "parquet")
    told = done(catalog, "import", tmp_path / "votes.parquet")
    assert "everything is judged; the page's server or the next build closes it" in told, "somebody may be at work"
    monkeypatch.setenv("YTB_ADS__REVIEW__QUIET_S", "0")
    told = done(catalog, "import", tmp_path / "votes.parquet")
    assert "round 1 is closed; `ytb-ads build --review human` writes the release" in told


def test_a_file_that_is_not_of_its_format_is_wrong_usage(catalog: Catalog, tmp_path: Path) -> None:
    assert run(catalog, "export", tmp_path / "votes.txt", "--format", "csv").exit_code == 2
    assert not (tmp_path / "votes.txt").exists()
    assert run(catalog, "export", tmp_path / "votes.csv", "--format", "excel").exit_code == 2


def test_a_round_is_closed_by_hand_only_on_purpose_and_once(catalog: Catalog) -> None:
    asked = refused(catalog, "close-round")
    assert isinstance(asked, RoundError)
    assert "4 of 4 entries are not settled" in str(asked)
    assert json.loads(done(catalog, "status", "--json"))["round"]["closed_at"] is None
    assert "round 1 is closed" in done(catalog, "close-round", "--yes")
    assert json.loads(done(catalog, "status", "--json"))["round"]["closed_at"]
    assert "no round is open" in str(refused(catalog, "close-round", "--yes"))


@pytest.mark.parametrize("command", [("people",), ("status",), ("agreement",), ("close-round", "--yes")])
def test_a_misspelt_catalog_and_one_without_a_store_are_refused_and_made_nowhere(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    assert isinstance(refused(tmp_path / "misspelt", *command), CatalogError)
    assert not (tmp_path / "misspelt").exists()
    bare = small_catalog(tmp_path / "bare")
    assert isinstance(refused(bare, *command), StoreError)
    assert not (tmp_path / "bare" / "annotation").exists()


def test_the_stores_password_is_in_no_refusal(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("YTB_ADS__REVIEW__STORE", "postgresql://ann:hunter2@127.0.0.1:9/votes?connect_timeout=2")
    error = refused(catalog, "people")
    assert isinstance(error, StoreError)
    assert "hunter2" not in str(error)


@pytest.mark.slow
def test_the_page_is_served_on_this_machine_alone_and_closes_the_round_that_it_settles(catalog: Catalog) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "flows", "annotate", "serve", "--catalog", catalog.root, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "YTB_ADS__REVIEW__QUIET_S": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert answers(port, server) == 401, "a stranger is refused"
        with review_store(catalog, TWO.review) as store:
            judge(store, lambda ad, n: "positive")
            deadline = time.monotonic() + 30
            while store.rounds.current() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert store.rounds.current() is None
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    assert server.returncode == 0
    assert f"the page: http://127.0.0.1:{port}" in said
    assert "round 1 is open, with 4 entries" in said
    assert (
        f"ytb-ads annotate invite NAME --role reviewer --catalog {catalog.root} --url http://127.0.0.1:{port}" in said
    )
    assert "round 1 is closed; `ytb-ads build --review human` writes the release" in said
    assert "Traceback" not in said
    assert "without https" not in said


def test_an_address_that_is_taken_is_refused_before_anybody_is_told_of_it(catalog: Catalog) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(catalog, "serve", "--port", str(port))
    assert isinstance(result.exception, AnnotationError)
    assert f"127.0.0.1, port {port}: cannot be listened on" in str(result.exception)
    assert result.stdout == ""


def answers(port: int, server: subprocess.Popen[str]) -> int:
    """What the page answers a stranger, once it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/review", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the page does not answer: {server.communicate(timeout=5)[0] if server.poll() is not None else ''}")


def test_a_reviewer_whom_nobody_invited_is_named_before_anything_is_taken(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_text("[]")
    result = run(catalog, "import", tmp_path / "tasks.json", "--reviewer", "2=Nobody")
    assert isinstance(result.exception, RoundError)
    assert "'Nobody'" in str(result.exception)


def test_many_people_are_invited_from_a_file_with_their_levels_and_parts(catalog: Catalog, tmp_path: Path) -> None:
    people, links = tmp_path / "people.csv", tmp_path / "links.csv"
    people.write_text("name,role,level,entries,deadline\nAnn,reviewer,master's,75%,2026-12-15\nBob,reviewer,,2,\n")
    assert "3 entries would have fewer than 2" in str(refused(catalog, "invite-all", people, "--links", links))
    assert not links.exists()
    done(catalog, "invite-all", people, "--links", links, "--incomplete")
    assert links.stat().st_mode & 0o777 == 0o600
    assert links.read_text(encoding="utf-8").count(JOIN_PATH) == 2
    told = json.loads(done(catalog, "status", "--json"))["people"]
    assert [each["total"] for each in told] == [3, 2]
    assert "15 Dec 2026" in done(catalog, "status")
    assert done(catalog, "assign", "Ann=all", "Bob=100%", "--deadline", "2026-12-20").splitlines() == [
        "Ann: all entries, until 2026-12-20",
        "Bob: 4 entries, until 2026-12-20",
    ]
    assert "2020-01-31 is over already" in run(catalog, "assign", "Ann=all", "--deadline", "2020-01-31").stderr
    done(catalog, "level", "Bob", "undergraduate")
    assert [each["level"] for each in json.loads(done(catalog, "people", "--json"))] == ["master's", "undergraduate"]


def test_exports_name_people_by_pseudonyms_if_that_is_asked_or_set(catalog: Catalog, tmp_path: Path) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda _ad, _number: "positive")
        names = set(store.people.names().values())
        pseudonyms = {name for each, name in store.people.names(pseudonyms=True).items() if each.startswith("reviewer")}
    for rows in ("votes", "people"):
        done(catalog, "export", "v.csv", "--format", "csv", "--rows", rows, "--pseudonyms")
        text = (tmp_path / "v.csv").read_text(encoding="utf-8")
        assert all(each in text for each in pseudonyms)
        assert not [name for name in names if name in text]
    told = done(catalog, "agreement", "--json", "--pseudonyms")
    assert {each["id"] for each in json.loads(told)["people"]} == pseudonyms
    assert not [name for name in names if name in told]
    for rows in ("entries", "pairs"):
        done(catalog, "export", f"{rows}.parquet", "--format", "parquet", "--rows", rows)
    (tmp_path / "ytb_ads.toml").write_text("[review]\npseudonyms = true\n")
    done(catalog, "export", "t.json", "--format", "label-studio", "--config", tmp_path / "ytb_ads.toml")
    assert not [name for name in names if f'\\"{name}\\"' in (tmp_path / "t.json").read_text(encoding="utf-8")]


def test_other_tools_files_go_out_and_in_and_what_is_ignored_is_said_with_exit_code_1(catalog: Catalog) -> None:
    with review_store(catalog, TWO.review) as store:
        judge(store, lambda _ad, number: ("positive", "negative")[number], only=("a", "b"))
    for kind, name in (("prodigy", "t.jsonl"), ("argilla", "r.json")):
        done(catalog, "export", name, "--format", kind)
        assert "0 taken, 4 there already, 0 refused" in done(catalog, "import", name)
        done(catalog, "export", name, "--format", kind, "--no-votes", "--predictions")
    assert "ignored: 4 records with suggestions alone" in run(catalog, "import", "r.json").output
    done(catalog, "export", "t.json", "--format", "label-studio", "--no-votes", "--predictions")
    result = run(catalog, "import", "t.json")
    assert (result.exit_code, "4 tasks with a model's predictions alone" in result.output) == (1, True)
    assert run(catalog, "export", "t.json", "--format", "prodigy").exit_code == 2
