"""Group writes: what the table holds for some values of a column becomes exactly the rows that are given."""

from __future__ import annotations

import tempfile

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_catalog import TABLES, Catalog

SCHEMA = TABLES["comments"].schema
videos = st.sampled_from(["a", "b", "c", "d'e", "😀"])
steps = st.lists(
    st.tuples(st.dictionaries(videos, st.sets(st.integers(0, 8)), max_size=3), st.sets(videos, max_size=2)), max_size=6
)


def comments(groups: dict[str, set[int]], text: str) -> pa.Table:
    rows = [
        {"comment_id": f"{video}/{number}", "video_id": video, "text": text}
        for video, numbers in groups.items()
        for number in sorted(numbers)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_a_table_written_in_groups_holds_what_a_dictionary_would(
    steps: list[tuple[dict[str, set[int]], set[str]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        catalog, model = Catalog(folder), dict[str, dict[str, str]]()
        for number, (groups, emptied) in enumerate(steps):
            written = comments(groups, f"step {number}")
            catalog.replace_groups("comments", written, column="video_id", values=[*groups, *emptied])
            for video in emptied | groups.keys():
                model[video] = {f"{video}/{one}": f"step {number}" for one in groups.get(video, ())}
        held = catalog.read("comments", ["comment_id", "text"]).to_pylist()
        assert len(held) == len({row["comment_id"] for row in held})
        expected = {key: text for group in model.values() for key, text in group.items()}
        assert {row["comment_id"]: row["text"] for row in held} == expected


def test_more_groups_than_a_condition_can_name_are_replaced_too() -> None:
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(folder)
        first = comments({f"v{number}": {0, 1} for number in range(5_000)}, "first")
        catalog.replace_groups("comments", first, column="video_id", values=[])
        second = comments({f"v{number}": {1} for number in range(1, 5_000)}, "second")
        catalog.replace_groups("comments", second, column="video_id", values=[])
        assert catalog.count("comments") == 2 + 4_999
        assert catalog.delete_groups("comments", column="video_id", values=[f"v{n}" for n in range(4_990)]) == 4_991
        assert catalog.count("comments") == 10
