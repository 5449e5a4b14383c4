"""The sandbox answers as the Data API does: shapes, parts, pages, searches, troubles."""

from __future__ import annotations

from typing import Any

import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tests.youtube_sandbox import (
    TROUBLES,
    SandboxComment,
    SandboxPlaylist,
    SandboxSettings,
    SandboxVideo,
    World,
    random_world,
    serve,
)
from tests.youtube_sandbox.asking import (
    VIDEO,
    Json,
    all_comments,
    ask,
    asked,
    comment,
    error_of,
    ids_of,
    items,
    pages,
    recorded_world,
)
from tests.youtube_sandbox.builders import default_phrases

ALL_PARTS = "snippet,contentDetails,statistics,status,player,paidProductPlacementDetails"


def test_a_complete_crawl_gets_every_comment_once() -> None:
    world = random_world(3, videos=2, comments_per_video=1_500)
    assert max(len(thread.replies) for video in world.videos.values() for thread in video.threads) > 20
    with serve(world) as sandbox:
        for video_id in world.videos:
            found = all_comments(sandbox, video_id)
            assert len(found) == len(set(found)) == 1_500
            assert set(found) == world.api_comments(video_id)


def test_the_same_seed_gives_the_same_world() -> None:
    assert random_world(5, videos=3).videos == random_world(5, videos=3).videos
    assert random_world(5, videos=3).videos != random_world(6, videos=3).videos


def test_googles_client_reads_the_answers_and_follows_the_pages() -> None:
    world = random_world(1, videos=1, comments_per_video=250, replies=False)
    (video_id,) = world.videos
    with serve(world) as sandbox:
        client = build(
            "youtube",
            "v3",
            developerKey="k1",
            client_options={"api_endpoint": sandbox.url},
            static_discovery=True,
            cache_discovery=False,
        )
        request = client.commentThreads().list(part="snippet", videoId=video_id, maxResults=100)
        found: list[str] = []
        while request is not None:
            answer = request.execute()
            found += ids_of(answer["items"])
            request = client.commentThreads().list_next(request, answer)
        assert set(found) == world.api_comments(video_id)
        with pytest.raises(HttpError, match="could not be found"):
            client.commentThreads().list(part="snippet", videoId="nowhere").execute()
        client.close()


def test_only_the_parts_and_fields_that_are_asked_for_come() -> None:
    with serve(recorded_world()) as sandbox:
        (video,) = asked(sandbox, "videos", id=VIDEO, part="statistics,status")["items"]
        assert set(video) == {"kind", "etag", "id", "statistics", "status"}
        answer = asked(
            sandbox,
            "commentThreads",
            videoId=VIDEO,
            part="snippet,replies",
            fields="items(id,replies/comments/id,snippet(totalReplyCount))",
        )
        assert set(answer) == {"items"}
        assert answer["items"][-1] == {
            "id": "Ugx0",
            "snippet": {"totalReplyCount": 3},
            "replies": {"comments": [{"id": "Ugx102"}, {"id": "Ugx101"}, {"id": "Ugx100"}]},
        }
        answer = asked(sandbox, "commentThreads", videoId=VIDEO, part="snippet,replies", fields="items/id")
        assert answer["items"][-1] == {"id": "Ugx0"}
        assert set(asked(sandbox, "search", q="video", part="id")["items"][0]) == {"kind", "etag", "id"}


@pytest.mark.parametrize(
    ("method", "parameters", "reason"),
    [
        ("videos", {}, "missingRequiredParameter"),
        ("videos", {"part": "snippet"}, "missingRequiredParameter"),
        ("videos", {"part": "snipet", "id": VIDEO}, "unknownPart"),
        ("videos", {"part": "snippet", "id": VIDEO, "fields": "items/snipet"}, "invalidParameter"),
        ("videos", {"part": "snippet", "id": VIDEO, "fields": "items(id"}, "invalidParameter"),
        ("videos", {"part": "snippet", "id": VIDEO, "videoid": "1"}, "badRequest"),
        ("search", {"part": "snippet", "maxResults": "51"}, "invalidParameter"),
        ("search", {"part": "snippet", "order": "newest"}, "invalidParameter"),
        ("search", {"part": "snippet", "videoPaidProductPlacement": "true"}, "invalidSearchFilter"),
        ("search", {"part": "snippet", "publishedAfter": "2024"}, "invalidParameter"),
        ("commentThreads", {"part": "snippet", "videoId": VIDEO, "maxResults": "101"}, "invalidParameter"),
        ("commentThreads", {"part": "snippet", "videoId": VIDEO, "textFormat": "plain"}, "invalidParameter"),
        ("commentThreads", {"part": "snippet", "videoId": VIDEO, "pageToken": "CAUQAA"}, "invalidPageToken"),
        ("comments", {"part": "snippet", "parentId": "Ugx77"}, "commentNotFound"),
        ("playlistItems", {"part": "snippet", "playlistId": "PLnowhere"}, "playlistNotFound"),
    ],
)
def test_a_wrong_call_is_refused_and_costs_a_unit(method: str, parameters: Json, reason: str) -> None:
    with serve(recorded_world()) as sandbox:
        status, body = ask(sandbox, method, parameters)
        assert status in (400, 404)
        assert error_of(body) == reason
        assert sum(sandbox.counts["k1"].values()) == 1


def test_texts_come_as_html_unless_plain_text_is_asked_for() -> None:
    world = World([SandboxVideo(VIDEO, threads=[SandboxComment("Ugx0", "I can't <b>\n& so on")])])
    with serve(world) as sandbox:
        shown = [
            asked(sandbox, "commentThreads", videoId=VIDEO, **more)["items"][0]["snippet"]["topLevelComment"]["snippet"]
            for more in ({}, {"textFormat": "plainText"})
        ]
    assert [text["textDisplay"] for text in shown] == ["I can&#39;t &lt;b&gt;<br />&amp; so on", "I can't <b>\n& so on"]
    assert {text["textOriginal"] for text in shown} == {"I can't <b>\n& so on"}


def test_a_thread_brings_five_replies_and_counts_those_that_were_removed() -> None:
    thread = comment(0, replies=[comment(number) for number in range(1, 9)], hidden_replies=2)
    with serve(World([SandboxVideo(VIDEO, threads=[thread], hidden_comments=4)])) as sandbox:
        (given,) = asked(sandbox, "commentThreads", videoId=VIDEO, part="snippet,replies")["items"]
        assert ids_of(given["replies"]["comments"]) == ["Ugx8", "Ugx7", "Ugx6", "Ugx5", "Ugx4"]
        assert given["snippet"]["totalReplyCount"] == 10
        (video,) = asked(sandbox, "videos", id=VIDEO, part="statistics")["items"]
        assert video["statistics"]["commentCount"] == "15"


def test_a_page_token_of_another_list_is_refused() -> None:
    world = random_world(1, videos=2, comments_per_video=50, replies=False)
    one, other = world.videos
    with serve(world) as sandbox:
        token = asked(sandbox, "commentThreads", videoId=one)["nextPageToken"]
        status, body = ask(sandbox, "commentThreads", {"part": "snippet", "videoId": other, "pageToken": token})
    assert (status, error_of(body)) == (400, "invalidPageToken")


def test_titles_in_a_search_carry_htmls_entities_and_in_a_description_they_do_not() -> None:
    with serve(World([SandboxVideo(VIDEO, title="Tom's <b> & Co")])) as sandbox:
        (found,) = asked(sandbox, "search", type="video")["items"]
        (described,) = asked(sandbox, "videos", id=VIDEO)["items"]
    assert found["snippet"]["title"] == "Tom&#39;s &lt;b&gt; &amp; Co"
    assert described["snippet"]["title"] == "Tom's <b> & Co"


@pytest.mark.parametrize("order", ["time", "relevance"])
def test_threads_come_in_the_order_asked_for(order: str) -> None:
    threads = [comment(number, like_count=number % 7) for number in range(30)]
    with serve(World([SandboxVideo(VIDEO, threads=threads)])) as sandbox:
        found = items(sandbox, "commentThreads", videoId=VIDEO, maxResults=10, order=order)
    shown = [thread["snippet"]["topLevelComment"]["snippet"] for thread in found]
    ranks = [text["publishedAt" if order == "time" else "likeCount"] for text in shown]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ids_of(found))) == 30


def test_nothing_is_lost_when_comments_come_and_go_between_two_pages() -> None:
    world = World([SandboxVideo(VIDEO, threads=[comment(number) for number in range(300)])])
    with serve(world) as sandbox:
        listed = pages(sandbox, "commentThreads", videoId=VIDEO, maxResults=100)
        found = ids_of(next(listed)["items"])
        for number in (250, 290, 150):
            world.delete_comment(f"Ugx{number}")
        world.add_comment(VIDEO, comment(1000))
        for page in listed:
            found += ids_of(page["items"])
    assert set(found) >= world.api_comments(VIDEO) - {"Ugx1000"}
    assert len(found) == len(set(found)) == 299


def test_a_world_that_changes_is_served_as_it_is_now() -> None:
    thread = comment(0, replies=[comment(1), comment(2)])
    world = World([SandboxVideo(VIDEO, threads=[thread, comment(3)])])
    with serve(world) as sandbox:
        assert set(all_comments(sandbox, VIDEO)) == {"Ugx0", "Ugx1", "Ugx2", "Ugx3"}
        world.add_comment(VIDEO, comment(4), parent_id="Ugx0")
        assert "Ugx4" in all_comments(sandbox, VIDEO)
        world.delete_comment("Ugx1")
        assert "Ugx1" not in all_comments(sandbox, VIDEO)
        world.delete_comment("Ugx3")
        assert set(all_comments(sandbox, VIDEO)) == {"Ugx0", "Ugx2", "Ugx4"} == world.api_comments(VIDEO)
        world.add_video(SandboxVideo("brandnewone"))
        assert ids_of(asked(sandbox, "videos", id="brandnewone")["items"]) == ["brandnewone"]
        world.delete_video(VIDEO)
        assert "items" not in asked(sandbox, "videos", id=VIDEO)
        assert error_of(ask(sandbox, "commentThreads", {"part": "snippet", "videoId": VIDEO})[1]) == "videoNotFound"
        assert world.api_comments(VIDEO) == set()


def test_a_search_ends_near_500_results_and_slices_of_time_find_the_rest() -> None:
    world = random_world(2, videos=2_400, comments_per_video=0)
    phrase = default_phrases()["healthcare"][0]
    with serve(world, SandboxSettings(searches_per_day=1_000)) as sandbox:
        whole = ids_of(items(sandbox, "search", q=phrase, type="video", maxResults=50))
        assert len(whole) == len(set(whole)) == 500
        found: set[str] = set()
        for year in range(2012, 2027):
            slice_ = {"publishedAfter": f"{year}-01-01T00:00:00Z", "publishedBefore": f"{year + 1}-01-01T00:00:00Z"}
            found.update(ids_of(items(sandbox, "search", q=phrase, type="video", maxResults=50, **slice_)))
    assert found == {video.video_id for video in world.videos.values() if phrase in video.found_by}
    assert len(found) == 600


def test_a_search_takes_every_filter_that_the_crawl_uses() -> None:
    videos = [
        SandboxVideo("plainplain0", duration_s=600),
        SandboxVideo("placement00", duration_s=100, paid_product_placement=True),
        SandboxVideo("blocked0000", duration_s=600, blocked_in=("DE",)),
        SandboxVideo("elsewhere00", duration_s=600, allowed_in=("DE",)),
        SandboxVideo("otherchanne", duration_s=600, channel_id="UC" + "z" * 22, title="Something else"),
    ]
    with serve(World(videos)) as sandbox:

        def found(**more: Any) -> set[str]:
            return set(ids_of(items(sandbox, "search", type="video", maxResults=50, **more)))

        everything = {video.video_id for video in videos}
        assert found() == everything
        assert found(q="something else") == {"otherchanne"}
        assert found(channelId="UC" + "z" * 22) == {"otherchanne"}
        assert found(regionCode="DE") == everything - {"blocked0000"}
        assert found(regionCode="US") == everything - {"elsewhere00"}
        assert found(videoPaidProductPlacement="true") == {"placement00"}
        assert found(videoDuration="short") == {"placement00"}
        assert found(relevanceLanguage="fr") == everything, "the language is a hint"


def test_what_is_gone_is_left_out_of_descriptions_and_keeps_its_place_in_a_playlist() -> None:
    videos = [SandboxVideo(f"video{number:06d}") for number in range(4)]
    videos[1].gone = True
    videos[2].privacy = "private"
    videos[3] = SandboxVideo("video000003", gone=True, still_listed=True)
    ids = [video.video_id for video in videos]
    with serve(World(videos, playlists=[SandboxPlaylist("PLsomebodys", ids)])) as sandbox:
        assert ids_of(asked(sandbox, "videos", id=",".join(ids))["items"]) == ids[:1]
        assert "items" not in asked(sandbox, "videos", id=",".join(ids[1:]))
        titles = [item["snippet"]["title"] for item in items(sandbox, "playlistItems", playlistId="PLsomebodys")]
        assert titles == ["A video", "Deleted video", "Private video", "A video"]
        (channel,) = asked(sandbox, "channels", forHandle="@sandbox", part="contentDetails")["items"]
        uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
        listed = items(sandbox, "playlistItems", playlistId=uploads, part="contentDetails")
        assert {item["contentDetails"]["videoId"] for item in listed} == {ids[0], ids[3]}
        assert set(ids_of(asked(sandbox, "search", type="video")["items"])) == {ids[0], ids[3]}
        assert "items" not in asked(sandbox, "channels", forHandle="@nobody")


def test_every_trouble_shows_where_the_api_shows_it() -> None:
    world = random_world(4, videos=len(TROUBLES), comments_per_video=5, troubles=tuple(TROUBLES))
    of = dict(zip(TROUBLES, world.videos, strict=True))
    with serve(world) as sandbox:
        described = {
            item["id"]: item for item in asked(sandbox, "videos", id=",".join(of.values()), part=ALL_PARTS)["items"]
        }
        refused = {
            trouble: error_of(body)
            for trouble, video_id in of.items()
            if (body := ask(sandbox, "commentThreads", {"part": "snippet", "videoId": video_id})[1]).get("error")
        }
    assert set(of.values()) - set(described) == {of["gone"], of["private"]}
    assert refused == {
        "comments_disabled": "commentsDisabled",
        "gone": "videoNotFound",
        "private": "videoNotFound",
        "members_only": "forbidden",
    }
    assert "commentCount" not in described[of["comments_disabled"]]["statistics"]
    assert described[of["age_restricted"]]["contentDetails"]["contentRating"] == {"ytRating": "ytAgeRestricted"}
    assert described[of["region_blocked"]]["contentDetails"]["regionRestriction"] == {"blocked": ["US", "DE"]}
    assert described[of["allowed_elsewhere"]]["contentDetails"]["regionRestriction"] == {"allowed": ["JP"]}
    assert described[of["too_long"]]["contentDetails"]["duration"] == "PT2H"
    assert described[of["upcoming"]]["contentDetails"]["duration"] == "P0D"
    assert described[of["removed_comments"]]["statistics"]["commentCount"] == "12"
