"""Watch pages of the site: the player's data of a video, or the reason that it cannot be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.youtube_sandbox.media import media_of, sides
from tests.youtube_sandbox.world import SandboxVideo

_ITAGS = {144: 160, 240: 133, 360: 134, 480: 135, 720: 136, 1080: 137, 1440: 264, 2160: 266}
_SIZES = {144: "tiny", 240: "small", 360: "medium", 480: "large", 720: "hd720", 1080: "hd1080", 1440: "hd1440"}
_UNAVAILABLE = "Video unavailable"
_STORYBOARD = "https://i.ytimg.com/sb/sandbox/storyboard3_L$L/$N.jpg?sqp=sandbox|48#27#100#10#10#0#default#rs$sandbox"

_SOUND = {
    "itag": 140,
    "mimeType": 'audio/mp4; codecs="mp4a.40.2"',
    "bitrate": 130_000,
    "audioQuality": "AUDIO_QUALITY_MEDIUM",
    "audioSampleRate": "44100",
    "audioChannels": 2,
}

# status, reason and its second line, as YouTube sends them; yt-dlp makes its messages of these
_REFUSALS: dict[str, tuple[str, str, str]] = {
    "private": ("LOGIN_REQUIRED", "Private video", "Sign in if you've been granted access to this video"),
    "members_only": (
        "UNPLAYABLE",
        "Join this channel to get access to members-only content like this video, and other exclusive perks.",
        "",
    ),
    "region_blocked": ("UNPLAYABLE", _UNAVAILABLE, "The uploader has not made this video available in your country"),
    "age_restricted": (
        "LOGIN_REQUIRED",
        "Sign in to confirm your age",
        "This video may be inappropriate for some users.",
    ),
    "bot_wall": (
        "LOGIN_REQUIRED",
        "Sign in to confirm you\N{RIGHT SINGLE QUOTATION MARK}re not a bot",
        "This helps protect our community. Learn more",
    ),
    "rate_limited": ("UNPLAYABLE", _UNAVAILABLE, "This content isn't available, try again later."),
    "gone": ("ERROR", _UNAVAILABLE, "This video has been removed by the uploader"),
    "upcoming": ("LIVE_STREAM_OFFLINE", "This live event will begin in 3 hours.", ""),
}


def trouble_of(video: SandboxVideo | None, country: str) -> str | None:
    """Why a stranger in that country may not see a video, by the name of the fault; None when nothing is wrong."""
    if video is None or video.gone:
        return "gone"
    troubles = {
        "private": video.privacy == "private",
        "members_only": video.members_only,
        "age_restricted": video.age_restricted,
        "region_blocked": video.blocked_for(country),
        "upcoming": video.live == "upcoming",
        "live": video.live == "live",
    }
    return next((name for name, holds in troubles.items() if holds), None)


def watch_page(video_id: str, video: SandboxVideo | None, site: str, trouble: str | None) -> bytes:
    """The page of a video, with the player's data in it."""
    player: dict[str, Any] = {"playabilityStatus": _playability(trouble), "videoDetails": {"videoId": video_id}}
    if video is not None and trouble not in ("gone", "private"):
        player["videoDetails"] = _details(video, trouble)
        if trouble == "only_images":
            player["storyboards"] = {"playerStoryboardSpecRenderer": {"spec": _STORYBOARD}}
        elif trouble not in _REFUSALS and trouble != "no_formats":
            player["streamingData"] = _streams(video, site)
    data = json.dumps(player).replace("</", "<\\/")
    return f"<!DOCTYPE html><title>Sandbox</title><script>var ytInitialPlayerResponse = {data};</script>\n".encode()


def _playability(trouble: str | None) -> dict[str, Any]:
    if trouble not in _REFUSALS:
        return {"status": "OK", "playableInEmbed": True}
    status, reason, second = _REFUSALS[trouble]
    message = {"reason": {"simpleText": reason}, **({"subreason": {"simpleText": second}} if second else {})}
    return {"status": status, "reason": reason, "errorScreen": {"playerErrorMessageRenderer": message}}


def _details(video: SandboxVideo, trouble: str | None) -> dict[str, Any]:
    return {
        "videoId": video.video_id,
        "title": video.title,
        "lengthSeconds": str(video.duration_s),
        "channelId": video.channel_id,
        "shortDescription": video.description,
        "viewCount": str(video.view_count),
        "isLiveContent": trouble in ("live", "upcoming"),
        **({"isLive": True} if trouble == "live" else {}),
        **({"isUpcoming": True} if trouble == "upcoming" else {}),
    }


def _streams(video: SandboxVideo, site: str) -> dict[str, Any]:
    """The formats that are offered: pictures without sound, and sound, as YouTube parts them."""
    file = f"{site}/media/{quote(video.video_id)}"
    pictures = [_stream(video, height, f"{file}.mp4?height={height}") for height in video.heights]
    return {"adaptiveFormats": [*pictures, _SOUND | {"url": f"{file}.m4a"}]}


def _stream(video: SandboxVideo, height: int, address: str) -> dict[str, Any]:
    file = media_of(video, height)
    size = file.stat().st_size if isinstance(file, Path) else len(file)
    width, tall = sides(height, upright=video.upright)
    return {
        "itag": _itag(height),
        "url": address,
        "mimeType": 'video/mp4; codecs="avc1.4d401e"',
        "bitrate": 100 * height,
        "width": width,
        "height": tall,
        "contentLength": str(size),
        "quality": _SIZES.get(height, "highres"),
        "qualityLabel": f"{height}p",
        "fps": 4,
        "averageBitrate": 100 * height,
        "approxDurationMs": str(1000 * video.duration_s),
    }


def _itag(height: int) -> int:
    return _ITAGS.get(height, 1000 + height)
