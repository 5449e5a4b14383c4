"""List every setting with type, default and meaning, write them as a commented file, and find the values in force."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import tomli_w
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.env_file import ENV_FILE, read_env_file
from flows.settings import DEFAULT_FILE, ENV_PREFIX, Settings, load_settings, read_file


@dataclass(frozen=True)
class Key:
    """A setting as it is declared."""

    name: str
    field: FieldInfo

    @property
    def type(self) -> str:
        """Its type in words."""
        return _type_name(self.field.annotation)

    @property
    def meaning(self) -> str:
        """Its meaning, on one line."""
        return " ".join((self.field.description or "").split())

    @property
    def described(self) -> str:
        """Its meaning and type."""
        return f"{self.meaning} ({self.type.replace('`', '')})"

    @property
    def is_of_machine(self) -> bool:
        """Whether its default differs between machines."""
        return self.field.default_factory is not None and self.field.annotation is int

    @property
    def default(self) -> Any:
        """Its default; None if it has none."""
        value = self.field.get_default(call_default_factory=True)
        return None if value is PydanticUndefined else value

    @property
    def default_in_words(self) -> str:
        """Its default as shown in the reference."""
        if self.is_of_machine:
            return "the number of CPUs"
        if self.field.is_required():
            return "required"
        value = self.default
        return "none" if value in (None, (), {}) else f"`{list(value) if isinstance(value, tuple) else value}`"


@dataclass(frozen=True)
class Table:
    """A table of the settings file: its keys, without the tables below it."""

    path: tuple[str, ...]
    """Its name; a part that the user chooses is `NAME`."""
    meaning: str
    keys: tuple[Key, ...]
    examples: Mapping[str, BaseModel]
    """Default tables, if the user chooses the last part of the name."""


@dataclass(frozen=True)
class Value:
    """A setting in force."""

    path: tuple[str, ...]
    value: Any
    origin: str
    """The file or the variable that sets it, or `default`."""

    @property
    def is_default(self) -> bool:
        """Whether neither a file nor a variable sets it."""
        return self.origin == "default"

    @property
    def shown(self) -> str:
        """The value as in a settings file; a secret is masked."""
        return "" if self.value is None else _toml(self.value)


def tables() -> Iterator[Table]:
    """Yield every table of the settings file, parents first."""
    for name, field in Settings.model_fields.items():
        assert field.annotation is not None  # noqa: S101 - every field of the model is annotated
        yield from _tables((name,), field.annotation, {})


def commented_file() -> str:
    """A settings file that sets nothing: every key with its meaning, type and default behind `#`."""
    lines = [
        "# Settings of ytb-ads. A key behind # has the default shown here; remove the # to set another value.",
        f"# Variables override this file: {ENV_PREFIX}FRAMES__COUNT=7 sets count of [frames], in the environment or in",
        f"# the file {ENV_FILE} beside this one, where secrets belong.",
    ]
    for table in tables():
        lines += ["", *_remarks(table.meaning)]
        if table.path[-1] != "NAME":
            lines += [f"[{'.'.join(table.path)}]"]
            lines += [line for key in table.keys for line in ("", *_remarks(key.described), _line(key, key.default))]
            continue
        # tables that the user sets replace all default ones, so these stay commented out as a whole
        lines += ["# Tables that you set replace all of the following."]
        lines += [line for key in table.keys for line in _remarks(f"{key.name}: {key.described}")]
        for name, example in table.examples.items():
            lines += ["", f"# [{_dotted((*table.path[:-1], name))}]"]
            lines += [_line(key, getattr(example, key.name)) for key in table.keys]
    return "\n".join(lines) + "\n"


def values_in_force(file: Path | None = None) -> list[Value]:
    """Return every setting as a command would use it, with its origin.

    Raises:
        SettingsError: as of `load_settings`.
    """
    settings = load_settings(file)
    variables = {"environment": dict(os.environ), str(ENV_FILE): read_env_file()}
    in_file = read_file(file)

    def origin_of(path: tuple[str, ...]) -> str:
        for where, held in variables.items():
            if variable := _variable_of(path, held):
                return f"{where}: {variable}"
        return str(file or DEFAULT_FILE) if _holds(in_file, path) else "default"

    return [Value(path, value, origin_of(path)) for path, value in _leaves((), settings)]


def _variable_of(path: tuple[str, ...], variables: Mapping[str, str]) -> str | None:
    """The variable that sets a setting: its own, or one that sets a whole table as JSON."""
    names = {name.upper(): name for name in variables}
    for length in range(len(path), 0, -1):
        name = names.get(ENV_PREFIX + "__".join(path[:length]).upper())
        if name and (length == len(path) or _holds(json.loads(variables[name]), path[length:])):
            return name
    return None


def _tables(path: tuple[str, ...], model: Any, examples: Mapping[str, BaseModel]) -> Iterator[Table]:
    below = {name: _model_in(field.annotation) for name, field in model.model_fields.items()}
    keys = tuple(Key(name, field) for name, field in model.model_fields.items() if below[name] is None)
    yield Table(path, " ".join((model.__doc__ or "").split()), keys, examples)
    for name, found in below.items():
        if found is None:
            continue
        field = model.model_fields[name]
        if get_origin(field.annotation) is dict:
            yield from _tables((*path, name, "NAME"), found, field.get_default(call_default_factory=True))
        else:
            yield from _tables((*path, name), found, {})


def _model_in(annotation: Any) -> Any:
    """The model of a nested table, or of the values of a table of tables; None for any other key."""
    found = get_args(annotation)[1] if get_origin(annotation) is dict else annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is SecretStr:
        return "secret"
    if origin is None:
        return str(getattr(annotation, "__name__", annotation)).replace("NoneType", "none")
    if str(origin).endswith("Literal"):
        return " | ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}"
    return " | ".join(_type_name(each) for each in arguments if each is not type(None))


def _line(key: Key, value: Any) -> str:
    """A commented-out key with its value, or with a remark if the value cannot be written."""
    if value is None or key.is_of_machine:
        return f"# {key.name} =    # {key.default_in_words}"
    return f"# {key.name} = {_toml(value)}"


def _remarks(text: str) -> Iterator[str]:
    line = "#"
    for word in text.split():
        if len(line) + len(word) > 118:
            yield line
            line = "#"
        line += f" {word}"
    yield line


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves((*path, name), getattr(value, name))
    elif isinstance(value, dict) and any(isinstance(each, BaseModel) for each in value.values()):
        for name, each in value.items():
            yield from _leaves((*path, name), each)
    else:
        yield path, value


def _holds(given: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(given, Mapping) or part not in given:
            return False
        given = given[part]
    return True


def _dotted(path: tuple[str, ...]) -> str:
    *_, line = tomli_w.dumps(_nested(path)).strip().splitlines()
    return line.strip("[]")


def _nested(path: tuple[str, ...]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for part in reversed(path):
        value = {part: value}
    return value


def _toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple | set):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, Path | SecretStr):
        value = str(value)
    return tomli_w.dumps({"value": value if isinstance(value, bool | int | float | date) else str(value)})[8:-1]


def _toml_key(name: str) -> str:
    return tomli_w.dumps({name: 0}).rpartition(" = ")[0]
