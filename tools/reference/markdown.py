"""Markdown of the generated pages: tables, anchors, texts that hold no markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from griffe import Docstring, DocstringSectionKind

from hnm_core.settings.options import Option

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(?:~(?:\w+\.)*)?([\w.]+)`|``([^`]+)``")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table; no row, no table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines, ""]) if lines else ""


def code(text: str) -> str:
    """Show a text as code within a cell; an empty one is an empty cell."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def plain(text: str) -> str:
    """Show a help text or docstring in one line of Markdown: names as code, all else as it stands."""
    text = ROLE.sub(lambda match: f"`{match[1] or match[2]}`", " ".join(text.split()))
    parts = re.split(r"(`[^`]*`)", text)  # what is code stays as it is, but for the cell's own mark
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(r"([\\*_<\[\]])", r"\\\1", parts[number])
    return "".join(parts).replace("|", "\\|")


def first_line(docstring: str | None) -> str:
    """Give the summary of a docstring, its first paragraph."""
    return plain((docstring or "").partition("\n\n")[0])


def described(docstring: str | None) -> Mapping[str, str]:
    """Give what a docstring of Google's style says of each argument or attribute, by name."""
    wanted = (DocstringSectionKind.parameters, DocstringSectionKind.attributes)
    sections = Docstring(docstring or "").parse("google", warnings=False)
    return {item.name.lstrip("*"): item.description for part in sections if part.kind in wanted for item in part.value}


def default_of(knob: Field[Any]) -> Any:
    """Give the default of a dataclass field; :data:`dataclasses.MISSING` for a required one."""
    return knob.default if knob.default_factory is MISSING else knob.default_factory()


def knob_rows(settings: type) -> list[list[str]]:
    """Describe every field of a dataclass of settings: name, type, default, range, unit, meaning.

    A field that holds settings has its meaning in the docstring of the class.
    """
    said, rows = described(settings.__doc__), []
    for knob in fields(settings):
        option, default = knob.metadata.get("option"), default_of(knob)
        rows.append(
            [
                code(knob.name),
                code(str(knob.type)),
                "required" if default is MISSING else code(shown(default)),
                range_of(option) if option else "",
                plain(option.unit if option else ""),
                plain(option.help if option else said.get(knob.name, "")),
            ]
        )
    return rows


def shown(value: Any) -> str:
    """Write a default as Python would, short."""
    if isinstance(value, (str, bytes, int, float, type(None))):
        return repr(value)
    if isinstance(value, (tuple, list, dict, set, frozenset)):
        return repr(value)
    return f"{type(value).__name__}()"


def range_of(option: Option) -> str:
    """Say which values a setting may have: its choices, or its lowest and highest."""
    return ", ".join(code(choice) for choice in option.choices) or option.limits
