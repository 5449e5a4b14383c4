"""Boxes follow what a map marks, whatever the map."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flows.ocr.rapid.detection import Quad, add_uncovered, find_regions

rectangles = st.tuples(*[st.integers(0, 300)] * 2, *[st.integers(4, 200)] * 2)


def quad(left: float, top: float, width: float, height: float) -> Quad:
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def test_a_marked_line_is_boxed_with_some_room_in_pixels_of_the_picture() -> None:
    probabilities = np.zeros((176, 320), np.float32)
    probabilities[50:60, 40:200] = 0.9

    regions = find_regions(probabilities, 1280, 704)

    (found,) = regions.quads
    assert found[0] == pytest.approx((40 * 4, 50 * 4), abs=40)
    assert found[2] == pytest.approx((200 * 4, 60 * 4), abs=40)
    assert (found[0] < (160, 200)).all()
    assert (found[2] > (800, 240)).all()
    assert 20 < regions.heights[0] < 32
    assert regions.unboxed == 0


def test_what_is_marked_faintly_is_no_box_and_is_suspected() -> None:
    probabilities = np.zeros((176, 320), np.float32)
    probabilities[50:60, 40:200] = 0.4

    regions = find_regions(probabilities, 320, 176)

    assert regions.quads == []
    assert regions.unboxed == pytest.approx(0.4)


def test_a_slanted_line_is_boxed_along_its_slant() -> None:
    probabilities = np.zeros((320, 320), np.float32)
    corners = cv2.boxPoints(((160, 160), (200, 16), 30))
    cv2.fillPoly(probabilities, [np.rint(corners).astype(np.int32)], (1.0,))

    (found,) = find_regions(probabilities, 320, 320).quads

    along = found[1] - found[0]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(30, abs=2)


def test_text_within_a_ring_is_found_besides_the_ring() -> None:
    probabilities = np.zeros((320, 320), np.float32)
    cv2.circle(probabilities, (160, 160), 140, (1.0,), 9)
    probabilities[150:170, 90:230] = 1.0

    inner = [one for one in find_regions(probabilities, 320, 320).quads if np.ptp(one[:, 1]) < 60]

    assert len(inner) == 1


@settings(deadline=None)
@given(arrays.arrays(np.float32, (64, 96), elements=st.floats(0, 1, width=32), fill=st.just(0)))
def test_boxes_of_any_map_lie_on_the_picture(probabilities: np.ndarray) -> None:
    regions = find_regions(probabilities, 960, 320)

    assert len(regions.quads) == len(regions.heights)
    assert 0 <= regions.unboxed <= 1
    for found in regions.quads:
        assert found.shape == (4, 2)
        assert (found >= 0).all()
        assert (found <= (959, 319)).all()


@settings(deadline=None)
@given(st.lists(rectangles, max_size=6), st.lists(rectangles, max_size=6))
def test_no_box_is_lost_that_nothing_covers(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    quads, others = [quad(*one) for one in first], [quad(*one) for one in second]

    together = add_uncovered(quads, others)

    assert len(together) <= len(quads) + len(others)
    assert all(kept is given for kept, given in zip(together, quads, strict=False))
    assert [id(one) for one in add_uncovered(together, others)] == [id(one) for one in together]
    apart = quad(1000, 1000, 50, 20)
    assert add_uncovered(quads, [apart])[-1] is apart
