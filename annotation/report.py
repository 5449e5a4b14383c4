"""A round's agreement for the terminal and as JSON: `ytb-ads annotate agreement`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from annotation.agreement import Agreement, Share, measure
from annotation.events import CHOICES
from annotation.reliability import Coefficient
from annotation.shown import read_categories, read_predictions
from annotation.store import Store
from data_catalog.catalog import Catalog
from data_catalog.printing import printable
from data_catalog.schemas import LABELS


def read_agreement(store: Store, catalog: Catalog, round_id: int, *, seed: int = 0) -> Agreement:
    """Measure a round, with labels and categories of its ads from the catalog.

    Raises:
        RoundError: there is no such round.
    """
    round_ = store.rounds.get(round_id)
    return measure(
        store.events(round_id),
        store.rounds.entries(round_id),
        round_.rule,
        comments={video_id: each.label for video_id, each in read_predictions(catalog).items()},
        categories=read_categories(catalog),
        seed=seed,
    )


def render_agreement(agreement: Agreement, names: Mapping[str, str]) -> Group:
    """Tables for the terminal; names come from strangers and are shown as plain text."""
    return Group(_coefficients(agreement), _people(agreement, names), _pairs(agreement, names), _confusion(agreement))


def agreement_as_json(agreement: Agreement, names: Mapping[str, str]) -> dict[str, Any]:
    """The same as plain values: a number that has no meaning is null beside its reason."""
    return {
        "krippendorff_alpha": asdict(agreement.alpha),
        "krippendorff_alpha_by_category": {name: asdict(each) for name, each in agreement.alpha_by_category.items()},
        "krippendorff_alpha_over_time": [
            {"at": moment.at.isoformat(), **asdict(moment.alpha)} for moment in agreement.alpha_over_time
        ],
        "fleiss_kappa": asdict(agreement.kappa),
        "people": [
            {
                "id": person,
                "name": names.get(person, person),
                "choices": dict(choices),
                "n_votes": agreement.pace[person].n_votes,
                "median_s": agreement.pace[person].median_s,
                "same_choice_again": _share_as_json(agreement.self_consistency[person]),
                "gold_answers_found": _share_as_json(agreement.gold[person]),
            }
            for person, choices in agreement.balance.items()
        ],
        "pairs": [
            {"first": pair.first, "second": pair.second, "same_choice": _share_as_json(pair.same)}
            for pair in agreement.pairs
        ],
        "comments_and_people": [
            {"comments": label, "people": outcome, "n": count}
            for (label, outcome), count in sorted(agreement.confusion.items())
        ],
    }


def _share_as_json(share: Share) -> dict[str, Any]:
    return {"n": share.right, "of": share.of, "share": share.value}


def _table(title: str, text: tuple[str, ...], numbers: tuple[str, ...], last: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in text:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    if last is not None:
        table.add_column(last)
    return table


def _coefficients(agreement: Agreement) -> Table:
    rows = {"Krippendorff's alpha": agreement.alpha}
    if len(agreement.alpha_by_category) > 1:
        rows |= {f"  {printable(name)}": each for name, each in agreement.alpha_by_category.items()}
    rows["Fleiss' kappa"] = agreement.kappa
    title = "Agreement beyond chance: 1 is perfect, 0 is chance"
    table = _table(title, ("",), ("value", "95 % interval", "entries", "votes"), "")
    for name, each in rows.items():
        cells = (name, _value(each), _interval(each), f"{each.n_entries:,}", f"{each.n_votes:,}", each.reason)
        table.add_row(*map(Text, cells))
    return table


def _people(agreement: Agreement, names: Mapping[str, str]) -> Table:
    columns = ("votes", *CHOICES, "median s", "same again", "gold found")
    table = _table("Person by person", ("reviewer",), columns)
    for person, choices in agreement.balance.items():
        pace = agreement.pace[person]
        cells = (
            printable(names.get(person, person)),
            f"{pace.n_votes:,}",
            *(f"{choices[choice]:,}" for choice in CHOICES),
            "-" if pace.median_s is None else f"{pace.median_s:.1f}",
            _of(agreement.self_consistency[person]),
            _of(agreement.gold[person]),
        )
        table.add_row(*map(Text, cells))
    return table


def _pairs(agreement: Agreement, names: Mapping[str, str]) -> Table:
    table = _table("Pair by pair", ("reviewer", "and"), ("same choice",))
    for pair in agreement.pairs:
        cells = (*(printable(names.get(each, each)) for each in (pair.first, pair.second)), _of(pair.same))
        table.add_row(*map(Text, cells))
    return table


def _confusion(agreement: Agreement) -> Table:
    outcomes = (*reversed(LABELS), "excluded")
    table = _table("Ads by the comments' label and people's", ("comments say",), outcomes)
    for label in reversed(LABELS):
        table.add_row(label, *(f"{agreement.confusion.get((label, outcome), 0):,}" for outcome in outcomes))
    return table


def _value(each: Coefficient) -> str:
    return "-" if each.value is None else f"{each.value:.3f}"


def _interval(each: Coefficient) -> str:
    return "-" if each.low is None or each.high is None else f"{each.low:.3f} to {each.high:.3f}"


def _of(share: Share) -> str:
    return "-" if share.value is None else f"{share.value:.0%} of {share.of:,}"
