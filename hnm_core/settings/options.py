"""How a setting is declared and checked: default, label, help, unit, range and choices, in one place."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from .values import as_tuple, check_class_lists, check_switch, plain

__all__ = ["Option", "Options", "check_switch", "inner", "option", "options"]

SETTINGS = TypeVar("SETTINGS", bound="Options")
KINDS = (
    "switch",
    "whole",
    "number",
    "text",
    "choice",
    "several",
    "names",
    "class_numbers",
    "class_names",
    "class_lists",
    "path",
    "any",
)
"""What an option holds: a bool, an int, a float, text, one choice, a tuple of choices, a tuple of names, a number, name
or names per class, a path, or what only somebody else can check."""

COUNTABLE = 10**6
"""A larger limit says nothing to people: it is checked, not shown."""


@dataclass(frozen=True)
class Option:
    """The declaration of one setting.

    Attributes:
        kind: one of :data:`KINDS`.
        default: an option whose default is None may be None.
        label: its name in a form.
        help: one sentence without a full stop.
        unit: of the value, such as ``pixels``; empty for a share, a count or a text.
        low: least value, itself allowed.
        high: largest value, itself allowed; None for no limit.
        choices: legal values, each with its meaning (may be empty).
        group: heading above it in help texts.
        main: whether a form shows it before more settings are asked for.
        offered: whether forms and flags have it.
        empty: whether none of the choices may be chosen.
        also: further names of its flag.
        name: of the field; :func:`options` fills it in.
    """

    kind: str
    default: Any
    label: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    main: bool = False
    offered: bool = True
    empty: bool = False
    also: tuple[str, ...] = ()
    name: str = ""

    def declare(self) -> Any:
        """Return a dataclass field with this declaration."""
        metadata = {"option": self}
        if isinstance(self.default, Mapping):
            return field(default_factory=lambda: dict(self.default), metadata=metadata)
        return field(default=self.default, metadata=metadata)

    @property
    def limits(self) -> str:
        """Return the range in words, such as ``0 to 1`` or ``0 or more``; empty if there is none."""
        if self.low is None:
            return ""
        return f"{self.low} or more" if self.high is None or self.high > COUNTABLE else f"{self.low} to {self.high}"

    @property
    def described(self) -> str:
        """Return the help with the unit."""
        return f"{self.help} ({self.unit})" if self.unit else self.help

    def check(self, value: Any) -> Any:
        """Return the value in its plain type.

        Raises:
            ValueError: if it is of another type or out of range, naming the option, what is expected and the value.
        """
        if (value is None and self.default is None) or self.kind == "any":
            return value
        if self.kind == "several" and self.default is None and as_tuple(value) == ():
            return None  # an emptied list in a form
        return getattr(self, f"_{self.kind}")(value)

    def _switch(self, value: Any) -> bool:
        return check_switch(self.name, value)

    def _whole(self, value: Any) -> int:
        return int(self._checked_number(self.name, value, whole=True))

    def _number(self, value: Any) -> float:
        return float(self._checked_number(self.name, value))

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{self.name} must be a text, got {value!r}")
        return value

    def _path(self, value: Any) -> str:
        if not isinstance(value, str) and not hasattr(value, "__fspath__"):
            raise ValueError(f"{self.name} must be a path, got {value!r}")
        return str(value)

    def _choice(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}")
        return value

    def _several(self, value: Any) -> tuple[str, ...]:
        values = as_tuple(value)
        wrong = [v for v in values if not isinstance(v, str) or v not in self.choices]
        if wrong or not (values or self.empty):
            got = ", ".join(map(repr, wrong)) or "nothing"
            raise ValueError(f"{self.name} must be one or more of {', '.join(self.choices)}, got {got}")
        return values

    def _names(self, value: Any) -> tuple[str, ...]:
        values = as_tuple(value)
        wrong = [v for v in values if not isinstance(v, str)]
        if wrong:
            raise ValueError(f"{self.name} must be class names, got {wrong[0]!r}")
        return values

    def _class_numbers(self, value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{self.name} must give a number per class name, like {{'cat': {self.high}}}, got {value!r}"
            )
        return {str(of): float(self._checked_number(f"{self.name}[{of!r}]", each)) for of, each in value.items()}

    def _class_names(self, value: Any) -> dict[str, str]:
        pairs = list(value.items()) if isinstance(value, Mapping) else [(value, "")]
        wrong = [name for pair in pairs for name in pair if not isinstance(name, str)]
        if wrong or not isinstance(value, Mapping):
            got = wrong[0] if wrong else value
            raise ValueError(f"{self.name} must give a class name per class name, like {{'van': 'car'}}, got {got!r}")
        return dict(value)

    def _class_lists(self, value: Any) -> dict[str, tuple[str, ...]]:
        return check_class_lists(self.name, value)

    def _checked_number(self, name: str, value: Any, *, whole: bool = False) -> Any:
        noun = f"{'whole ' if whole else ''}number" + (f" of {self.unit}" if self.unit else "")
        limits = f", {self.low} or more" if self.high is None else f" in [{self.low}, {self.high}]"
        expected = f"{name} must be a {noun}{limits if self.low is not None else ''}, got "
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise ValueError(f"{expected}{value!r}")
        number = float(value)
        if not math.isfinite(number) or not self._holds(number):
            short = f"{name} must lie in [{self.low}, {self.high}], got "
            raise ValueError(f"{expected if self.high is None else short}{value}")
        if whole and int(value) != value:
            raise ValueError(f"{expected}{value}")
        return value

    def _holds(self, number: float) -> bool:
        return (self.low is None or self.low <= number) and (self.high is None or number <= self.high)


class Options:
    """Base of the settings classes, which are frozen dataclasses of options: checked when made, and plain as a dict."""

    def __post_init__(self) -> None:
        """Check every option, then those that must go together; values are kept in their plain type."""
        for each in options(type(self)):
            object.__setattr__(self, each.name, each.check(getattr(self, each.name)))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that contradict each other; a class with such options says which."""

    @classmethod
    def from_dict(cls: type[SETTINGS], values: Mapping[str, Any]) -> SETTINGS:
        """Return settings from plain values, as :meth:`as_dict` gives them; what is absent keeps its default.

        Values of inner settings may stand beside the others or under the name of their field.

        Raises:
            ValueError: if a name is no setting, or a value is unfit.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"settings must be values by name, got {reprlib.repr(values)}")
        given, made = dict(values), {}
        own = _own_names(cls)
        for name, kind in _inner(cls).items():
            under = given.pop(name, {})
            if not isinstance(under, (Mapping, kind)):
                raise ValueError(f"{name} must be a mapping of settings, got {under!r}")
            beside = {key: given.pop(key) for key in names_of(kind) if key in given and key not in own}
            made[name] = kind.from_dict({**(under.as_dict() if isinstance(under, Options) else under), **beside})
        unknown = sorted(map(str, set(given) - own))
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}; settings are {', '.join(sorted(names_of(cls)))}")
        return cls(**given, **made)

    def as_dict(self) -> dict[str, Any]:
        """Return every setting as a plain value that JSON can hold, those of inner settings beside the others."""
        values: dict[str, Any] = {}
        for each in _fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Options):
                values |= value.as_dict()
            else:
                values[each.name] = plain(value)
        return values


def option(
    default: Any,
    help: str,
    *,
    label: str,
    kind: str | None = None,
    choices: Mapping[str, str] | Iterable[str] = (),
    low: float | None = None,
    **more: Any,
) -> Any:
    """Declare a field of a settings class; its kind follows from the default, unless it is given.

    Args:
        default: value unless another is given.
        help: one sentence without a full stop.
        label: its name in a form.
        kind: see :data:`KINDS`.
        choices: legal values, or a mapping from each to its meaning.
        low: least value.
        **more: further attributes of :class:`Option`.
    """
    meanings = dict(choices) if isinstance(choices, Mapping) else dict.fromkeys(choices, "")
    kind = kind or _kind_of(default, bool(meanings), low is not None)
    return Option(kind, default, label, help, low=low, choices=meanings, **more).declare()


def inner(settings: type[Options]) -> Any:
    """Declare a field that holds settings of another class."""
    return field(default_factory=settings, metadata={"inner": settings})


def options(settings: type[Options]) -> tuple[Option, ...]:
    """Return the options of a settings class, in order, without those of inner settings."""
    found = ((each.name, each.metadata.get("option")) for each in _fields(settings))
    return tuple(replace(declared, name=name) for name, declared in found if declared is not None)


def names_of(settings: type[Options]) -> frozenset[str]:
    """Return every name that :meth:`Options.from_dict` takes, those of inner settings included."""
    return _own_names(settings).union(*(names_of(kind) for kind in _inner(settings).values()))


def _kind_of(default: Any, chosen: bool, ranged: bool) -> str:
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, Mapping):
        return "class_numbers" if ranged else "class_names"
    if isinstance(default, tuple):
        return "several" if chosen else "names"
    if chosen:
        return "choice"
    return {int: "whole", float: "number"}.get(type(default), "text")


def _fields(settings: Any) -> tuple[Field[Any], ...]:
    return fields(settings)  # every subclass of Options is a dataclass


def _inner(settings: type[Options]) -> dict[str, type[Options]]:
    named = ((each.name, each.metadata.get("inner")) for each in _fields(settings))
    return {name: kind for name, kind in named if kind is not None}


def _own_names(settings: type[Options]) -> frozenset[str]:
    return frozenset(each.name for each in _fields(settings)) - set(_inner(settings))
