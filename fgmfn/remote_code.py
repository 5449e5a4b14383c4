"""Save code beside weights, to load them with `trust_remote_code=True` where this package is not installed.

The modules that a class needs are written into one folder with relative imports, as transformers copies them.
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

    An object that was loaded from such code is always saved with its code.
    """

    auto_classes: ClassVar[tuple[str, ...]] = ()
    """Auto classes that load this class."""
    _auto_class: ClassVar[str | None]
    """Attribute of transformers: the auto class by which an object was loaded from a folder's code."""
    _with_code = False

    def named_classes(self) -> dict[str, str]:
        """Return the class, by name, that each auto class loads; it is defined in this class's module."""
        return dict.fromkeys(self.auto_classes, type(self).__name__)

    def save_pretrained(self, save_directory: Any, *, with_code: bool | None = None, **options: Any) -> Any:
        """Save as transformers does, optionally with the code.

        Args:
            save_directory: the folder.
            with_code: also write the modules that the class needs, for `trust_remote_code=True`.
            options: arguments of transformers' `save_pretrained`.

        Raises:
            ValueError: `push_to_hub` is set and code is to be saved; call `push_to_hub` instead.
        """
        module = type(self).__module__
        wanted = self._with_code if with_code is None else with_code
        wanted = wanted or module.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}.")
        if wanted and options.get("push_to_hub"):
            raise ValueError("save_pretrained pushes no code: call push_to_hub(..., with_code=True)")
        described: Any = getattr(self, "config", self)
        known = vars(described).pop("auto_map", None)  # from the folder that this was loaded from
        kinds: list[tuple[Any, Any]] = [(type(part), type(part)._auto_class) for part in (self, described)]
        if wanted:
            classes = self.named_classes()
            entry = f"{PACKAGE}_{type(self).__name__}"
            if options.get("is_main_process", True):
                write_code(module, entry, classes.values(), Path(save_directory))
            described.auto_map = {auto: f"{entry}.{name}" for auto, name in classes.items()}
            for kind, _ in kinds:
                kind._auto_class = None  # or transformers would save some of the code under other names
        try:
            saved: Any = super()
            return saved.save_pretrained(save_directory, **options)
        finally:
            vars(described).pop("auto_map", None)
            vars(described).update({"auto_map": known} if known else {})
            for kind, auto in kinds:
                kind._auto_class = auto

    def push_to_hub(self, repo_id: str, *, with_code: bool = False, **options: Any) -> Any:
        """Upload as transformers does, optionally with the code, for `trust_remote_code=True`."""
        self._with_code = with_code
        try:
            pushed: Any = super()
            return pushed.push_to_hub(repo_id, **options)
        finally:
            self._with_code = False


def write_code(module: str, entry: str, classes: Iterable[str], folder: Path) -> list[Path]:
    """Write a module, and all modules of this package that it imports, into a folder.

    Args:
        module: the module's name.
        entry: name of a file that only imports the classes. transformers identifies a folder's code by its entry:
            use a different entry for each class, so that it can tell classes of one module apart.
        classes: names of classes in the module.
        folder: folder to write to.

    Returns:
        The files written.
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
    """Return the sources of a module and of this package's modules that it imports, by file name."""
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
    """Return the sources in the folder from which a module was loaded."""
    folder = Path(str(sys.modules[module].__file__)).parent
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob(f"{PACKAGE}_*.py")}


def _flat(module: str) -> str:
    """Return the file name of a module in a folder that contains all modules."""
    return module.replace(".", "_")
