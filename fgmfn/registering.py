"""transformers' auto classes know the models wherever anything of this package is imported, in whatever order.

Registering means importing PyTorch, which takes seconds: it waits until somebody asks for one of the models.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_REGISTRIES = {
    "transformers.models.auto.configuration_auto": {"CONFIG_MAPPING": "_extra_content"},
    "transformers.models.auto.modeling_auto": {
        "MODEL_MAPPING": "_extra_content",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING": "_extra_content",
    },
    "transformers.models.auto.processing_auto": {"PROCESSOR_MAPPING": "_extra_content"},
    "transformers.pipelines": {"PIPELINE_REGISTRY": "supported_tasks"},
}
"""By module, the registries of transformers that the models belong in, and the dictionary where each looks them up."""
_OURS = ("fgmfn", "ad-sentiment")
"""Beginnings of the models' types, of the modules of their classes, and their pipeline's task."""


class _Completed(dict[Any, Any]):
    """Entries of a registry; the models are registered when somebody first looks for one, or at all entries.

    Where modules are imported, by whom and in what order makes no difference then: nobody asks before all are there.
    Other entries are looked up while modules of transformers, and of this package, are still being imported.
    """


def _completing(name: str, *, keyed: bool) -> Callable[..., Any]:
    def complete_and_look(self: _Completed, *given: Any) -> Any:
        if not keyed or getattr(given[0], "__module__", str(given[0])).startswith(_OURS):
            import_module("fgmfn.auto")  # which registers; another thread waits here until it has
        return getattr(dict, name)(self, *given)

    return complete_and_look


for _look in ("__contains__", "__getitem__", "get"):
    setattr(_Completed, _look, _completing(_look, keyed=True))
for _look in ("__iter__", "__len__", "items", "keys", "values"):
    setattr(_Completed, _look, _completing(_look, keyed=False))


def _complete(module: ModuleType) -> None:
    """Let the registries of a module complete themselves."""
    for name, entries in _REGISTRIES[module.__name__].items():
        registry = getattr(module, name)
        if not isinstance(getattr(registry, entries), _Completed):
            setattr(registry, entries, _Completed(getattr(registry, entries)))


class _CompleteWhenImported(MetaPathFinder):
    """Changes the registries right after their modules are executed, before any other thread sees them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find the registries' modules."""
        spec = PathFinder.find_spec(name, path, target) if name in _REGISTRIES else None
        loader: Any = spec.loader if spec else None
        if loader is not None:
            execute = loader.exec_module

            def execute_and_complete(module: ModuleType) -> None:
                execute(module)
                _complete(module)

            loader.exec_module = execute_and_complete
        return spec


def register_on_use() -> None:
    """Have the models registered when transformers is first asked for one, imported already or later."""
    sys.meta_path.insert(0, _CompleteWhenImported())
    for name in _REGISTRIES:
        if name in sys.modules:
            _complete(import_module(name))  # waits where another thread is still executing it
