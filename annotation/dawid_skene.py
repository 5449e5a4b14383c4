"""Labels and people's errors, estimated from the votes alone.

The method is that of Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm",
Applied Statistics 28, 1979, pages 20 to 28. Every person is taken to have error rates of their own, the same for every
entry, and to err independently of the others. Expectation maximisation begins with the shares of the votes and takes
turns: error rates from the labels as estimated, labels from the error rates as estimated. It is a statistic, and
changes no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

_ROUNDS = 1_000
_ENOUGH = 1e-9
"""The steps end when the mean log-likelihood of an entry grows by less."""
_LEAST = 1e-10
"""In place of a probability of 0, which one unlucky vote would make final."""


@dataclass(frozen=True)
class Estimate:
    """Estimates of the entries' labels and the people's error rates."""

    labels: Mapping[str, Mapping[str, float]]
    """By entry: the probability of each label."""
    errors: Mapping[str, Mapping[str, Mapping[str, float]]]
    """By person and true label: the probability of each choice."""
    shares: Mapping[str, float]
    """The labels' shares of the entries."""

    def right(self, person: str) -> float:
        """Probability that a person chooses an entry's label, over the labels as frequent as they are."""
        return sum(share * self.errors[person][label].get(label, 0.0) for label, share in self.shares.items())


def estimate(
    votes: Mapping[str, Mapping[str, str]], labels: Sequence[str], choices: Sequence[str] | None = None
) -> Estimate:
    """Estimate labels and error rates.

    Args:
        votes: choices by entry and person. Whoever shares no entry with anybody cannot be compared, and is left out
            with their votes, and so is an entry that has none then.
        labels: what an entry can be.
        choices: what people can say of it, where that is more, such as `uncertain`.
    """
    choices, votes = choices or labels, _comparable(votes)
    entries = [entry for entry, own in votes.items() if own]
    people = sorted({person for own in votes.values() for person in own})
    if not entries:
        return Estimate({}, {}, {})
    row, column, said = (
        np.array(each)
        for each in zip(
            *(
                (place, people.index(person), choices.index(choice))
                for place, entry in enumerate(entries)
                for person, choice in votes[entry].items()
            ),
            strict=True,
        )
    )
    truth = _shares_of_votes(row, said, len(entries), [choices.index(label) for label in labels])
    before = -np.inf
    for _ in range(_ROUNDS):
        shares = truth.mean(axis=0)
        errors = _errors(truth, row, column, said, (len(people), len(labels), len(choices)))
        truth, likelihood = _truth(shares, errors, row, column, said, len(entries))
        if likelihood - before < _ENOUGH:
            break
        before = likelihood
    return Estimate(
        {entry: dict(zip(labels, map(float, truth[place]), strict=True)) for place, entry in enumerate(entries)},
        {
            person: {
                label: dict(zip(choices, map(float, errors[at, kind]), strict=True))
                for kind, label in enumerate(labels)
            }
            for at, person in enumerate(people)
        },
        dict(zip(labels, map(float, shares), strict=True)),
    )


def _comparable(votes: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The votes of those who share an entry with somebody."""
    shares = {person for own in votes.values() if len(own) > 1 for person in own}
    return {entry: {each: own[each] for each in own if each in shares} for entry, own in votes.items()}


def _shares_of_votes(row: npt.NDArray[np.int64], said: npt.NDArray[np.int64], n: int, of: Sequence[int]) -> Numbers:
    """Each entry's votes for each label as shares, [N, K]; all alike where nobody chose a label."""
    counts = np.zeros((n, max([*of, *said]) + 1))
    np.add.at(counts, (row, said), 1)
    counts = counts[:, of]
    counts[counts.sum(axis=1) == 0] = 1
    return counts / counts.sum(axis=1, keepdims=True)


def _errors(
    truth: Numbers,
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    said: npt.NDArray[np.int64],
    shape: tuple[int, int, int],
) -> Numbers:
    """Eq. 2.3: each person's choices by true label, [P, K, V]; a label that they never met says nothing of them."""
    counts = np.zeros((shape[0], shape[2], shape[1]))
    np.add.at(counts, (column, said), truth[row])
    met = counts.sum(axis=1, keepdims=True)
    shares: Numbers = np.divide(counts, met, out=np.full_like(counts, 1 / shape[2]), where=met > 0)
    return shares.transpose(0, 2, 1)


def _truth(
    shares: Numbers,
    errors: Numbers,
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    said: npt.NDArray[np.int64],
    n: int,
) -> tuple[Numbers, float]:
    """Eq. 2.5: the probability of each label, [N, K], and the mean log-likelihood."""
    weights = np.tile(np.log(np.maximum(shares, _LEAST)), (n, 1))
    np.add.at(weights, row, np.log(np.maximum(errors[column, :, said], _LEAST)))
    highest = weights.max(axis=1, keepdims=True)
    together = np.exp(weights - highest)
    sums = together.sum(axis=1, keepdims=True)
    return together / sums, float((highest + np.log(sums)).mean())
