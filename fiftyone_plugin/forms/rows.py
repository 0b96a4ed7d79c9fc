"""Form rows made from the options that a settings class declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import fiftyone.operators.types as types

from hnm_core.settings import Option, Options, options

HINTS = {
    "names": ", such as car, truck",
    "class_names": ', as JSON such as {"person": "pedestrian"}',
    "class_lists": ', as JSON such as {"Car": ["Van"]}',
}
"""How to write what has no input of its own."""


def add_rows(
    inputs: types.Object,
    settings: type[Options],
    *,
    main: bool | None = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    suggestions: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Add a row for every option of a settings class; thresholds per class have a table of their own.

    Args:
        inputs: of the form.
        settings: whose options.
        main: only those that show at once (True), only the others (False), or all (None).
        only: only these.
        skip: all but these.
        defaults: other defaults, where the dataset knows better.
        suggestions: values to offer for a text that may be any other.
    """
    for each in options(settings):
        wanted = each.offered and each.kind != "class_numbers" and (main is None or each.main == main)
        if wanted and each.name not in skip and (only is None or each.name in only):
            default = (defaults or {}).get(each.name, each.default)
            add_row(inputs, each, default=default, suggestions=(suggestions or {}).get(each.name, ()))


def add_row(
    inputs: types.Object, option: Option, *, default: Any = None, suggestions: Iterable[str] = ()
) -> types.Property:
    """Add the row of one option; no row is required, since the App would complain before it has applied defaults."""
    what = option.described + HINTS.get(option.kind, "")
    texts: dict[str, Any] = {"label": option.label, "description": what, "required": False}
    if default not in (None, "", (), {}):
        texts["default"] = list(default) if isinstance(default, tuple) else default
    suggestions = tuple(suggestions)
    if option.kind == "switch":
        return inputs.bool(option.name, **texts)
    if option.kind in ("whole", "number"):
        number = inputs.int if option.kind == "whole" else inputs.float
        return number(option.name, min=option.low, max=option.high, **texts)
    if option.kind == "choice":
        choices = types.DropdownView()
        for value, meaning in option.choices.items():
            choices.add_choice(value, label=value, description=meaning)
        return inputs.enum(option.name, choices.values(), view=choices, **texts)
    if option.kind == "several":
        several = types.AutocompleteView(multiple=True, allow_user_input=False, allow_duplicates=False)
        for value in option.choices:
            several.add_choice(value, label=value)
        return inputs.list(option.name, types.String(), view=several, **texts)
    if suggestions:
        offered = types.AutocompleteView(allow_user_input=True)
        for value in suggestions:
            offered.add_choice(value, label=value)
        return inputs.str(option.name, view=offered, **texts)
    return inputs.str(option.name, **texts)


def of(settings: type[Options], name: str) -> Option:
    """Return one option of a settings class by its name."""
    return next(each for each in options(settings) if each.name == name)
