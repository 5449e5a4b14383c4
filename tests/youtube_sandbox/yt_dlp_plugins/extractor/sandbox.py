"""yt-dlp's own YouTube extractor, pointed at the sandbox: only the place of the page and of the player's data differ.

yt-dlp finds it when `tests/youtube_sandbox` is on the path; it then knows the sandbox and no longer YouTube. Formats
and messages are made by the inherited code, so that they are those of the version that is installed.
"""

from __future__ import annotations

from typing import Any

from yt_dlp.extractor.youtube import _video
from yt_dlp.utils import ExtractorError

_CLIENT = "web"
# which clients need a token changes from month to month; the sandbox takes any
_PROOF = "sandbox"


class YoutubeIE(_video.YoutubeIE):
    """Watch pages of a sandbox."""

    _VALID_URL = r"(?P<site>http://(?:127\.0\.0\.1|localhost):\d+)/watch\?(?:[^#]*&)?v=(?P<id>[0-9A-Za-z_-]+)"
    _TESTS = ()

    def _initial_extract(
        self, url: str, smuggled_data: Any, webpage_url: str, webpage_client: Any, video_id: str
    ) -> tuple[Any, ...]:
        page = self._download_initial_webpage(url, webpage_client, video_id) or ""
        player = self._search_json(self._YT_INITIAL_PLAYER_RESPONSE_RE, page, "player response", video_id, default=None)
        if not player:
            # what it says when none of YouTube's programs, which it would ask next, had an answer
            raise ExtractorError("Failed to extract any player response")
        if streams := player.get("streamingData"):
            streams |= self._client_details()
        return page, {}, None, False, [player], None

    def _client_details(self) -> dict[str, Any]:
        """What the inherited code notes with formats about the client that got them."""
        return {
            _video.STREAMING_DATA_CLIENT_NAME: _CLIENT,
            _video.STREAMING_DATA_INNERTUBE_CONTEXT: self._get_default_ytcfg(_CLIENT)["INNERTUBE_CONTEXT"],
            _video.STREAMING_DATA_FETCH_GVS_PO_TOKEN: lambda **_: _PROOF,
            _video.STREAMING_DATA_FETCH_SUBS_PO_TOKEN: lambda **_: _PROOF,
            _video.STREAMING_DATA_PLAYER_TOKEN_PROVIDED: False,
            _video.STREAMING_DATA_IS_PREMIUM_SUBSCRIBER: False,
            _video.STREAMING_DATA_AVAILABLE_AT_TIMESTAMP: 0,
        }
