"""The report: audiences over time beside the model's answers, drift, and the ads whose audience turned."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from data_catalog.catalog import Catalog
from data_catalog.errors import YtbAdsError
from data_catalog.printing import counted, plain
from data_catalog.releases import read_manifest
from data_catalog.storage import fetch_folder
from fgmfn.errors import FgmfnError
from flows.errors import ModelError
from flows.gate import ads_behind
from flows.models import CURRENT, METRICS, ModelRun, find_run, run_in_service
from flows.monitor.audience import Audience, Audiences, read_audiences
from flows.monitor.drift import LEVEL, Drift, compare, corrected
from flows.monitor.inputs import compare_inputs, read_given, read_trained
from flows.monitor.period import Period, parse_period
from flows.ocr.texts import TextFrame, read_frames
from flows.settings import Settings
from flows.stages import SCORES

if TYPE_CHECKING:
    from fgmfn.inference import Predictor
    from flows.monitor.answers import Answer, Confidence

log = logging.getLogger("ytb_ads")


@dataclass(frozen=True)
class MonitoredAd:
    """An ad's audience, and the model's answer if it was asked."""

    audience: Audience
    answer: Answer | None
    n_frames: int | None
    """Frames with enough words, that a model is asked about; None without a model."""

    @property
    def disagrees(self) -> bool:
        """The audience's mean is surely on the other side of zero than the answer, unless that is called unsure."""
        if self.answer is None or self.answer.sure is False or not self.audience.period.sign:
            return False
        return self.audience.period.sign * self.answer.sign < 0

    def turned_in(self, period: Period) -> bool:
        """Its audience turned, and did so in the period."""
        change = self.audience.change
        return change is not None and change.turned and change.at >= period.since


@dataclass(frozen=True)
class MonitorReport:
    """A look at a catalog; titles and categories in it are untrusted."""

    catalog: str
    period: Period
    audiences: Audiences
    ads: tuple[MonitoredAd, ...]
    """Those of the period: first those whose audience turned in it, then those with most comments in it."""
    model: str | None
    """Name of the run whose answers these are."""
    n_trained_rows: int
    """Distinct training rows, that the drift is measured from."""
    n_given_rows: int
    """Frames with enough words of ads of the period that the model has not learned from."""
    n_learned: int | None
    """Ads of the period that the model has learned from, which are left out of the drift; None if nobody can tell."""
    drift: tuple[Drift, ...]
    notes: tuple[str, ...]
    """Facts that could not be determined, with the reason."""

    @property
    def turned(self) -> list[MonitoredAd]:
        """Ads whose audience turned in the period."""
        return [ad for ad in self.ads if ad.turned_in(self.period)]

    @property
    def turned_before(self) -> list[MonitoredAd]:
        """Ads whose audience last turned before the period."""
        return [
            ad
            for ad in self.ads
            if ad.audience.change and ad.audience.change.turned and ad.audience.change.at < self.period.since
        ]

    @property
    def disagreeing(self) -> list[MonitoredAd]:
        """Ads whose audience is surely on the other side than the model's answer."""
        return [ad for ad in self.ads if ad.disagrees]

    @property
    def differing(self) -> list[Drift]:
        """Measures that can be told apart."""
        return [drift for drift in self.drift if drift.p is not None and drift.p <= LEVEL]

    def summary(self) -> list[str]:
        """The report in a few lines."""
        return list(_summary(self))

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        counts = ("n_ads", "n_undated", "n_future", "n_unscored", "n_tested")
        return {
            "catalog": self.catalog,
            "since": self.period.since.isoformat(),
            "until": self.period.until.isoformat(),
            "model": self.model,
            **{name: getattr(self.audiences, name) for name in counts},
            "n_trained_rows": self.n_trained_rows,
            "n_given_rows": self.n_given_rows,
            "n_learned": self.n_learned,
            "turned": [ad.audience.video_id for ad in self.turned],
            "disagreeing": [ad.audience.video_id for ad in self.disagreeing],
            "drift": [{**asdict(drift), "verdict": drift.verdict} for drift in self.drift],
            "notes": list(self.notes),
            "ads": [_ad_json(ad) for ad in self.ads],
        }


def monitor(
    catalog: Catalog,
    settings: Settings,
    *,
    since: str,
    now: datetime,
    model: str = CURRENT,
    advance: Callable[[float], object] = lambda _: None,
) -> MonitorReport:
    """Look at the ads of a period: what their audiences say, what the model says, and what has drifted.

    Args:
        catalog: tables, releases and models.
        settings: of comments, frames, words, and of the report.
        since: begin of the period, as `parse_period` reads it.
        now: its end.
        model: `CURRENT`, the model in service if there is one; or a run of the catalog.
        advance: is told of every ad that the model was asked about.

    Raises:
        MonitorError: `since` is no begin of a period.
        ModelError: there is no such run.
    """
    period = parse_period(since, now)
    run = run_in_service(catalog) if model == CURRENT else find_run(catalog, model)
    audiences = read_audiences(
        catalog,
        settings.sentiment,
        period,
        scores_fingerprint=SCORES.fingerprint(settings),
        least=settings.monitor.turn,
    )
    ads = tuple(MonitoredAd(audience, None, None) for audience in audiences.ads)
    ads = tuple(sorted(ads, key=lambda ad: not ad.turned_in(period)))
    report = MonitorReport(catalog.root, period, audiences, ads, run.name if run else None, 0, 0, None, (), ())
    notes = list(_gaps(audiences))
    if run is None:
        notes.append("no model is in service: there are no answers, and no rows to measure drift from")
    else:
        report, of_model = _beside_model(report, catalog, run, settings, advance)
        notes += of_model
    return replace(report, notes=tuple(notes))


def _beside_model(
    report: MonitorReport, catalog: Catalog, run: ModelRun, settings: Settings, advance: Callable[[float], object]
) -> tuple[MonitorReport, list[str]]:
    """The same with the model's answers and with drift, and notes on facts that could not be determined."""
    notes: list[str] = []
    try:
        learned: frozenset[str] | None = ads_behind(catalog, run)
    except ModelError as error:
        learned = None
        notes.append(f"drift: {error}")
    more_than = settings.ocr.more_than_words
    release = catalog.releases_dir / run.release
    if learned is not None:
        more_than = read_manifest(release)["settings"].get("ocr", {}).get("more_than_words", more_than)
    frames = _frames(catalog, settings, {ad.audience.video_id for ad in report.ads}, more_than)
    answers, tried, given = _answers(report, catalog, run, frames, learned or frozenset(), settings, advance, notes)
    report = replace(
        report,
        ads=tuple(
            replace(ad, answer=answers.get(id_), n_frames=len(frames.get(id_, ())))
            for ad in report.ads
            for id_ in [ad.audience.video_id]
        ),
    )
    if learned is None:
        return report, notes
    unseen = [frame for ad, of_ad in frames.items() if ad not in learned for frame in of_ad]
    uploads = {row["video_id"]: row["group_id"] for row in catalog.read("reuploads").to_pylist()}
    try:
        inputs = read_trained(catalog, release), read_given(catalog, unseen)
    except YtbAdsError as error:
        return report, [*notes, f"drift: {error}"]
    drifts = compare_inputs(*inputs, uploads)
    if tried is not None and given is not None:
        labels = {ad: label for ad, label in given.labels.items() if ad not in learned}
        confidences = {ad: given.confidences[ad] for ad in labels}
        drifts += [
            compare("answer", "", tried.labels, labels, uploads),
            compare("probability of the answer", "0 to 1", tried.confidences, confidences, uploads),
        ]
    report = replace(
        report,
        drift=tuple(corrected(drifts)),
        n_trained_rows=inputs[0].n_rows,
        n_given_rows=inputs[1].n_rows,
        n_learned=len(learned.intersection(ad.audience.video_id for ad in report.ads)),
    )
    return report, notes


def _frames(catalog: Catalog, settings: Settings, ads: set[str], more_than: int) -> dict[str, list[TextFrame]]:
    """Of each of these ads the frames with enough words, as the rows of a release have them."""
    frames: dict[str, list[TextFrame]] = defaultdict(list)
    for frame in read_frames(catalog, settings).values():
        if frame.video_id in ads and frame.n_words > more_than:
            frames[frame.video_id].append(frame)
    return dict(frames)


def _answers(
    report: MonitorReport,
    catalog: Catalog,
    run: ModelRun,
    frames: Mapping[str, Sequence[TextFrame]],
    learned: frozenset[str],
    settings: Settings,
    advance: Callable[[float], object],
    notes: list[str],
) -> tuple[dict[str, Answer], Confidence | None, Confidence | None]:
    """The model's answers for the first ads of the report, and the answers that drift is measured between."""
    if not settings.monitor.answers or not frames:
        return {}, None, None
    from flows.monitor.answers import ask, read_tried

    can_be_asked = [ad.audience.video_id for ad in report.ads if ad.audience.video_id in frames]
    asked = can_be_asked[: settings.monitor.answers]
    if len(asked) < len(can_be_asked):
        notes.append(
            f"the model was asked about {len(asked):,} of {len(can_be_asked):,} ads that have frames with enough "
            "words, those with most comments (monitor.answers)"
        )
    try:
        predictor = _predictor(run)
        answers, given = ask(predictor, catalog, {ad: frames[ad] for ad in asked}, learned, advance)
        if any(answer.interval is None for answer in answers.values()):
            notes.append("the model was trained without calibration: how sure an answer is cannot be said")
        return answers, read_tried(run.folder, predictor), given
    except (FgmfnError, OSError) as error:
        notes.append(f"answers: {error}")
        return {}, None, None


def _predictor(run: ModelRun) -> Predictor:
    from fgmfn.inference import Predictor

    return Predictor.open(fetch_folder(run.folder, METRICS))


def _gaps(audiences: Audiences) -> Iterator[str]:
    if audiences.n_unscored:
        yield (
            f"{counted(audiences.n_unscored, 'comment')} of the period have no score by the settings in force and are "
            "not counted; `ytb-ads build` scores them"
        )
    if audiences.n_undated:
        yield f"{counted(audiences.n_undated, 'comment')} without a date are in no week"
    if audiences.n_future:
        yield f"{counted(audiences.n_future, 'comment')} dated after the end of the period are left out"
    if unread := sum(ad.is_unread for ad in audiences.ads):
        yield f"the comments of {counted(unread, 'ad')} are not read to the end: no change is looked for there"


def _summary(report: MonitorReport) -> Iterator[str]:
    ads, period = report.ads, report.period
    comments = sum(ad.audience.n_comments for ad in ads)
    few = sum(ad.audience.period.low is None for ad in ads)
    yield (
        f"{period.since:%Y-%m-%d %H:%M} to {period.until:%Y-%m-%d %H:%M} UTC: {counted(comments, 'comment')} on "
        f"{counted(len(ads), 'ad')} of {report.audiences.n_ads:,}; {few:,} with too few comments for an interval"
    )
    yield (
        f"audience turned: {counted(len(report.turned), 'ad')}; looked at {report.audiences.n_tested:,} ads with "
        "enough comments"
    )
    asked = [ad.answer for ad in ads if ad.answer]
    if asked:
        yield (
            f"{report.model}: answers for {counted(len(asked), 'ad')}, {sum(a.sure is False for a in asked):,} not "
            f"sure; on {counted(len(report.disagreeing), 'ad')} the audience's interval lies wholly on the other side"
        )
    if report.drift:
        few_ads = [drift.name for drift in report.drift if drift.p is None]
        nothing = "nothing distinguishable" if len(few_ads) < len(report.drift) else "too few ads to tell"
        differing = ", ".join(drift.name for drift in report.differing) or nothing
        yield (
            f"drift: {differing}; {report.n_given_rows:,} frames of the period against {report.n_trained_rows:,} rows "
            "trained on"
            + (f"; too few ads to tell: {', '.join(few_ads)}" if 0 < len(few_ads) < len(report.drift) else "")
        )


def _ad_json(ad: MonitoredAd) -> dict[str, Any]:
    found = plain(asdict(ad))
    found.update(found.pop("audience"))
    return {**found, "enough": ad.audience.period.low is not None, "disagrees": ad.disagrees}
