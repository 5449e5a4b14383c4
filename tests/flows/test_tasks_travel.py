"""Every task of the stages can be sent to another process or machine, as Ray and Dask send it."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import cloudpickle
import pytest
from prefect import Task

import flows


def tasks() -> list[Task[..., object]]:
    """All tasks of all flows."""
    names = [found.name for found in pkgutil.walk_packages(flows.__path__, "flows.") if found.name.endswith(".flow")]
    return [each for name in names for each in vars(import_module(name)).values() if isinstance(each, Task)]


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_a_task_can_be_pickled(task: Task[..., object]) -> None:
    assert cloudpickle.loads(cloudpickle.dumps(task)).name == task.name
