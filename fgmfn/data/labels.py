"""Labels of a table as classes: missing, hidden and differently spelled ones are reported or refused, never learned.

Labels that look like one class, or like none, are refused; the message names the setting `[source] labels` that says
what they are.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from itertools import combinations
from typing import Any

from fgmfn.data.reading import NULLS, Table
from fgmfn.data.rows import SPLITS, UNKNOWN
from fgmfn.errors import DataError, did_you_mean

MISSING = (
    NULLS
    | {"", "na", "n/a", "#n/a n/a", "n.a", "n.a.", "?", "-", "nil", "-99", "-100", "-999", "-9999", "1.#ind", "-1.#ind"}
    | {"#na", "#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!", "unknown", "missing", "undefined", "no label"}
    | {"unlabeled", "unlabelled", "not labeled", "not labelled", "not available", "not applicable"}
)
"""Values that pandas, spreadsheets and people write for a missing label, in lower case."""

SYNONYMS = (
    {"positive", "pos", "posit", "p", "+", "+ve"},
    {"negative", "neg", "negat", "n", "-", "-ve"},
    {"neutral", "neu", "neut", "ntr", "ntrl"},
    {"true", "yes", "t", "y", "1"},
    {"false", "no", "f", "n", "0"},
)
"""Synonyms of labels, the first three for sentiments; two single letters do not match: y and t may mean others."""

CANONICAL = {"positive", "negative", "neutral", "true", "false"}
SENTIMENTS = {form for forms in SYNONYMS[:3] for form in forms if len(form) > 1}

_LOOKALIKES = str.maketrans(
    "АВЕЗІЈКМНОРЅТУХаеоруісхјѕԁһԛԝкмтΑΒΕΖΗΙΚΜΝΟΡΤΥΧαειικνορτυχ",
    "ABE3IJKMHOPSTYXaeopyicxjsdhqwkmtABEZHIKMNOPTYXaeiikvoptux",
)
"""Cyrillic and Greek letters that look like Latin ones."""

NAMED = 3
"""Most pairs of classes that a message names."""


@dataclass(frozen=True)
class _Labels:
    """The label column and the rules for each row's class."""

    table: Table
    column: str
    meant: Mapping[str, str]
    """Spellings and the class of each, from `[source] labels`."""

    @cached_property
    def confirmed(self) -> set[str]:
        """Classes that the setting names."""
        return set(self.meant.values())

    @cached_property
    def signs(self) -> bool:
        """Whether - is a class, since + is one."""
        return any(str(value).strip() == "+" for value in self.table.columns[self.column])

    def read(self, row: int) -> str | None:
        """Return a row's label as a class name, None where it is missing.

        Raises:
            DataError: It is not a class, or not one that its file declares.
        """
        value: Any = self.table.columns[self.column][row]
        names = self.table.class_names[row]
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return self.meant.get("") or None
        if not isinstance(value, str | int | float):
            held = f"{type(value).__name__}, not classes: {str(value)[:80]}"
            raise DataError(f"{self.table.row_names[row]}: the column {self.column!r} holds {held}")
        written = _written(value)
        for spelled in (written, written.strip()):
            if spelled in self.meant:
                return self.meant[spelled] or None
        if names and not (isinstance(value, str) and value in names):
            # As in the library datasets, a number may be written as a string; a truth value is not a number.
            if re.fullmatch(r"[+-]?\d{1,9}", written):
                return self._numbered(row, int(written))
        elif names:
            return written
        if _plain(written).strip() == "-" and self.signs:
            return written
        return None if _is_missing(written) else written

    def _numbered(self, row: int, number: int) -> str | None:
        """Return the class that a file declares for a number, None for one below 0."""
        names = self.table.class_names[row]
        if number >= len(names):
            raise DataError(
                f"{self.table.row_names[row]}: label {number}; expected 0 to {len(names) - 1}; say which class it is "
                f"by labels in [source], such as {_setting({str(number): names[0]})}"
            )
        return (self.meant.get(names[number], names[number]) or None) if number >= 0 else None

    def declared(self, rows: Iterable[int]) -> dict[str, None]:
        """Return the classes that the rows' files declare, in their order."""
        files = dict.fromkeys(self.table.class_names[row] for row in rows)
        return dict.fromkeys(self.meant.get(name, name) for names in files for name in names)


def read_labels(
    table: Table, column: str, assignment: Sequence[str], *, given: bool, meant: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Return the class names, each row's class (`UNKNOWN` in a split whose labels are hidden), and notes.

    Class names are in the order that the training files declare, else sorted.

    Args:
        table: the rows.
        column: name of the label column.
        assignment: split of each row.
        given: the splits were not drawn, so a whole split may lack labels.
        meant: spellings and the class of each, from the settings.

    Raises:
        DataError: A label is missing, out of the declared range, not a class or another spelling of one, or a split's
            labels have nothing in common with those of training.
    """
    rules = _Labels(table, column, meant or {})
    values = [rules.read(row) for row in range(len(table))]
    values = _without_placeholders(values, assignment, rules.confirmed | {*rules.declared(range(len(table)))})
    own = {split: {value for value, home in zip(values, assignment, strict=True) if home == split} for split in SPLITS}
    hidden = [split for split in SPLITS[1:] if given and own[split] and _is_hidden(own[split], own["train"])]
    labelled = [row for row in range(len(table)) if assignment[row] not in hidden]
    _refuse_missing(table, column, [row for row in labelled if values[row] is None])
    shown = {row: str(values[row]) for row in labelled}
    first = sorted(labelled, key=lambda row: assignment[row] != "train")
    declared = rules.declared(first)
    _refuse_undeclared(rules, shown, declared)
    _refuse_alike(rules, shown, declared)
    _refuse_mixed(rules, shown)
    _refuse_scores(rules, shown)
    names = (*declared, *sorted(set(shown.values()) - declared.keys(), key=_natural))
    number = {name: at for at, name in enumerate(names)}
    labels = [number[shown[row]] if row in shown else UNKNOWN for row in range(len(table))]
    notes = [f"the labels of the {split} split are hidden: it is not scored" for split in hidden]
    notes += [f"no label is spelled {spelled!r}, as [source] labels says" for spelled in _unused(rules)]
    for split in (split for split in SPLITS[1:] if split not in hidden):
        new = sorted(map(str, own[split] - own["train"]))
        if given and len(new) == len(own[split]) > 1:
            raise DataError(
                f"{table.row_files[0].parent}: no label of the {split} split ({', '.join(new)}) is trained on; say by "
                f"labels in [source] which classes they are, such as {_setting(dict.fromkeys(new, names[0]))}"
            )
        if new:
            rows = sum(home == split and values[row] in new for row, home in enumerate(assignment))
            notes.append(f"{rows} {split} rows are of a class that no training row has: {', '.join(new)}")
        rows = assignment.count(split)
        if given and len(own[split]) == 1 and rows > 1:
            (only,) = own[split]
            notes.append(
                f"all {rows} rows of the {split} split are {only!r}: its labels may be hidden, its scores then mean "
                f"nothing"
            )
    return names, labels, notes + looking_alike(names, rules.confirmed)


def _is_hidden(own: set[str | None], trained: set[str | None]) -> bool:
    """Return whether a split has no labels, or the same one for all rows, which is not in training."""
    return own == {None} or (len(own) == 1 and not own & trained)


def _is_missing(label: str) -> bool:
    plain = re.sub(r"\s+", " ", _plain(label)).strip()
    return plain in MISSING or plain.strip("()[]<>{}#'\"") in MISSING or re.fullmatch(r"[-_.?]+", plain) is not None


def _without_placeholders(values: list[str | None], assignment: Sequence[str], meant: set[str]) -> list[str | None]:
    """Treat -1 as a missing label if the other classes are numbered from 0 or 1."""
    known = Counter(value for value in values if value is not None)
    numbers = {label: value for label in known if (value := _number(label)) is not None}
    others = [value for value in numbers.values() if value != -1]
    if len(numbers) < len(known) or len(others) == len(numbers) or not others or min(others) < 0:
        return values
    trained = {value for value, home in zip(values, assignment, strict=True) if home == "train"}
    minus = {label for label in numbers if numbers[label] == -1} - meant
    if max(others) < 2 and minus & trained:  # -1, 0 and 1, or some of them
        return values
    return [None if value in minus else value for value in values]


def _refuse_missing(table: Table, column: str, rows: Sequence[int]) -> None:
    if rows:
        said = table.columns[column][rows[0]]
        more = f", nor have {len(rows) - 1} other rows one" if len(rows) > 1 else ""
        way = f"give it or remove the row{'s' if more else ''}"
        if isinstance(said, str | int) and (written := str(said).strip()):
            way += f", or if it is a class, say so by labels in [source]: {_setting({written: written})}"
        raise DataError(f"{table.row_names[rows[0]]}: no {column} ({said!r}{more}); {way}")


def _refuse_undeclared(rules: _Labels, labels: Mapping[int, str], declared: Mapping[str, None]) -> None:
    """Refuse labels other than the classes that Parquet files declare."""
    known = declared.keys() | rules.confirmed
    other = next((row for row, label in labels.items() if declared and label not in known), None)
    if other is not None:
        label = labels[other]
        alike = [name for name in declared if set(_keys(name)) & set(_keys(label))]
        hint = f"; did you mean {alike[0]!r}?" if alike else did_you_mean(label, declared)
        raise DataError(
            f"{rules.table.row_names[other]}: label {label!r} is none of the declared classes "
            f"{', '.join(declared)}{hint}; say which it is by labels in [source], such as "
            f"{_setting({label: alike[0] if alike else next(iter(declared))})}"
        )


def _refuse_alike(rules: _Labels, labels: Mapping[int, str], declared: Mapping[str, None]) -> None:
    """Refuse labels that are spellings of one class: by case, punctuation, form of a number, synonyms or a slip."""
    counts = Counter(labels.values())
    places = {label: rules.table.row_names[row] for row, label in reversed([*labels.items()])}
    groups = _groups(dict.fromkeys([*counts, *declared]), counts, rules.confirmed)
    if not groups:
        return

    def quality(label: str) -> tuple[object, ...]:
        clean = label == _plain(label).strip()
        return label in declared, label in CANONICAL, counts[label], clean, label.isascii(), -len(label), label

    spelled = [f"{label!r} ({places.get(label, 'declared')})" for group in groups for label in sorted(group)]
    one = {label: max(group, key=quality).strip() for group in groups for label in sorted(group)}
    meant = {label: name for label, name in one.items() if label != name}
    raise DataError(
        f"column {rules.column!r}: labels that look like one class: {', '.join(spelled)}; write each class in one way, "
        f"or say which is which by labels in [source], such as {_setting(meant)}, or if they are different classes, "
        f"{_setting({label: label for label in one})}"
    )


def _groups(names: Iterable[str], counts: Counter[str], confirmed: set[str]) -> list[set[str]]:
    """Return the sets of names that look like one class, except sets of confirmed names only."""
    spelled: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        for key in _keys(name):
            spelled[key].add(name)
    groups = [group for key, group in spelled.items() if key[0] == "~" or max(len(_form(name)) for name in group) > 1]
    merged: list[set[str]] = []
    for group in [*groups, *_slips(counts)]:
        if len(group) > 1 and not group <= confirmed:
            touching = [one for one in merged if one & group]
            merged = [one for one in merged if not one & group] + [group.union(*touching)]
    return merged


def _refuse_mixed(rules: _Labels, labels: Mapping[int, str]) -> None:
    """Refuse numbers mixed with names of sentiments, and truth values with words: two notations of the same classes."""
    values = rules.table.columns[rules.column]
    places = {label: row for row, label in reversed([*labels.items()]) if label not in rules.confirmed}
    truth = any(isinstance(values[row], bool) for row in places.values())
    other = next((a for a, row in places.items() if isinstance(values[row], bool) or _number(a) is not None), None)
    word = next(
        (a for a, row in places.items() if isinstance(values[row], str) and (truth or _form(a) in SENTIMENTS)), None
    )
    if other is not None and word is not None:
        name = rules.table.row_names
        raise DataError(
            f"column {rules.column!r}: a number or truth value and a word stand for classes: {other!r} "
            f"({name[places[other]]}) and {word!r} ({name[places[word]]}); say which is which by labels in [source], "
            f"such as {_setting({other: word})}"
        )


def _refuse_scores(rules: _Labels, labels: Mapping[int, str]) -> None:
    """Refuse scores on a scale, or names, in place of classes."""
    names, rows = set(labels.values()) - rules.confirmed, len(labels)
    fractions = [label for label in names if (value := _number(label)) is not None and not float(value).is_integer()]
    if (rows >= 20 and 2 * len(names) > rows) or len(fractions) > 20:
        shown = ", ".join(map(repr, sorted(names, key=_natural)[:NAMED]))
        raise DataError(
            f"column {rules.column!r} has {len(names)} different labels in {rows} rows ({shown} and others): these are "
            f"no classes; name another column by label in [source], or say by labels which class each is, such as "
            f"{_setting({sorted(names, key=_natural)[0]: 'low'})}"
        )


def _unused(rules: _Labels) -> list[str]:
    """Return notes on spellings in the setting that no row has."""
    spelled = {_written(value).strip() for value in rules.table.columns[rules.column]}
    spelled |= {name.strip() for names in {*rules.table.class_names} for name in names}
    return [spelling for spelling in rules.meant if spelling.strip() not in spelled]


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def looking_alike(names: Sequence[str], confirmed: Set[str] = frozenset()) -> list[str]:
    """Return notes on classes that may be the same: abbreviations, and words that differ by one letter."""
    forms = {name: _form(name) for name in names if name not in confirmed}
    if len(forms) > 200:  # with many classes, some names are always similar
        return []
    pairs = [
        f"{one!r} and {other!r}"
        for one, other in combinations(sorted(forms, key=len), 2)
        if _abbreviates(forms[one], forms[other]) or _one_letter_apart(one, other)
    ]
    more = f" and {len(pairs) - NAMED} other pairs" if len(pairs) > NAMED else ""
    return [f"classes that look alike: {'; '.join(pairs[:NAMED])}{more}"] if pairs else []


def _abbreviates(short: str, long: str) -> bool:
    """Return whether a word begins with a shorter one; numbered names are not abbreviations."""
    return long.startswith(short) and (len(short) > 1 or len(long) > 3) and not re.search(r"\d", long)


def _slips(counts: Counter[str]) -> list[set[str]]:
    """Return rare labels with a label at least ten times as frequent that differs by one letter."""
    common = [label for label, number in counts.items() if number >= 10]
    return [
        {rare, label}
        for label in common
        for rare, number in counts.items()
        if 10 * number <= counts[label] and _one_letter_apart(rare, label)
    ]


def _one_letter_apart(one: str, other: str) -> bool:
    """Return whether labels differ in one longer word by one letter left out, added, changed or swapped.

    A different first letter may make another word (moral, amoral), a different last one a number (group a, group b).
    """
    if abs(len(one) - len(other)) > 2:
        return False
    parts = [re.findall(r"\d+|[^\W\d_]+|[^\w\s]", _plain(label)) for label in (one, other)]
    if len(parts[0]) != len(parts[1]):
        return False
    different = [(a, b) for a, b in zip(*parts, strict=True) if a != b]
    if len(different) != 1:
        return False
    short, long = sorted(different[0], key=len)
    if (
        not (short.isalpha() and long.isalpha() and len(long) >= 5 and short[0] == long[0])
        or len(long) > len(short) + 1
    ):
        return False
    same = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    a, b = short[same:], long[same:]
    if len(a) < len(b):
        return a == b[1:]
    return len(a) > 1 and (a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]))


@cache
def _plain(label: str) -> str:
    """Return a label in lower case, without accents and invisible characters, with one kind of dash."""
    shown = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", label).casefold())
    marks = "".join(
        "-" if char == "\u2212" or unicodedata.category(char) == "Pd" else char
        for char in shown
        if unicodedata.category(char) not in ("Cf", "Cc")
        and not ("\u0300" <= char <= "\u036f" or "\ufe00" <= char <= "\ufe0f")
    )
    return unicodedata.normalize("NFC", marks)


@cache
def _form(label: str) -> str:
    """Return the common form of a class's spellings, or a number's value.

    Punctuation around the label is removed, and blanks, hyphens and the like between its letters. Characters between or
    before digits, and a sign at the end (A-, C++), make another class.
    """
    plain = _plain(label).strip()
    plain = plain.strip(" \t\n.,;:!?\"'`´’‘“”„«»¡¿。()[]{}") or plain
    value = _number(plain)
    if value is not None:
        return f"{value.normalize():f}" if value else "0"
    plain = re.sub(r"(?<!\d)[\s_]+|[\s_]+(?!\d)", "", plain)
    plain = re.sub(r"(?<=\w)-(?=[^\W\d])|(?<=[^\W\d])-(?=\w)", "", plain)
    plain = re.sub(r"(\d)\.0+(?!\d)", r"\1", plain)
    return re.sub(r"['`’.](?!\d)|(?<!\d)['`’.]", "", plain) or plain


def _keys(label: str) -> set[str]:
    """Return the keys of a label: labels that share one look alike; keys of synonyms begin with =."""
    form = _form(label)
    keys = {f"~{form}", f"~{_form(unicodedata.normalize('NFKC', label).translate(_LOOKALIKES))}"}
    return keys | {f"={at}" for at, forms in enumerate(SYNONYMS) if form in forms}


def _number(text: str) -> Decimal | None:
    plain = _plain(text).strip()
    if re.fullmatch(r"[+-]?\d+,\d+", plain):
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None
    return value if value.is_finite() and "_" not in plain and len(plain) < 25 and abs(value.adjusted()) < 100 else None


def _natural(name: str) -> tuple[bool, Decimal, str]:
    """Return a sorting key: numbers by their value, before words."""
    value = _number(name)
    return value is None, value or Decimal(0), name


def _setting(meant: Mapping[str, str]) -> str:
    """Return `[source] labels` as in a configuration file."""
    shown = [f"{json.dumps(label)} = {json.dumps(name)}" for label, name in list(meant.items())[:6]]
    return f"labels = {{{', '.join(shown)}{', ...' if len(meant) > 6 else ''}}}"
