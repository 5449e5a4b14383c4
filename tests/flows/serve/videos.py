"""Videos with words on them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from flows.frames.picture import Picture

LINES = ("SUMMER SALE", "EVERY SHOE", "HALF PRICE", "IN OUR STORE")


def worded_picture(shade: int = 0) -> Picture:
    """A picture with eight words, in a shade of its own."""
    made = np.full((360, 640, 3), (90 + shade % 60, 60, 30 + shade % 90), np.uint8)
    for row, line in enumerate(LINES):
        cv2.putText(made, line, (60, 80 + 75 * row), cv2.FONT_HERSHEY_DUPLEX, 1.8, (255, 255, 255), 3)
    return made


def worded(path: Path, pictures: int = 30) -> Path:
    """An ad of three seconds that shows them, a little different all the time."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(pictures):
            made = worded_picture(5 * number)
            made[:, : 20 * number] = np.roll(made[:, : 20 * number], number, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(made, format="bgr24")))
        container.mux(stream.encode())
    return path
