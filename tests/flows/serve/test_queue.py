"""Rows of many requests share batches, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.serve.queue import Batches
from flows.serve.refusals import Refusal


class Oracle:
    """Answers `model:row`, fails for negative rows, and keeps every batch."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.pause_s = pause_s

    def __call__(self, model: str, rows: Sequence[int]) -> list[str]:
        self.batches.append((model, list(rows)))
        time.sleep(self.pause_s)
        if any(row < 0 for row in rows):
            raise ValueError(f"cannot answer {[row for row in rows if row < 0]}")
        return [f"{model}:{row}" for row in rows]


Asked = tuple[str, int, float | None]
"""Model, row, and after how many milliseconds nobody waits any more."""


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(-3, 1000), st.none() | st.floats(0, 4, allow_nan=False)),
        max_size=25,
    ),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.002]),
)
def test_whoever_waits_gets_the_answer_of_their_row_and_model(asked: list[Asked], most: int, wait_s: float) -> None:
    oracle = Oracle(0.0005)

    async def run() -> list[str | BaseException]:
        batches: Batches[str, int, str] = Batches(oracle, most_rows=most, wait_s=wait_s, capacity=100)

        async def one(model: str, row: int, leaves_ms: float | None) -> str:
            with batches.room_for(1):
                async with asyncio.timeout(None if leaves_ms is None else leaves_ms / 1000):
                    return await batches.answer(model, row)

        answers = await asyncio.gather(*(one(*each) for each in asked), return_exceptions=True)
        assert batches.admitted == 0
        assert not batches._waiting
        await batches.close()
        return answers

    for (model, row, leaves), answer in zip(asked, asyncio.run(run()), strict=True):
        if isinstance(answer, TimeoutError):
            assert leaves is not None
        elif row < 0:
            assert isinstance(answer, ValueError)
            assert str(answer) == f"cannot answer [{row}]"
        else:
            assert answer == f"{model}:{row}"
    assert all(len(rows) <= most for _, rows in oracle.batches)
    tried = [row for _, rows in oracle.batches for row in rows if row >= 0]
    assert set(tried) <= {row for _, row, _ in asked}


def test_rows_that_wait_share_a_batch_and_a_lone_one_waits_no_longer_than_it_must() -> None:
    oracle = Oracle()

    async def run() -> tuple[float, float]:
        batches: Batches[str, int, str] = Batches(oracle, most_rows=8, wait_s=0.2, capacity=100)
        begun = time.monotonic()
        await asyncio.gather(*(batches.answer("a", row) for row in range(8)))  # a full batch waits for nobody
        full_s = time.monotonic() - begun
        begun = time.monotonic()
        await batches.answer("a", 9)
        await batches.close()
        return full_s, time.monotonic() - begun

    full_s, lone_s = asyncio.run(run())
    assert [rows for _, rows in oracle.batches] == [list(range(8)), [9]]
    assert full_s < 0.2 <= lone_s


def test_what_comes_while_the_model_is_busy_is_the_next_batch_in_its_order() -> None:
    oracle, begun, go_on = Oracle(), threading.Event(), threading.Event()

    def run_held(model: str, rows: Sequence[int]) -> list[str]:
        begun.set()
        assert go_on.wait(10)
        return oracle(model, rows)

    async def run() -> None:
        batches: Batches[str, int, str] = Batches(run_held, most_rows=4, wait_s=0.0, capacity=100)
        waiting = [asyncio.create_task(batches.answer("a", 0))]
        await asyncio.to_thread(begun.wait, 10)
        waiting += [asyncio.create_task(batches.answer(model, row)) for row, model in enumerate("aaabaaaaa", 1)]
        await asyncio.sleep(0)
        waiting[3].cancel()
        assert batches.busy_since_s is not None
        go_on.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        await batches.close()

    asyncio.run(run())
    assert oracle.batches == [("a", [0]), ("a", [1, 2]), ("b", [4]), ("a", [5, 6, 7, 8]), ("a", [9])]


def test_beyond_the_capacity_is_refused_with_how_long_to_wait() -> None:
    async def run() -> None:
        batches: Batches[str, int, str] = Batches(Oracle(0.05), most_rows=4, wait_s=0.0, capacity=10)
        await asyncio.gather(*(batches.answer("a", row) for row in range(4)))
        with batches.room_for(8):
            with pytest.raises(Refusal) as refused, batches.room_for(3):
                pass
            assert refused.value.status == 503
            assert int(refused.value.answer().headers["Retry-After"]) >= 1
            with batches.room_for(2):
                assert batches.admitted == 10
        assert batches.admitted == 0
        await batches.close()

    asyncio.run(run())
