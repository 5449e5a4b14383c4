"""The dashboard's panels: each a table for everybody, most with a picture and what to say instead of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotation.events import CHOICES
from annotation.web.measurements import Measured
from annotation.web.pages import duration
from annotation.web.untrusted import isolated
from data_catalog.schemas import LABELS

if TYPE_CHECKING:
    from annotation.agreement import Share
    from annotation.reliability import Coefficient

_OUTCOMES = (*reversed(LABELS), "excluded")


@dataclass(frozen=True)
class Part:
    """So many of so many, to be shown as a bar too."""

    done: int
    of: int

    @property
    def text(self) -> str:
        """As people say it."""
        return f"{self.done:,} of {self.of:,} ({self.done / self.of:.0%})" if self.of else "–"


Cell = str | int | Part


@dataclass(frozen=True)
class Panel:
    """One question to a round, and its answer."""

    title: str
    about: str
    """What it tells, and how to read it."""
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    picture: str | None = None
    """One of `measurements.PICTURES`."""
    alt: str = ""
    nothing: str = "Nothing yet."
    """What to say instead of a table without rows."""


def panels(measured: Measured) -> list[Panel]:
    """All panels of a round."""
    return [
        _progress(measured),
        _coefficients(measured),
        _over_time(measured),
        _pairs(measured),
        _balance(measured),
        _with_themselves(measured),
        _confusion(measured),
    ]


def coefficient_text(each: Coefficient) -> str:
    """A coefficient in one line: value, interval, or why there is none."""
    if each.value is None:
        return each.reason
    interval = (
        f", 95 % interval {each.low:.2f} to {each.high:.2f}" if each.low is not None and each.high is not None else ""
    )
    return f"{each.value:.2f}{interval}"


def count_ads(count: int) -> str:
    """So many ads."""
    return f"{count:,} ad{'' if count == 1 else 's'}"


def _progress(measured: Measured) -> Panel:
    rows = [
        (
            each.person.name,
            each.person.role,
            Part(each.done, each.total),
            duration(each.median_s) if each.median_s is not None else "–",
            f"{each.last_at:%d %b, %H:%M}" if each.last_at else "–",
        )
        for each in measured.progress
    ]
    alt = _list(f"{isolated(each.person.name)} {each.done} of {each.total}" for each in measured.progress)
    return Panel(
        "Progress",
        "What is done of what is theirs to do; a verifier's is what waits for them now and what they have decided.",
        ("Who", "Role", "Done", "Median", "Last (UTC)"),
        rows,
        "progress",
        f"Bars of progress: {alt}.",
        nothing="Nobody was invited yet.",
    )


def _coefficients(measured: Measured) -> Panel:
    found = measured.agreement
    rows = [
        (name, _number(each.value), _interval(each), f"{each.n_entries:,}", f"{each.n_votes:,}", each.reason)
        for name, each in (
            ("Krippendorff's alpha, all ads", found.alpha),
            ("Fleiss' kappa", found.kappa),
            *((f"alpha: {category}", each) for category, each in found.alpha_by_category.items()),
        )
    ]
    by_category = _list(f"{isolated(name)} {coefficient_text(each)}" for name, each in found.alpha_by_category.items())
    return Panel(
        "Agreement beyond chance",
        "1 is perfect, 0 is what chance would give. Conclusions are called firm from 0.8, tentative from 0.667.",
        ("", "Value", "95 % interval", "Ads", "Votes", ""),
        rows,
        "alpha",
        f"Krippendorff's alpha with intervals. All ads: {coefficient_text(found.alpha)}. By category: {by_category}.",
    )


def _over_time(measured: Measured) -> Panel:
    moments = [each for each in measured.agreement.alpha_over_time if each.alpha.value is not None]
    rows = [
        (f"{each.at:%d %b, %H:%M}", f"{each.alpha.n_entries:,}", _number(each.alpha.value), _interval(each.alpha))
        for each in moments
    ]
    course = (
        f"from {_number(moments[0].alpha.value)} after {count_ads(moments[0].alpha.n_entries)} to "
        f"{_number(moments[-1].alpha.value)} after {moments[-1].alpha.n_entries}"
        if moments
        else "nothing to draw yet"
    )
    return Panel(
        "Alpha as the round goes on",
        "Of all ads judged by then. A fall may mean harder ads, tired people, or a gap in the guidelines.",
        ("Until (UTC)", "Ads", "Alpha", "95 % interval"),
        rows,
        "alpha-over-time",
        f"Line of Krippendorff's alpha as the round goes on: {course}.",
    )


def _pairs(measured: Measured) -> Panel:
    found = measured.agreement.pairs
    place = {person: at for at, person in enumerate(measured.agreement.balance)}
    rows = []
    for each in sorted(found, key=lambda pair: sorted((place[pair.first], place[pair.second]))):
        first, second = sorted((each.first, each.second), key=lambda person: place[person])
        rows.append((_name(measured, first), _name(measured, second), _part(each.same)))
    known = [each.same.value for each in found if each.same.value is not None]
    extent = f"between {min(known):.0%} and {max(known):.0%}" if known else "no pair has judged the same ads yet"
    return Panel(
        "Pair by pair",
        "Ads on which two people made the same choice. One pale row: somebody reads the guidelines in another way.",
        ("Reviewer", "and", "Same choice"),
        rows,
        "pairs",
        f"Grid of pairs of reviewers, shaded by how often they made the same choice: {extent}.",
    )


def _balance(measured: Measured) -> Panel:
    rows = [
        (_name(measured, person), *(f"{choices[choice]:,}" for choice in CHOICES))
        for person, choices in measured.agreement.balance.items()
    ]
    totals = {choice: sum(each[choice] for each in measured.agreement.balance.values()) for choice in CHOICES}
    return Panel(
        "Choices",
        "How often each person made each choice.",
        ("Reviewer", *(choice.capitalize() for choice in CHOICES)),
        rows,
        "balance",
        f"Bars of choices by reviewer; in all {_list(f'{totals[choice]} {choice}' for choice in CHOICES)}.",
    )


def _with_themselves(measured: Measured) -> Panel:
    found = measured.agreement
    rows = [
        (_name(measured, person), _part(found.self_consistency[person]), _part(found.gold[person]))
        for person in found.balance
    ]
    return Panel(
        "Self-consistency and known answers",
        "Ads that were shown twice and got the same choice twice; ads whose answer was known and that got it.",
        ("Reviewer", "Same again", "Known answers found"),
        rows,
    )


def _confusion(measured: Measured) -> Panel:
    found = measured.agreement.confusion
    counts = {label: {each: found.get((label, each), 0) for each in _OUTCOMES} for label in reversed(LABELS)}
    rows = [(label, *(f"{counts[label][each]:,}" for each in _OUTCOMES)) for label in counts if found]
    said = _list(
        f"of {count_ads(sum(row.values()))} that the comments call {label}, people called "
        + _list(f"{count} {outcome}" for outcome, count in row.items())
        for label, row in counts.items()
    )
    return Panel(
        "The comments' label and people's",
        "What became of the ads that SentiStrength's scores of the comments call positive and negative.",
        ("Comments say", *(each.capitalize() for each in _OUTCOMES)),
        rows,
        "confusion",
        f"Grid of the comments' label against people's: {said if found else 'no ad has come to its end yet'}.",
        nothing="No ad has come to its end yet.",
    )


def _name(measured: Measured, person_id: str) -> str:
    return measured.names.get(person_id, person_id)


def _part(share: Share) -> Part:
    return Part(share.right, share.of)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(each: Coefficient) -> str:
    return "–" if each.low is None or each.high is None else f"{each.low:.3f} to {each.high:.3f}"


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "none"
