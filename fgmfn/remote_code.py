"""Code beside saved weights, so that they load by `trust_remote_code=True` where this package is not installed.

The modules that a class needs are written side by side with relative imports, as transformers copies them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from transformers.utils import TRANSFORMERS_DYNAMIC_MODULE_NAME

PACKAGE = "fgmfn"
_IMPORT = re.compile(rf"^(\s*)from ({PACKAGE}(?:\.\w+)+) import\b", re.MULTILINE)


class SavesCode:
    """A model or processor of transformers that can be saved, or pushed to a hub, with its code.

    What was loaded from such code is always saved with it.
    """

    auto_classes: ClassVar[tuple[str, ...]] = ()
    """Auto classes that load it."""
    _auto_class: ClassVar[str | None]
    """Of transformers: what was loaded from a folder's code has the auto class by which it was loaded."""
    _with_code = False

    def named_classes(self) -> dict[str, str]:
        """Return the name of the class that each auto class is to load; it stands in this class's module."""
        return dict.fromkeys(self.auto_classes, type(self).__name__)

    def save_pretrained(self, save_directory: Any, *, with_code: bool | None = None, **options: Any) -> Any:
        """Save as transformers does, and the code where it is wanted.

        Args:
            save_directory: the folder.
            with_code: write the modules that it needs, too, for `trust_remote_code=True`.
            options: of `save_pretrained` of transformers.

        Raises:
            ValueError: The code is to be pushed from here; `push_to_hub` does so.
        """
        module = type(self).__module__
        wanted = self._with_code if with_code is None else with_code
        wanted = wanted or module.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}.")
        if wanted and options.get("push_to_hub"):
            raise ValueError("save_pretrained pushes no code: call push_to_hub(..., with_code=True)")
        described: Any = getattr(self, "config", self)
        known = vars(described).pop("auto_map", None)  # of a folder that this was loaded from
        kinds: list[tuple[Any, Any]] = [(type(part), type(part)._auto_class) for part in (self, described)]
        if wanted:
            classes = self.named_classes()
            entry = f"{PACKAGE}_{type(self).__name__}"
            if options.get("is_main_process", True):
                write_code(module, entry, classes.values(), Path(save_directory))
            described.auto_map = {auto: f"{entry}.{name}" for auto, name in classes.items()}
            for kind, _ in kinds:
                kind._auto_class = None  # else transformers would save some of the code, and name it otherwise
        try:
            saved: Any = super()
            return saved.save_pretrained(save_directory, **options)
        finally:
            vars(described).pop("auto_map", None)
            vars(described).update({"auto_map": known} if known else {})
            for kind, auto in kinds:
                kind._auto_class = auto

    def push_to_hub(self, repo_id: str, *, with_code: bool = False, **options: Any) -> Any:
        """Upload as transformers does, and the code where it is wanted, for `trust_remote_code=True`."""
        self._with_code = with_code
        try:
            pushed: Any = super()
            return pushed.push_to_hub(repo_id, **options)
        finally:
            self._with_code = False


def write_code(module: str, entry: str, classes: Iterable[str], folder: Path) -> list[Path]:
    """Write a module and all that it imports of this package into a folder.

    Args:
        module: its name.
        entry: name of a file that holds nothing but the classes. Another one for each class lets transformers keep
            classes apart that share a module: it knows a folder's code by its entry.
        classes: names in the module.
        folder: where to.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = _copied(module) if module.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}.") else _reached(module)
    own = module.rpartition(".")[2] if _flat(module) not in sources else _flat(module)
    names = ", ".join(sorted(set(classes)))
    sources[entry] = f'"""What transformers loads from this folder."""\n\nfrom .{own} import {names}\n'
    files = []
    for name, source in sources.items():
        files.append(folder / f"{name}.py")
        files[-1].write_text(source, encoding="utf-8")
    return files


def _reached(module: str) -> dict[str, str]:
    """Sources of a module and of what it imports of this package, by the names of their files."""
    waiting, found = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if _flat(name) in found:
            continue
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name}: its source is not at hand")
        source = Path(spec.origin).read_text(encoding="utf-8")
        waiting += [imported[2] for imported in _IMPORT.finditer(source)]
        found[_flat(name)] = _IMPORT.sub(lambda imported: f"{imported[1]}from .{_flat(imported[2])} import", source)
    return found


def _copied(module: str) -> dict[str, str]:
    """Sources beside a module that was loaded from such a folder."""
    folder = Path(str(sys.modules[module].__file__)).parent
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob(f"{PACKAGE}_*.py")}


def _flat(module: str) -> str:
    """Name of a module's file where all of them lie in one folder."""
    return module.replace(".", "_")
