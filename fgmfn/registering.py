"""Register the models with transformers' auto classes when this package is imported, in any order of imports.

Registration imports PyTorch, which takes seconds; it is therefore delayed until a model is first looked up.
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
"""Registries of transformers that need the models, by module, with the attribute of each that holds its entries."""
_OURS = ("fgmfn", "ad-sentiment")
"""Prefixes of the models' types and of their classes' modules, and the task of their pipeline."""


class _Completed(dict[Any, Any]):
    """Entries of a registry; the models are registered when one of them is first looked up, or all entries are listed.

    The order of imports then makes no difference: models are looked up only when all modules are imported. Other
    entries are looked up while modules of transformers, and of this package, are still being imported.
    """


def _completing(name: str, *, keyed: bool) -> Callable[..., Any]:
    def complete_and_look(self: _Completed, *given: Any) -> Any:
        if not keyed or getattr(given[0], "__module__", str(given[0])).startswith(_OURS):
            import_module("fgmfn.auto")  # registers the models; other threads wait here until it is done
        return getattr(dict, name)(self, *given)

    return complete_and_look


for _look in ("__contains__", "__getitem__", "get"):
    setattr(_Completed, _look, _completing(_look, keyed=True))
for _look in ("__iter__", "__len__", "items", "keys", "values"):
    setattr(_Completed, _look, _completing(_look, keyed=False))


def _complete(module: ModuleType) -> None:
    """Replace the entries of a module's registries by ones that register the models on use."""
    for name, entries in _REGISTRIES[module.__name__].items():
        registry = getattr(module, name)
        if not isinstance(getattr(registry, entries), _Completed):
            setattr(registry, entries, _Completed(getattr(registry, entries)))


class _CompleteWhenImported(MetaPathFinder):
    """Import hook that changes the registries right after their modules run, before any other thread sees them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module with registries, with a loader that changes them; None for other modules."""
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
    """Register the models on first use, whether transformers is already imported or imported later."""
    sys.meta_path.insert(0, _CompleteWhenImported())
    for name in _REGISTRIES:
        if name in sys.modules:
            _complete(import_module(name))  # waits if another thread is still executing it
