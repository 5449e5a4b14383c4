"""Text detection: the network's map of probabilities, and the boxes around the regions that it marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flows.frames.picture import Picture
from flows.ocr.rapid.sessions import open_session, run

Quad = NDArray[np.float64]
"""Corners [4, 2] in pixels of the picture: top left, top right, bottom right, bottom left."""

_STRIDE = 32
"""The network takes sides that are multiples of this."""
_MARKED = 0.3
"""Probability above which a point of the map belongs to text."""
_SURE = 0.5
"""Mean probability below which a marked region is none."""
_LEAST_THICKNESS = 3.0
_GROWTH = 1.6
"""The network marks the core of a line; its box grows by this share of area over perimeter on every side."""
_MOST_REGIONS = 1000
_COVERED = 0.6
"""Share of a box from which on others cover it."""


class Detector:
    """The text detector of PP-OCR. Threads may share one."""

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        """Load the network.

        Raises:
            OcrError: the file is missing or no model.
        """
        self._session = open_session(model, threads)

    def probabilities(self, picture: Picture, side: int) -> NDArray[np.float32]:
        """Probability of text at each point of the scaled picture, [rows, columns].

        Args:
            picture: [height, width, 3], blue first.
            side: longer side of the scaled picture in pixels, before rounding to the network's stride.
        """
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        columns, rows = (max(_STRIDE, round(length * scale / _STRIDE) * _STRIDE) for length in (width, height))
        # what is scaled below half loses thin strokes when only four neighbours are mixed
        how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        scaled = cv2.resize(picture, (columns, rows), interpolation=how)
        blob = cv2.dnn.blobFromImage(scaled, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        (answer,) = run(self._session, blob)
        return answer[0, 0]


@dataclass(frozen=True)
class Regions:
    """Regions of a map: boxes of the lines of text, and a sign of text too small for it."""

    quads: list[Quad]
    """Boxes of the lines in pixels of the picture, from top to bottom."""
    heights: list[float]
    """Height of each in points of the map."""
    unboxed: float
    """Highest probability outside the boxes: text that the detector suspects and cannot make out."""


def find_regions(probabilities: NDArray[np.float32], width: int, height: int) -> Regions:
    """The boxes of the lines that a map of a picture of this size marks."""
    rows, columns = probabilities.shape
    marked = cv2.dilate((probabilities > _MARKED).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, nesting = cv2.findContours(marked, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [contour for index, contour in enumerate(contours) if nesting[0][index][3] < 0]  # the others are holes
    boxes = [box for contour in outer[:_MOST_REGIONS] if (box := _box_of(probabilities, contour)) is not None]
    boxes.sort(key=lambda box: (float(box[:, 1].mean()), float(box[:, 0].min())))
    outside = probabilities.copy()
    for box in boxes:
        corners = [np.rint(box).astype(np.int32)]
        cv2.fillPoly(outside, corners, (0,))
        cv2.polylines(outside, corners, True, (0,), 3)
    scale, last = (width / columns, height / rows), (width - 1, height - 1)
    placed = [(_clockwise(np.clip(box * scale, 0, last)), min(extent(box))) for box in boxes]
    placed = [(quad, high) for quad, high in placed if min(extent(quad)) > _LEAST_THICKNESS]
    return Regions([quad for quad, _ in placed], [high for _, high in placed], float(outside.max()))


def add_uncovered(quads: Sequence[Quad], others: Sequence[Quad]) -> list[Quad]:
    """`quads`, and each of the others that those before it do not cover."""
    taken = list(quads)
    bounds = [_bounds(quad) for quad in taken]
    for other in others:
        left, top, right, bottom = own = _bounds(other)
        near = [
            quad
            for quad, (x, y, x_end, y_end) in zip(taken, bounds, strict=True)
            if x_end >= left and x <= right and y_end >= top and y <= bottom
        ]
        if not near or _share_covered(other, near) < _COVERED:
            taken.append(other)
            bounds.append(own)
    return taken


def extent(quad: NDArray[Any]) -> tuple[float, float]:
    """Length of the upper and of the left edge."""
    return float(np.linalg.norm(quad[1] - quad[0])), float(np.linalg.norm(quad[3] - quad[0]))


def _box_of(probabilities: NDArray[np.float32], contour: Any) -> NDArray[np.float32] | None:
    """Corners of the box around a marked region, in points of the map; None where it is too thin or too unsure."""
    centre, (across, down), angle = cv2.minAreaRect(contour)
    if min(across, down) < _LEAST_THICKNESS or _mean_within(probabilities, (centre, (across, down), angle)) < _SURE:
        return None
    grown = _GROWTH * across * down / (across + down)
    return np.asarray(cv2.boxPoints((centre, (across + grown, down + grown), angle)), np.float32)


def _share_covered(quad: Quad, by: Sequence[Quad]) -> float:
    """Share of a box that lies under others, 0 to 1."""
    x, y, w, h = cv2.boundingRect(quad.astype(np.float32))
    own, under = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
    cv2.fillPoly(own, [np.rint(quad - (x, y)).astype(np.int32)], (1,))
    for other in by:
        cv2.fillPoly(under, [np.rint(other - (x, y)).astype(np.int32)], (1,))
    return float((own & under).sum()) / max(1, int(own.sum()))


def _bounds(quad: Quad) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box."""
    (left, top), (right, bottom) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return left, top, right, bottom


def _mean_within(probabilities: NDArray[np.float32], box: Any) -> float:
    corners = np.clip(np.rint(cv2.boxPoints(box)), 0, np.array(probabilities.shape[::-1]) - 1).astype(np.int32)
    x, y, w, h = cv2.boundingRect(corners)
    inside = np.zeros((h, w), np.uint8)
    cv2.fillPoly(inside, [corners - (x, y)], (1,))
    return float(cv2.mean(probabilities[y : y + h, x : x + w], inside)[0])


def _clockwise(corners: NDArray[Any]) -> Quad:
    """Top left first: the upper of the two left corners."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    (top_left, bottom_left), (top_right, bottom_right) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:])
    )
    return np.array([top_left, top_right, bottom_right, bottom_left], np.float64)
