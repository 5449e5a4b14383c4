"""A round's agreement as tables, the same for the terminal and the dashboard, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from annotation.agreement import Adjudication, Agreement, Coefficient, EntryFigures, Share, measure
from annotation.events import CHOICES
from annotation.outcomes import PersonProgress
from annotation.reading import FRAME_S, WORD_S, read_least_s
from annotation.rounds import read_categories, read_predictions
from annotation.store import Store
from annotation.untrusted import isolated
from data_catalog.catalog import Catalog
from data_catalog.printing import printable
from data_catalog.schemas import LABELS

OUTCOMES = (*reversed(LABELS), "excluded")
"""Outcomes of an ad."""

MAX_ENTRIES = 10
"""Ads named in a table; `export --rows entries` has all."""
_FASTEST = 3
"""Ads named of somebody who votes too fast."""

Cell = str | Share


@dataclass(frozen=True)
class AgreementTable:
    """One question to a round, and its answer. Names in the cells are as their owners wrote them."""

    title: str
    about: str
    """Meaning of the table, and how to read it."""
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    picture: str | None = None
    """The plot of the same numbers, one of `plots.PICTURES`."""
    alt: str = ""
    """Alternative text of the plot for screen readers."""
    nothing: str = "Nothing yet."
    """Text shown instead of a table without rows."""


def read_agreement(store: Store, catalog: Catalog, round_id: int, *, seed: int = 0) -> Agreement:
    """Measure a round, with labels and categories of its ads from the catalog.

    Raises:
        RoundError: there is no such round.
    """
    round_, entries = store.rounds.get(round_id), store.rounds.entries(round_id)
    return measure(
        store.events(round_id),
        entries,
        round_.rule,
        comments={video_id: each.label for video_id, each in read_predictions(catalog).items()},
        categories=read_categories(catalog),
        least_s=read_least_s(catalog, entries.values()),
        levels={person.id: person.level for person in store.people.all() if person.level},
        seed=seed,
    )


def render_agreement(agreement: Agreement, names: Mapping[str, str]) -> Group:
    """Tables for the terminal; names are untrusted and are shown as plain text."""
    tables = (
        coefficients(agreement),
        choices(agreement, names),
        people(agreement, names),
        levels(agreement),
        pairs(agreement, names),
        fast(agreement, names),
        slow(agreement),
        estimated(agreement),
        confusion(agreement),
    )
    return Group(*map(_rendered, tables))


def agreement_as_json(agreement: Agreement, names: Mapping[str, str], *, pseudonyms: bool = False) -> dict[str, Any]:
    """The same as plain values: a number that has no meaning is null beside its reason.

    Args:
        agreement: what was measured.
        names: of the people.
        pseudonyms: the names are some, and go in the place of the people's ids, too.
    """

    def id_of(person: str) -> str:
        return names.get(person, person) if pseudonyms else person

    return {
        "krippendorff_alpha": asdict(agreement.alpha),
        "krippendorff_alpha_by_category": {name: asdict(each) for name, each in agreement.alpha_by_category.items()},
        "krippendorff_alpha_over_time": [
            {"at": moment.at.isoformat(), **asdict(moment.alpha)} for moment in agreement.alpha_over_time
        ],
        "fleiss_kappa": asdict(agreement.kappa),
        "krippendorff_alpha_by_level": {name: asdict(each) for name, each in agreement.alpha_by_level.items()},
        "levels": {
            level: {name: _share_as_json(share) for name, share in vars(each).items()}
            for level, each in by_level(agreement).items()
        },
        "people": [
            {
                "id": id_of(person),
                "name": names.get(person, person),
                "level": agreement.levels.get(person),
                "choices": dict(choices),
                **asdict(agreement.pace[person]),
                "same_choice_again": _share_as_json(agreement.self_consistency[person]),
                "gold_answers_found": _share_as_json(agreement.gold[person]),
                "faster_than_reading": [asdict(vote) for vote in agreement.fast[person]],
                "final_label_chosen": _share_as_json(agreement.adjudication[person].final),
                "overruled": _share_as_json(agreement.adjudication[person].overruled),
                "dawid_skene_right": agreement.reliability.get(person),
            }
            for person, choices in agreement.balance.items()
        ],
        "pairs": [
            {
                "first": id_of(pair.first),
                "second": id_of(pair.second),
                "same_choice": _share_as_json(pair.same),
                "cohen_kappa": pair.kappa.value,
            }
            for pair in agreement.pairs
        ],
        "entries": [_entry_as_json(entry) for entry in agreement.entries],
        "comments_and_people": [
            {"comments": label, "people": outcome, "n": count}
            for (label, outcome), count in sorted(agreement.confusion.items())
        ],
    }


def coefficients(found: Agreement) -> AgreementTable:
    """Krippendorff's alpha, of each category too, and Fleiss' kappa."""
    rows = [
        (name, _number(each.value), _interval(each), f"{each.n_entries:,}", f"{each.n_votes:,}", each.reason)
        for name, each in (
            ("Krippendorff's alpha, all ads", found.alpha),
            ("Fleiss' kappa", found.kappa),
            *((f"alpha: {category}", each) for category, each in found.alpha_by_category.items()),
        )
    ]
    by_category = _list(f"{isolated(name)} {coefficient_text(each)}" for name, each in found.alpha_by_category.items())
    return AgreementTable(
        "Agreement beyond chance",
        "1 is perfect, 0 is what chance would give. Conclusions are called firm from 0.8, tentative from 0.667.",
        ("Measure", "Value", "95 % interval", "Ads", "Votes", "Reading"),
        rows,
        "alpha",
        f"Krippendorff's alpha with intervals. All ads: {coefficient_text(found.alpha)}. By category: {by_category}.",
    )


def by_entries(found: Agreement) -> AgreementTable:
    """Krippendorff's alpha as the round goes on."""
    moments = [each for each in found.alpha_over_time if each.alpha.value is not None]
    rows = [
        (f"{each.alpha.n_entries:,}", f"{each.at:%d %b, %H:%M}", _number(each.alpha.value), _interval(each.alpha))
        for each in moments
    ]
    course = (
        f"from {_number(moments[0].alpha.value)} after {count_ads(moments[0].alpha.n_entries)} to "
        f"{_number(moments[-1].alpha.value)} after {moments[-1].alpha.n_entries}"
        if moments
        else "nothing to draw yet"
    )
    return AgreementTable(
        "Alpha as the round goes on",
        "Of all ads judged so far. A fall may mean harder ads, tired people, or a gap in the guidelines.",
        ("Ads judged", "Until (UTC)", "Alpha", "95 % interval"),
        rows,
        "alpha-by-entries",
        f"Line of Krippendorff's alpha against the number of ads judged: {course}.",
    )


def pairs(found: Agreement, names: Mapping[str, str]) -> AgreementTable:
    """Agreement pair by pair."""
    place = {person: at for at, person in enumerate(found.balance)}
    both = [(sorted((each.first, each.second), key=place.__getitem__), each) for each in found.pairs]
    rows: list[tuple[Cell, ...]] = [
        (*(names.get(person, person) for person in pair), each.same, _number(each.kappa.value))
        for pair, each in sorted(both, key=lambda row: [place[person] for person in row[0]])
    ]
    known = [each.same.value for each in found.pairs if each.same.value is not None]
    extent = f"between {min(known):.0%} and {max(known):.0%}" if known else "no pair has judged the same ads yet"
    return AgreementTable(
        "Pair by pair",
        "Ads on which two people made the same choice, and Cohen's kappa. One pale row: somebody reads the guidelines "
        "in another way.",
        ("Reviewer", "and", "Same choice", "Kappa"),
        rows,
        "pairs",
        f"Grid of pairs of reviewers, shaded by how often they made the same choice: {extent}.",
    )


def choices(found: Agreement, names: Mapping[str, str]) -> AgreementTable:
    """Each person's choices."""
    totals = {choice: sum(each[choice] for each in found.balance.values()) for choice in CHOICES}
    return AgreementTable(
        "Choices, person by person",
        "Somebody whose bar looks unlike the others' reads the guidelines in another way.",
        ("Reviewer", *(choice.capitalize() for choice in CHOICES)),
        [
            (names.get(person, person), *(f"{own[choice]:,}" for choice in CHOICES))
            for person, own in found.balance.items()
        ],
        "balance",
        f"Bars of choices by reviewer; in all {_list(f'{totals[choice]} {choice}' for choice in CHOICES)}.",
    )


def people(found: Agreement, names: Mapping[str, str]) -> AgreementTable:
    """Each person's pace, the choices made again, and the known answers found."""
    rows: list[tuple[Cell, ...]] = [
        (
            names.get(person, person),
            f"{found.pace[person].n_votes:,}",
            _seconds(found.pace[person].median_s),
            found.self_consistency[person],
            found.gold[person],
            found.adjudication[person].final,
            found.adjudication[person].overruled,
            f"{found.reliability[person]:.0%}" if person in found.reliability else "–",
        )
        for person in found.balance
    ]
    return AgreementTable(
        "Person by person",
        "Votes, the median seconds of one, ads shown twice that got the same choice twice, known answers found, votes "
        "for the ad's final label, votes that the verifier or the discussion overruled, of those that they decided, "
        "and Dawid and Skene's probability of being right.",
        (
            "Reviewer",
            "Votes",
            "Median s",
            "Same again",
            "Known answers found",
            "Final label",
            "Overruled",
            "Estimated right",
        ),
        rows,
    )


def levels(found: Agreement) -> AgreementTable:
    """People of one level together."""
    rows: list[tuple[Cell, ...]] = [
        (
            level,
            str(sum(each == level for each in found.levels.values())),
            _number(found.alpha_by_level[level].value),
            _interval(found.alpha_by_level[level]),
            together.final,
            together.overruled,
        )
        for level, together in by_level(found).items()
    ]
    return AgreementTable(
        "Level by level",
        "Krippendorff's alpha among the people of a level, and their votes against the final labels.",
        ("Level", "People", "Alpha", "95 % interval", "Final label", "Overruled"),
        rows,
        nothing="Nobody who voted has a level: ytb-ads annotate level NAME LEVEL.",
    )


def by_level(found: Agreement) -> dict[str, Adjudication]:
    """The people of each level against the final labels."""

    def together(level: str, of: str) -> Share:
        shares = [getattr(found.adjudication[who], of) for who, each in found.levels.items() if each == level]
        return Share(sum(share.right for share in shares), sum(share.of for share in shares))

    return {
        level: Adjudication(together(level, "final"), together(level, "overruled")) for level in found.alpha_by_level
    }


def slow(found: Agreement) -> AgreementTable:
    """The ads that took longest."""
    timed = [(each.median_s, each) for each in found.entries if each.median_s is not None]
    rows = [
        (each.video_id, f"{median_s:.1f}", *_votes_and_label(each))
        for median_s, each in sorted(timed, key=lambda row: (-row[0], row[1].video_id))[:MAX_ENTRIES]
    ]
    return AgreementTable(
        "Ads that took longest",
        f"By the median seconds of their votes, without pauses; at most {MAX_ENTRIES} are named.",
        ("Ad", "Median s", "Votes", "Final label"),
        rows,
    )


def estimated(found: Agreement) -> AgreementTable:
    """Entries for which Dawid and Skene's estimate differs from the majority or from the final label."""
    known = [each for each in found.entries if each.estimate]
    others = [each for each in known if {each.majority, each.final} - {None, each.estimated}]
    rows = [
        (each.video_id, *_votes_and_label(each), f"{each.estimated} ({max(each.estimate.values()):.0%})")
        for each in sorted(others, key=lambda each: (-max(each.estimate.values()), each.video_id))[:MAX_ENTRIES]
    ]
    return AgreementTable(
        "Dawid and Skene's estimate",
        "Labels estimated from all votes by how reliable each person seems. A statistic to look at: it changes no "
        f"label. It differs from the majority or the final label on {len(others):,} of "
        f"{count_ads(len(known))}; at most {MAX_ENTRIES} are named, the surest first.",
        ("Ad", "Votes", "Final label", "Estimate"),
        rows,
        nothing="It differs from the majority and the final label nowhere.",
    )


def _votes_and_label(each: EntryFigures) -> tuple[str, str]:
    votes = _list(f"{count} {choice}" for choice, count in each.choices.items() if count)
    return votes, each.final or "–"


def fast(found: Agreement, names: Mapping[str, str]) -> AgreementTable:
    """Each person's votes that came faster than their ads can be read."""
    rows: list[tuple[Cell, ...]] = [
        (
            names.get(person, person),
            Share(len(votes), found.pace[person].n_votes),
            f"{votes[0].taken_s:.1f} s of {votes[0].least_s:.1f} s",
            ", ".join(vote.video_id for vote in votes[:_FASTEST]) + (" …" if len(votes) > _FASTEST else ""),
        )
        for person in found.balance
        if (votes := sorted(found.fast[person], key=lambda vote: vote.taken_s / vote.least_s))
    ]
    return AgreementTable(
        "Faster than reading",
        f"Votes sooner than an ad can be seen: {FRAME_S} s for each frame, {WORD_S} s for each different word.",
        ("Reviewer", "Votes too fast", "Fastest", "Ads, the fastest first"),
        rows,
        nothing="No vote came faster than its ad can be read.",
    )


def confusion(agreement: Agreement) -> AgreementTable:
    """The comments' labels against what became of the ads."""
    found = agreement.confusion
    counts = {label: {each: found.get((label, each), 0) for each in OUTCOMES} for label in reversed(LABELS)}
    return AgreementTable(
        "The comments' label and people's",
        "What became of the ads that SentiStrength's scores of the comments call positive and negative.",
        ("Comments say", *(outcome.capitalize() for outcome in OUTCOMES)),
        [
            (label, *(Share(row[each], sum(row.values())) for each in OUTCOMES))
            for label, row in counts.items()
            if any(row.values())
        ],
        nothing="No ad has come to its end yet.",
    )


def coefficient_text(each: Coefficient) -> str:
    """A coefficient in one line: value, interval, or why there is none."""
    if each.value is None:
        return each.reason
    interval = "" if each.low is None or each.high is None else f", 95 % interval {each.low:.2f} to {each.high:.2f}"
    return f"{each.value:.2f}{interval}"


def until(each: PersonProgress, now: datetime | None = None) -> str:
    """Somebody's deadline, and whether it has passed before they were done."""
    if each.deadline is None:
        return "–"
    late = each.done < each.total and each.deadline < (now or datetime.now(UTC))
    return f"{each.deadline:%d %b %Y}{', overdue' if late else ''}"


def count_ads(count: int) -> str:
    """So many ads."""
    return f"{count:,} ad{'' if count == 1 else 's'}"


def _rendered(table: AgreementTable) -> Table:
    made = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate(table.head):
        made.add_column(name, justify="right" if place and name not in ("and", "") else "left", no_wrap=bool(name))
    for row in table.rows:
        made.add_row(*(Text(cell.text if isinstance(cell, Share) else printable(cell)) for cell in row))
    return made


def _entry_as_json(entry: EntryFigures) -> dict[str, Any]:
    values = asdict(entry)
    return {**values, "dawid_skene": values.pop("estimate")}


def _share_as_json(share: Share) -> dict[str, Any]:
    return {"n": share.right, "of": share.of, "share": share.value}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _interval(each: Coefficient) -> str:
    return "–" if each.low is None or each.high is None else f"{each.low:.3f} to {each.high:.3f}"


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "none"
