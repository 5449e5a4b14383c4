"""Bodies of answers; pages of comments are kept, for they are large and a crawl asks for nothing more often."""

from __future__ import annotations

import gzip
import json
import threading

from tests.youtube_sandbox import api
from tests.youtube_sandbox.description import check_call
from tests.youtube_sandbox.world import World

_LEVEL = 1


class PageCache:
    """Answers as bytes; a page of a video's threads is rendered once for as long as its comments do not change."""

    def __init__(self, world: World, most_bytes: int) -> None:
        self._world = world
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], bytes] = {}

    def body(self, call: api.Call, *, zipped: bool) -> bytes:
        """The body of the answer to a call.

        Raises:
            RefusedError: the API says no.
        """
        check_call(call.method, call.parameters)
        if call.method != "commentThreads" or call.fault or "videoId" not in call.parameters:
            return _encode(api.answer(self._world, call), zipped)
        with self._world.lock:
            place = self._place(call, zipped)
            kept = self._kept.get(place)
            body = kept if kept is not None else _encode(api.answer(self._world, call), zipped)
        if kept is None:
            self._keep(place, body)
        return body

    def prepare(self, *, size: int, parts: str, fields: str, zipped: bool) -> int:
        """Render the pages of every video that has comments to give; tells how many."""
        pages = 0
        for video_id in [video_id for video_id in self._world.videos if self._world.api_comments(video_id)]:
            asked = {"part": parts, "videoId": video_id, "maxResults": str(size), "textFormat": "plainText"}
            asked |= {"fields": fields} if fields else {}
            while True:
                call = api.Call("commentThreads", asked)
                self.body(call, zipped=zipped)
                pages += 1
                token = api.comment_page(self._world, call)[1].next_token
                if token is None:
                    break
                asked = {**asked, "pageToken": token}
        return pages

    def _place(self, call: api.Call, zipped: bool) -> tuple[object, ...]:
        """What decides about a page: the comments as they are now, and how they are asked for."""
        video, page = api.comment_page(self._world, call)
        of = id(video), video.revision, page.position, call.size, call.parameters.get("order", "time")
        return *of, tuple(sorted(call.parts)), call.parameters.get("fields"), call.plain, zipped

    def _keep(self, place: tuple[object, ...], body: bytes) -> None:
        with self._lock:
            if self._bytes + len(body) <= self._most_bytes:
                self._kept[place] = body
                self._bytes += len(body)


def _encode(answer: object, zipped: bool) -> bytes:
    body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return gzip.compress(body, _LEVEL, mtime=0) if zipped else body
