"""The sorted list: in order, searched with its narrow window, and met as the original meets it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.sentistrength.lookup import Cache, Found, SortedList, code_units, sort_unstably

WORDS = st.text("ab*é😀\uffee", min_size=1, max_size=4)
ENTRIES = st.lists(st.tuples(WORDS, st.integers(-5, 5)), max_size=40)


@given(ENTRIES)
def test_entries_are_in_the_order_of_their_utf16_code_units(entries: list[tuple[str, int]]) -> None:
    listed = SortedList.of(entries)
    units = [word.encode("utf-16-be") for word in listed.words]
    assert units == sorted(units)
    assert sorted(zip(listed.words, listed.strengths, strict=True)) == sorted(entries)


@given(ENTRIES, WORDS)
def test_a_listed_word_is_always_found_and_no_other_exactly(entries: list[tuple[str, int]], word: str) -> None:
    listed = SortedList.of(entries)
    found = listed.exact(word)
    assert (found is not None) == (word in dict(entries))
    assert found is None or (found.entry, found.strength) in entries
    assert listed.exact_strengths().keys() == dict(entries).keys()


@given(ENTRIES, WORDS)
def test_a_wildcard_that_is_found_fits_the_word(entries: list[tuple[str, int]], word: str) -> None:
    found = SortedList.of(entries).find(word)
    assert found is None or found.entry == word or word.startswith(found.entry.removesuffix("*"))


def test_the_nearest_wildcard_before_the_word_is_the_one_met() -> None:
    listed = SortedList.of([("a*", 1), ("harm*", 2), ("harmon*", 3), ("harmonic*", 4), ("zoo", 5)])
    assert listed.find("harmonics") == Found("harmonic*", 4)
    assert listed.find("harmony") == Found("harmon*", 3)
    assert listed.find("harms") == Found("harm*", 2)


def test_a_wildcard_too_many_entries_away_is_missed() -> None:
    between = [(f"lovely{letter}", 0) for letter in "abcdefghijklmnop"]
    assert SortedList.of([("love*", 3), ("lovez", 0)]).find("lovelyzz") == Found("love*", 3)
    assert SortedList.of([("love*", 3), *between]).find("lovelyzz") is None


def test_neighbours_with_one_word_change_places_when_sorted() -> None:
    entries = [("a", 1), ("b", 1), ("b", 2), ("c", 1)]
    sort_unstably(entries)
    assert entries == [("a", 1), ("b", 2), ("b", 1), ("c", 1)]


def test_characters_beyond_the_bmp_sort_before_its_last_ones() -> None:
    assert code_units("😀") == "\ud83d\ude00"
    assert code_units("\uffee") > code_units("😀")
    assert SortedList.of([("\uffee", 1), ("😀", 2)]).words == ("😀", "\uffee")


def test_the_cache_computes_once_and_keeps_two_generations() -> None:
    asked: list[str] = []

    def compute(key: str) -> str:
        asked.append(key)
        return key.upper()

    cache = Cache(compute, 2)
    assert [cache[key] for key in ("a", "a", "b", "c", "a")] == ["A", "A", "B", "C", "A"]
    assert asked == ["a", "b", "c"]
    long = "x" * 100
    assert cache[long] == long.upper()
    assert long not in cache
