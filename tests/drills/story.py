"""What the sandbox shows in the weeks of a soak, and what must be true of tables and releases because of it.

Nothing here is read from the code under test: an ad's mood is that of the storyboard it was rendered from, and what
may be the matter with it stands in its title.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.sample import render_sample
from flows.sample.storyboard import write_storyboards
from tests.youtube_sandbox.builders import comment_id, default_phrases
from tests.youtube_sandbox.sample_world import handle_of, playlist_of, world_of_folder
from tests.youtube_sandbox.world import SandboxComment, SandboxVideo, World

HARMLESS = "removed comments"
"""The only trouble that keeps no video from being an ad."""


@dataclass
class Story:
    """The world of the sandbox, what it has shown so far, and what became of it."""

    world: World
    moods: dict[str, str]
    """Label of the ads that were rendered to have one, by video id."""
    damaged: set[str]
    """Ads whose file is no video."""
    later: list[SandboxVideo]
    """Ads that have not appeared yet."""
    shown: set[str] = field(default_factory=set)
    """Every video that was ever there."""
    read_as: dict[str, set[str]] = field(default_factory=dict)
    """Comments of an ad when it was last read."""
    deleted: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    retitled: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    """Original by re-upload."""

    @property
    def good(self) -> list[str]:
        """Videos that a crawl must take for ads, as they were rendered and dealt their troubles."""
        return [
            id_
            for id_, video in self.world.videos.items()
            if id_ in self.shown - self.damaged and _troubles(video) <= {HARMLESS} and video.threads
        ]

    @property
    def ordinary(self) -> list[str]:
        """Good ones with a mood that were read and to which nothing has happened since."""
        touched = {*self.deleted, *self.forgotten, *self.retitled, *self.copies, *self.copies.values()}
        return [id_ for id_ in self.good if id_ in self.read_as.keys() & self.moods.keys() - touched]

    @property
    def bad(self) -> set[str]:
        """Videos that no crawl can have."""
        return self.shown.difference(self.good) - self.deleted

    @property
    def unavailable(self) -> set[str]:
        """Videos that are deleted or private."""
        return {id_ for id_ in self.shown if not self.world.videos[id_].available}

    def appear(self, number: int, now: datetime) -> list[str]:
        """Let so many ads be uploaded."""
        some = [self.later.pop(0) for _ in range(number)]
        for video in some:
            self._upload(replace(video, published_at=now))
        return [video.video_id for video in some]

    def reupload(self, now: datetime) -> str:
        """Let an ad be uploaded once more, under another id and with comments of its own."""
        original = self.world.videos[self.ordinary[0]]
        draw = random.Random("reupload")
        threads = [replace(each, comment_id=comment_id(draw), replies=[]) for each in original.threads[:20]]
        copy = replace(original, video_id="s-once-more", title=f"{original.title}, once more", threads=threads)
        copy.published_at = now
        self._upload(copy)
        self.copies[copy.video_id], self.moods[copy.video_id] = original.video_id, self.moods[original.video_id]
        return copy.video_id

    def edit(self, now: datetime) -> str:
        """Let an ad get another title and further comments."""
        edited = self.ordinary[-1]
        video, draw = self.world.videos[edited], random.Random("edit")
        video.title = self.retitled[edited] = f"{video.title}, now with more of it"
        for number in range(3):
            self.world.add_comment(edited, SandboxComment(comment_id(draw), f"{video.threads[0].text} {number}", now))
        return edited

    def delete(self) -> str:
        """Let an ad be deleted."""
        gone = self.ordinary[-1]
        self.deleted.add(gone)
        self.world.delete_video(gone)
        return gone

    def hide(self) -> str:
        """Let an ad become private."""
        gone = self.ordinary[-1]
        self.deleted.add(gone)
        self.world.videos[gone].privacy = "private"
        return gone

    def forget(self) -> str:
        """Choose the ad that somebody asks to forget."""
        gone = self.ordinary[-1]
        self.forgotten.add(gone)
        return gone

    def note_readings(self, ads: Iterable[str]) -> None:
        """Remember what the comments of these ads are now, unless it is known what they were when they were read."""
        for video_id in ads:
            self.read_as.setdefault(video_id, self.world.api_comments(video_id))

    def _upload(self, video: SandboxVideo) -> None:
        self.world.add_video(video)
        self.shown.add(video.video_id)
        for playlist in self.world.playlists.values():
            if playlist.channel_id == video.channel_id:
                playlist.video_ids.append(video.video_id)


def begin(folder: Path, ads: int, held_back: int) -> Story:
    """Render a sample, or take the one that is there, and show all of it but some ads that appear later."""
    render_sample(folder, ads=ads, seed=0)
    boards = write_storyboards(ads, seed=0)
    damaged = {board.video_id for board in boards if board.kind == "corrupt"}
    ordinary = {board.video_id: str(board.mood) for board in boards if board.kind == "ordinary"}
    moods = {video_id: mood for video_id, mood in ordinary.items() if mood in ("positive", "negative")}
    world = world_of_folder(folder)
    # those with a crowd are pages of comments, which the quota of the first week is to meet
    quiet = [video for id_, video in world.videos.items() if id_ in moods and video.n_comments < 100]
    # of every mood some, as the order is that of categories
    later = random.Random(0).sample(quiet, held_back)
    for video in later:
        del world.videos[video.video_id]
        for playlist in world.playlists.values():
            playlist.video_ids[:] = [id_ for id_ in playlist.video_ids if id_ != video.video_id]
    return Story(world, moods, damaged, later, set(world.videos))


def categories() -> str:
    """The categories of the crawl, as JSON: every way of listing candidates, and room for whatever is found."""
    food, movies, health, apparel = phrases = default_phrases()
    lists: dict[str, dict[str, Any]] = {
        food: {"search": phrases[food]},
        movies: {"playlists": [playlist_of(movies)]},
        health: {"channels": [handle_of(health)]},
        apparel: {"search": phrases[apparel]},
    }
    return json.dumps({name: {"count": 50, **of} for name, of in lists.items()})


def _troubles(video: SandboxVideo) -> set[str]:
    return set(re.findall(r"\(([^)]+)\)", video.title))
