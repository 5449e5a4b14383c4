"""A study of trials in one journal file: proposed by seed and number, gone on with where a process was stopped.

Several processes may work on one study. Each holds a lock per trial that it runs, and the lock of a killed process
ends with it: a trial that counts as running and whose lock is free was stopped. It is marked failed and proposed
once more with the same values, under its old number.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from fgmfn.errors import ConfigError
from fgmfn.search.space import Range

Sampler = Literal["tpe", "random"]
ENOUGH_TRIALS = 10
"""Finished trials from which on it is said what a parameter mattered; fewer say nothing."""
NUMBER, CONTINUES, SECONDS, REASON = "number", "continues", "seconds", "reason"
"""Fields of a trial's record beside its values and scores. A failed one without a reason was stopped."""

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "stopped",
}


@dataclass(frozen=True)
class Trial:
    """One proposal and what came of it."""

    number: int
    """From 1 on; a trial that was stopped keeps it."""
    state: str
    """`complete`, `pruned`, `failed`, `running` in another process, or `stopped` and not taken up again yet."""
    values: dict[str, float]
    scores: dict[int, float]
    """Macro-F1 on the development rows by epoch."""
    score: float | None
    """The best of them."""
    seconds: float
    reason: str | None = None
    """Reason of a failure."""

    @property
    def epochs(self) -> int:
        """Number of epochs it was trained."""
        return max(self.scores, default=0)


@dataclass
class Claim:
    """A trial that this process runs."""

    number: int
    values: dict[str, float]
    trial: optuna.Trial
    lock: FileLock
    seconds_before: float
    """Seconds before it was stopped."""
    reported: set[int]
    """Epochs whose score is recorded; one that is trained again after a stop is recorded once."""
    started: float = field(default_factory=time.monotonic)

    def report(self, epoch: int, score: float, *, last: bool) -> None:
        """Record an epoch's score.

        Raises:
            optuna.TrialPruned: It is worse than half of the finished trials were; after the last epoch nothing is
                left to be saved.
        """
        if epoch not in self.reported:
            self.trial.report(score, epoch)
            self.reported.add(epoch)
        self.trial.set_user_attr(SECONDS, self.seconds_before + time.monotonic() - self.started)
        if not last and self.trial.should_prune():
            raise optuna.TrialPruned


class SearchStudy:
    """One study of a journal file, made where it does not exist yet.

    Args:
        storage: the journal; other studies may lie in it.
        name: the study's, which must hold all that makes its trials comparable.
        space: the parameters' ranges.
        locks: a folder for the locks of running trials.
        sampler: `tpe` learns from earlier trials, `random` does not.
        seed: seed of the sampler.
        startup_trials: number of trials that must finish before any trial is pruned.
        warmup_epochs: number of epochs at the start of each trial in which it is never pruned.

    Raises:
        ConfigError: The file is something else than such a journal.
    """

    def __init__(
        self,
        storage: Path,
        name: str,
        space: Mapping[str, Range],
        locks: Path,
        *,
        sampler: Sampler = "tpe",
        seed: int = 0,
        startup_trials: int = 5,
        warmup_epochs: int = 5,
    ) -> None:
        self._seed, self._sampler, self._locks = seed, sampler, locks
        self._space = {
            one: optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)
            for one, values in space.items()
        }
        locks.mkdir(parents=True, exist_ok=True)
        storage.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{storage}.lock")
        with self._lock:
            self._study = optuna.create_study(
                storage=open_journal(storage, self._lock),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(startup_trials, n_warmup_steps=warmup_epochs + 1),
            )

    def claim(self, trials: int) -> Claim | None:
        """Take the next trial: one that was stopped, or a new one.

        Args:
            trials: how many the study is to have in all.

        Returns:
            None where every one is finished or runs in another process.
        """
        with self._lock:
            self._take_up_stopped(trials)
            waiting = any(one.state == TrialState.WAITING for one in self._all())
            taken = {one.user_attrs.get(NUMBER) for one in self._all() if not _was_stopped(one)}
            free = next(number for number in range(1, len(taken) + 2) if number not in taken)
            if not waiting and free > trials:
                return None
            self._study.sampler = self._sampler_for(free)
            trial = self._study.ask()
            lock = self._lock_of(trial.number)
            lock.acquire(timeout=0)
            trial.set_user_attr(NUMBER, trial.user_attrs.get(NUMBER, free))
            values = {
                name: trial.suggest_float(name, one.low, one.high, log=one.log) for name, one in self._space.items()
            }
            before = self._replay(trial)
        number, reported = trial.user_attrs[NUMBER], set(before.intermediate_values if before else ())
        return Claim(number, values, trial, lock, before.user_attrs.get(SECONDS, 0.0) if before else 0.0, reported)

    def complete(self, claim: Claim, score: float, seconds: float) -> None:
        """Record that a trial trained to its end, its best score and how long that took."""
        claim.trial.set_user_attr(SECONDS, seconds)
        self._study.tell(claim.trial, score)

    def prune(self, claim: Claim) -> None:
        """Record that a trial was pruned."""
        self._study.tell(claim.trial, state=TrialState.PRUNED)

    def fail(self, claim: Claim, reason: str) -> None:
        """Record that a trial cannot be trained, and why."""
        claim.trial.set_user_attr(REASON, reason)
        self._study.tell(claim.trial, state=TrialState.FAIL)

    def release(self, claim: Claim) -> None:
        """Release a trial; one without a recorded result counts as stopped."""
        with self._lock:
            claim.lock.release()
            Path(claim.lock.lock_file).unlink(missing_ok=True)

    def trials(self) -> list[Trial]:
        """Return all trials by their numbers; one that was stopped and taken up again counts once."""
        with self._lock:
            own = [self._record(one) for one in self._all() if not _was_stopped(one) and NUMBER in one.user_attrs]
        return sorted(own, key=lambda one: one.number)

    def importances(self) -> dict[str, float]:
        """Return how much each parameter mattered, shares of 1 by fANOVA; empty where too few trials say so."""
        finished = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        varied = [name for name, one in self._space.items() if not one.single()]
        # Without any difference between the scores there is nothing to explain.
        if len(finished) < ENOUGH_TRIALS or len(varied) < 2 or len({one.value for one in finished}) < 2:
            return {}
        judge = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        return optuna.importance.get_param_importances(self._study, evaluator=judge, params=varied)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _record(self, trial: FrozenTrial) -> Trial:
        state = STATES[trial.state]
        if trial.state == TrialState.RUNNING and not self._is_live(trial):
            state = "stopped"
        scores = dict(sorted(trial.intermediate_values.items()))
        complete = trial.state == TrialState.COMPLETE
        return Trial(
            trial.user_attrs[NUMBER],
            state,
            dict(trial.params),
            scores,
            trial.value if complete else max(scores.values(), default=None),
            trial.user_attrs.get(SECONDS, 0.0),
            trial.user_attrs.get(REASON),
        )

    def _take_up_stopped(self, trials: int) -> None:
        """Mark what was stopped as failed, and enqueue it again if its values are known.

        One that was stopped before they were drawn leaves its number free, which draws them anew.
        """
        for one in self._all():
            if one.state != TrialState.RUNNING or self._is_live(one):
                continue
            number = one.user_attrs.get(NUMBER)
            known = number is not None and self._space.keys() <= one.params.keys()
            if number is not None and known and number > trials:
                continue
            self._study.tell(one.number, state=TrialState.FAIL)
            if known:
                self._study.enqueue_trial(one.params, user_attrs={NUMBER: number, CONTINUES: one.number})

    def _replay(self, trial: optuna.Trial) -> FrozenTrial | None:
        """Give a trial that goes on the scores of its epochs so far, by which it and others are judged."""
        if CONTINUES not in trial.user_attrs:
            return None
        before = self._all()[trial.user_attrs[CONTINUES]]
        for epoch, score in sorted(before.intermediate_values.items()):
            trial.report(score, epoch)
        return before

    def _sampler_for(self, number: int) -> optuna.samplers.BaseSampler:
        """A sampler of its own for each trial, so that a resumed study draws what an undisturbed one does."""
        digest = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed)

    def _lock_of(self, trial_number: int) -> FileLock:
        return FileLock(self._locks / f"{trial_number}.lock")

    def _is_live(self, trial: FrozenTrial) -> bool:
        """Return whether a process runs a trial; call it under the study's lock, as for claiming one."""
        lock = self._lock_of(trial.number)
        try:
            with lock.acquire(timeout=0):
                Path(lock.lock_file).unlink()
                return False
        except Timeout:
            return True


def _was_stopped(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


FIRST_BYTES = b'{"op_code"'


def open_journal(storage: Path, lock: FileLock) -> optuna.storages.JournalStorage:
    """Open a journal, made where there is none; the lock is held by the caller.

    A last line that a killed process did not finish is taken away, or the next one would join it.

    Raises:
        ConfigError: The file is something else, or damaged.
    """
    content = storage.read_bytes() if storage.exists() else b""
    if content and not content.startswith(FIRST_BYTES):
        raise ConfigError(f"{storage}: is no journal of a search; name another file (--storage)")
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with storage.open("r+b") as file:
            file.truncate(whole)
    try:
        return optuna.storages.JournalStorage(JournalFileBackend(str(storage), lock_obj=_KernelLock(lock)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ConfigError(f"{storage}: the journal is damaged ({error!r}); name another file (--storage)") from error


class _KernelLock(JournalFileOpenLock):
    """The journal's lock as one that ends with its process, where Optuna's own outlives it by half a minute."""

    def __init__(self, lock: FileLock) -> None:
        self._kernel = lock

    def acquire(self) -> bool:
        self._kernel.acquire()
        return True

    def release(self) -> None:
        self._kernel.release()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's reports off the terminal; warnings and errors stay."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
