"""Dynamic batching: rows of many requests share a forward pass."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flows.serve.refusals import Refusal

M = TypeVar("M")
R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T")

_LONGEST_WAIT_S = 30.0
"""Longest wait in seconds that a refusal suggests."""


@dataclass(eq=False)
class _Waiting(Generic[M, R, A]):
    model: M
    row: R
    answer: asyncio.Future[A]
    since_s: float = field(default_factory=time.monotonic)


class Batches(Generic[M, R, A]):
    """Rows in order of arrival, answered in batches by one thread.

    Args:
        run: answers rows of one model: as many answers, in their order.
        most_rows: of a batch.
        wait_s: how long a row waits for others, unless the thread is busy anyway.
        capacity: rows that were admitted and have no answer yet, at most.
        observe: told of every batch: its rows, and its seconds.
    """

    def __init__(
        self,
        run: Callable[[M, Sequence[R]], Sequence[A]],
        *,
        most_rows: int,
        wait_s: float,
        capacity: int,
        observe: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        self._run, self._most_rows, self._wait_s, self._capacity = run, most_rows, wait_s, capacity
        self._observe = observe
        self._waiting: deque[_Waiting[M, R, A]] = deque()
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")
        self._row_s = 0.0
        self.admitted = 0
        """Rows that were admitted and have no answer yet."""
        self.busy_since_s: float | None = None
        """When the batch that is being answered was begun, by the monotonic clock."""
        self._collecting = asyncio.get_running_loop().create_task(self._collect())

    @contextmanager
    def room_for(self, rows: int) -> Iterator[None]:
        """Admit rows, until they have their answers.

        Raises:
            Refusal: there is no room.
        """
        if self.admitted + rows > self._capacity:
            wait_s = min(_LONGEST_WAIT_S, self.admitted * self._row_s)
            raise Refusal(
                503, "busy", "The server has as much to do as it takes. Try again later.", retry_after_s=wait_s
            )
        self.admitted += rows
        try:
            yield
        finally:
            self.admitted -= rows

    async def answer(self, model: M, row: R) -> A:
        """Answer a row that was admitted; who stops waiting for it takes it out of the queue.

        Raises:
            Exception: what `run` raises for this row alone.
        """
        waiting: _Waiting[M, R, A] = _Waiting(model, row, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        if len(self._waiting) >= self._most_rows:
            self._full.set()
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiting.remove(waiting)
            raise

    async def alone(self, call: Callable[[], T]) -> T:
        """Call a function in the thread, between batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Answer nothing any more."""
        self._collecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._collecting
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _collect(self) -> None:
        while True:
            batch = await self._next()
            self.busy_since_s = begun_s = time.monotonic()
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, batch)
            finally:
                self.busy_since_s = None
            took_s = time.monotonic() - begun_s
            self._row_s = 0.8 * (self._row_s or took_s / len(batch)) + 0.2 * took_s / len(batch)
            self._observe(len(batch), took_s)
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():
                    continue  # nobody waits for it any more
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    async def _next(self) -> list[_Waiting[M, R, A]]:
        """The next rows of one model."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        left_s = self._waiting[0].since_s + self._wait_s - time.monotonic()
        if left_s > 0 and len(self._waiting) < self._most_rows:
            self._full.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._full.wait()
        batch: list[_Waiting[M, R, A]] = []
        while (
            self._waiting
            and len(batch) < self._most_rows
            and self._waiting[0].model is (batch or self._waiting)[0].model
        ):
            batch.append(self._waiting.popleft())
        return batch or await self._next()  # whoever waited may have gone

    def _answers(self, batch: Sequence[_Waiting[M, R, A]]) -> list[A | Exception]:
        """An answer for each row, or why it has none: a row that cannot be answered takes no other one with it."""
        try:
            answers = list(self._run(batch[0].model, [waiting.row for waiting in batch]))
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(answers)} answers for {len(batch)} rows")
        except Exception as error:  # noqa: BLE001  it is raised where the row is awaited
            if len(batch) == 1:
                return [error]
            return [answer for waiting in batch for answer in self._answers([waiting])]
        return [*answers]
