"""Which samples a case study is of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fgmfn.errors import InputError
from fgmfn.paper.table7 import draw_samples, find_samples
from tests.fgmfn.models import ad_split, tweet_split


def test_rows_of_one_picture_and_text_are_one_sample() -> None:
    rows = replace(ad_split(), picture=["a", "a", "b", "c"], text=["x", "x", "x", "y"])
    assert [sample.numbers for sample in find_samples(rows, ["a", "c"])] == [(0, 1), (3,)]


def test_a_row_a_picture_and_a_group_name_a_sample_once() -> None:
    rows = tweet_split()
    (sample,) = find_samples(rows, [rows.name[2], rows.picture[2], rows.group[2]])
    assert sample.numbers == (2,)


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"sample 'tweet9'.*did you mean"):
        find_samples(tweet_split(), ["tweet9"])


def test_drawn_samples_are_of_different_ads_first_and_the_same_for_a_seed() -> None:
    rows = replace(ad_split(), group=["one", "one", "one", "two"])
    for seed in range(8):
        drawn = draw_samples(rows, 2, seed)
        assert {rows.group[sample.numbers[0]] for sample in drawn} == {"one", "two"}
        assert drawn == draw_samples(rows, 2, seed)
    assert len(draw_samples(rows, 9, 0)) == 4


def test_samples_whose_targets_differ_in_label_come_first() -> None:
    rows = replace(ad_split(), picture=["a", "a", "b", "c"], text=["x", "x", "x", "y"], label=[0, 1, 0, 0])
    assert draw_samples(rows, 1, 0)[0].numbers == (0, 1)
