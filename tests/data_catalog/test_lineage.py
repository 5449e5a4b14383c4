"""The newest release follows from lineage and creation, whatever the clock said and whatever was taken away."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_catalog.errors import ReleaseError
from data_catalog.releases import (
    line_of,
    lineage_of,
    list_releases,
    newest_release,
    newest_release_if_any,
    next_version,
    read_manifests,
    versions_given,
)
from fgmfn.data import find_release as find_fgmfn_release
from fgmfn.errors import ReleaseDataError

DAY = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Clocked:
    """A folder of releases, written as a build would at the times that a clock says."""

    def __init__(self, root: Path) -> None:
        self.root = root / "releases"
        self.models = root / "models"
        self.root.mkdir()

    def build(self, at: datetime, parent: str | None = "newest") -> str:
        """Write a release's manifest, all that lineage reads; by default a child of the newest."""
        newest = newest_release_if_any(self.root)
        if parent == "newest":
            parent = newest.name if newest else None
        version = next_version(at.date(), versions_given(self.root, self.models), parent)
        above = lineage_of(json.loads((self.root / parent / "manifest.json").read_text())) if parent else []
        self.write(version, created_at=at.isoformat(), parent=parent, lineage=[parent, *above] if parent else [])
        return version

    def write(self, version: str, **facts: object) -> None:
        folder = self.root / version
        folder.mkdir()
        written = {"format": 1, "version": version, "class_names": [], "splits": {}, "files": {}, "row_set_hash": "h"}
        (folder / "manifest.json").write_text(json.dumps({**written, "manifest_sha256": "", **facts}))

    def take_away(self, version: str) -> None:
        (self.root / version / "manifest.json").unlink()
        (self.root / version).rmdir()

    @property
    def newest(self) -> str:
        found = newest_release(self.root).name
        assert find_fgmfn_release(self.root).name == found, "the model trains on the same"
        return found


@pytest.fixture
def clocked(tmp_path: Path) -> Clocked:
    return Clocked(tmp_path)


def test_a_clock_that_was_ahead_and_came_back_leaves_no_stale_release_newest(clocked: Clocked) -> None:
    first = clocked.build(DAY)
    ahead = clocked.build(datetime(2030, 1, 1, tzinfo=UTC))
    back = clocked.build(DAY + timedelta(days=1))
    assert (first, ahead, back) == ("2026.11.20", "2030.01.01", "2030.01.01.1")
    assert clocked.newest == back
    assert clocked.build(DAY + timedelta(days=2)) == "2030.01.01.2" == clocked.newest


def test_of_what_earlier_versions_left_of_such_a_clock_the_last_is_the_newest(clocked: Clocked) -> None:
    clocked.write("2030.01.01", created_at="2030-01-01T00:00:00+00:00", parent=None)
    for number in range(3):  # each run wrote one more, a child of the stale one
        version = f"2026.11.20{f'.{number}' if number else ''}"
        clocked.write(version, created_at=(DAY + timedelta(hours=number)).isoformat(), parent="2030.01.01")
    assert clocked.newest == "2026.11.20.2"


def test_a_clock_that_went_back_and_releases_of_one_second_keep_their_order(clocked: Clocked) -> None:
    versions = [clocked.build(at) for at in (DAY, DAY, DAY - timedelta(days=400), DAY - timedelta(seconds=1))]
    assert versions == ["2026.11.20", "2026.11.20.1", "2026.11.20.2", "2026.11.20.3"]
    assert clocked.newest == versions[-1]


def test_of_two_children_of_one_parent_the_one_created_last_is_the_newest(clocked: Clocked) -> None:
    parent = clocked.build(DAY)
    later = clocked.build(DAY + timedelta(days=2), parent)
    earlier = clocked.build(DAY + timedelta(days=1), parent)
    assert clocked.newest == later
    assert clocked.build(DAY + timedelta(days=1, hours=1), earlier) == "2026.11.21.1"
    assert clocked.newest == later
    same = clocked.build(DAY + timedelta(days=2), parent)
    assert (same, clocked.newest) == ("2026.11.22.1", "2026.11.22.1"), "of one second the higher version"


@pytest.mark.parametrize("times", [(0, 1, 2), (2, 1, 0), (900, 1, 0), (0, 900, 1)])
def test_a_release_that_was_taken_away_does_not_bring_its_ancestors_back(
    times: tuple[int, ...], clocked: Clocked
) -> None:
    versions = [clocked.build(DAY + timedelta(days=days)) for days in times]
    clocked.take_away(versions[1])
    assert clocked.newest == versions[2]
    clocked.take_away(versions[2])
    assert clocked.newest == versions[0]


def test_in_a_circle_of_damaged_manifests_the_one_created_last_is_the_newest(clocked: Clocked) -> None:
    clocked.write("2026.11.20", created_at=DAY.isoformat(), parent="2026.11.22")
    clocked.write("2026.11.21", created_at=(DAY + timedelta(days=1)).isoformat(), parent="2026.11.20")
    clocked.write("2026.11.22", created_at=(DAY + timedelta(hours=1)).isoformat(), parent="2026.11.21")
    clocked.write("2026.11.10", created_at="2026-11-10T00:00:00", parent="2026.11.10")
    assert clocked.newest == "2026.11.21"
    clocked.write("2026.11.19", created_at="2026-11-19T00:00:00", parent="2026.11.21")
    assert clocked.newest == "2026.11.19", "a child of the circle is newer than all of it"


@pytest.mark.parametrize(
    "damage",
    [{"created_at": "yesterday"}, {"created_at": None}, {"lineage": "2026.11.20"}, {"parent": 5, "lineage": [5]}],
)
def test_a_manifest_that_does_not_say_its_place_is_named(damage: dict[str, object], clocked: Clocked) -> None:
    clocked.build(DAY)
    clocked.write("2026.11.21", **{"created_at": DAY.isoformat(), "parent": None, **damage})
    with pytest.raises(ReleaseError, match=r"2026\.11\.21"):
        newest_release(clocked.root)


def test_a_manifest_that_cannot_be_read_is_passed_over_where_another_descends_from_it(clocked: Clocked) -> None:
    first, second, third = (clocked.build(DAY + timedelta(days=days)) for days in range(3))
    for version in (first, second):
        (clocked.root / version / "manifest.json").write_text("{")
    assert clocked.newest == third
    assert list(read_manifests(clocked.root)) == [third]
    assert clocked.build(DAY + timedelta(days=3)) == clocked.newest

    clocked.take_away(clocked.newest)
    (clocked.root / third / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"manifest\.json: is not JSON"):
        newest_release(clocked.root)
    with pytest.raises(ReleaseDataError, match=r"manifest\.json: cannot be read"):
        find_fgmfn_release(clocked.root)


def test_a_manifest_that_cannot_be_read_and_may_be_the_newest_leaves_nobody_to_guess(clocked: Clocked) -> None:
    clocked.build(DAY)
    clocked.write("2026.11.01")
    (clocked.root / "2026.11.01" / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"2026\.11\.01/manifest\.json: is not JSON"):
        newest_release(clocked.root)
    with pytest.raises(ReleaseDataError, match=r"2026\.11\.01/manifest\.json: cannot be read"):
        find_fgmfn_release(clocked.root)


def test_a_line_holds_each_release_before_its_ancestors_and_no_sister(clocked: Clocked) -> None:
    first = clocked.build(DAY)
    gone = clocked.build(DAY + timedelta(days=1))
    sister = clocked.build(DAY + timedelta(days=2), first)
    last = clocked.build(DAY + timedelta(days=3), gone)
    # as the first releases of all, that named their parent alone
    clocked.write("2026.12.01", created_at=DAY.isoformat(), parent=last)
    clocked.take_away(gone)
    manifests = read_manifests(clocked.root)
    assert line_of("2026.12.01", manifests) == ["2026.12.01", last, first]
    assert line_of(sister, manifests) == [sister, first]


@settings(max_examples=25)
@given(st.data())
def test_however_the_clock_jumps_and_whatever_is_taken_away_the_last_written_is_the_newest(data: st.DataObject) -> None:
    """And no version is given twice that a release descends from or that a model was trained on."""
    with TemporaryDirectory() as root:
        clocked = Clocked(Path(root))
        written: list[str] = []
        ancestors: dict[str, set[str]] = {}
        trained_on: set[str] = set()
        for _ in range(data.draw(st.integers(1, 8))):
            named = trained_on.union(written, *(ancestors[version] for version in written))
            parent = written[-1] if written else None
            version = clocked.build(DAY + timedelta(seconds=data.draw(st.sampled_from([0, 1, 86400, -(10**7), 10**8]))))
            assert version not in named
            ancestors[version] = {parent, *ancestors[parent]} if parent else set()
            written.append(version)
            if data.draw(st.booleans()):
                trained_on.add(version)
                (clocked.models / version / "fgmfn").mkdir(parents=True)
            if data.draw(st.booleans()):
                clocked.take_away(written.pop(data.draw(st.integers(0, len(written) - 1))))
            if written:
                assert clocked.newest == written[-1]
        assert [path.name for path in list_releases(clocked.root)] == written, "versions never fall"


def test_a_version_that_only_a_sister_descends_from_is_not_given_again(clocked: Clocked) -> None:
    """As earlier versions of the program left it, after a clock that was ahead."""
    clocked.write("2030.01.01", created_at=DAY.isoformat(), parent="2026.11.20.1")
    clocked.write("2026.11.20", created_at=(DAY + timedelta(hours=1)).isoformat(), parent=None)
    assert clocked.newest == "2026.11.20"
    assert clocked.build(DAY + timedelta(hours=2)) == "2026.11.20.2"


def test_a_version_is_given_again_where_nothing_names_it_any_more(clocked: Clocked) -> None:
    first, second = clocked.build(DAY), clocked.build(DAY)
    clocked.take_away(second)
    assert clocked.build(DAY) == second == f"{first}.1"
    (clocked.models / "notes").mkdir(parents=True)
    assert versions_given(clocked.root, clocked.models) == {first, second}


def test_versions_are_dates_with_a_number_from_the_second_on() -> None:
    day = date(2026, 11, 4)
    assert next_version(day, []) == "2026.11.04"
    assert next_version(day, ["2026.11.04"]) == "2026.11.04.1"
    assert next_version(day, ["2026.11.04", "2026.11.04.9", "2026.11.04.10", "2026.11.03.77"]) == "2026.11.04.11"
    assert next_version(day, ["2026.11.03", "2026.11.06", "2026.11.06.4"], "2026.11.06") == "2026.11.06.5"
    assert next_version(day, ["2026.11.03", "2026.11.06"], "2026.11.03") == "2026.11.04"


def test_a_folder_without_a_release_has_no_newest(clocked: Clocked) -> None:
    (clocked.root / "notes").mkdir()
    assert newest_release_if_any(clocked.root) is None
    assert list_releases(clocked.root / "nowhere") == []
    with pytest.raises(ReleaseError, match="ytb-ads build"):
        newest_release(clocked.root / "nowhere")
