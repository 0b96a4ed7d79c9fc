"""The page of the operators, from their classes and from the functions that they hand their options to."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import Any

import fiftyone.operators as foo

from fiftyone_plugin.app.uris import uri
from fiftyone_plugin.operators import OPERATORS

from .markdown import code, default_of, described, first_line, knob_rows, plain, shown, table

HEAD = """# Operators

In the App: press <kbd>`</kbd> and type the label. From Python, with a dataset or a view of it as the first argument:

```python
import fiftyone.operators as foo

mine = foo.get_operator("{example}")
```

**Risk** is what an operator declares for agents: *low* reads and shows, *medium* writes what can be undone, *high*
deletes, replaces, writes files, sends data away or imports a module by name, *dangerous* runs code from a file that the
caller names. This page is generated from the code.
"""


def page() -> str:
    """Write the page."""
    parts = [HEAD.replace("{example}", uri("mine_hard_negatives"))]
    every: list[Any] = OPERATORS
    for operator in every:
        config: Any = operator().config
        end = "" if config.description.endswith("?") else "."
        parts.append(f"## {config.name}\n\n**{config.label}.** {plain(config.description)}{end}\n")
        parts.append(f"Risk: {config.risk_level.value}.\n")
        if issubclass(operator, foo.EvaluationMetric):
            call = f'dataset.evaluate_detections(..., custom_metrics=["{uri(config.name)}"])'
            parts.append(f"A metric of FiftyOne's evaluation:\n\n```python\n{call}\n```\n")
        else:
            parts.append(f"```python\n{signature(operator, config.name)}\n```\n")
            parts.append(f"{first_line(inspect.getdoc(operator.__call__))}\n")
        parts.append(table(("parameter", "default", "range", "meaning"), rows(operator)))
    return "\n".join(parts)


def signature(operator: Any, name: str) -> str:
    """Return the call from Python, without types."""
    parameters = list(inspect.signature(operator.__call__).parameters.values())[1:]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return f"{name}{inspect.Signature(bare)}"


def rows(operator: Any) -> list[list[str]]:
    """Describe every parameter, those behind ``**options`` included."""
    call = operator.compute if issubclass(operator, foo.EvaluationMetric) else operator.__call__
    given = [name for name in inspect.signature(call).parameters if name not in GIVEN]
    found = _of_function(call, given)
    for source in getattr(operator, "takes", ()):
        more = _of_settings(source) if is_dataclass(source) else _of_function(source, _optional(source))
        found |= {name: cells for name, cells in more.items() if name not in found}
    return list(found.values())


GIVEN = frozenset({"self", "samples", "results", "progress"})
"""What FiftyOne or the caller of every operator gives."""


def _optional(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.name not in GIVEN and p.default is not p.empty]


def _of_function(function: Any, names: list[str]) -> dict[str, list[str]]:
    said, found = described(inspect.getdoc(function)), {}
    for name in names:
        parameter = inspect.signature(function).parameters[name]
        if parameter.kind is not parameter.VAR_KEYWORD:
            value = "required" if parameter.default is parameter.empty else code(shown(parameter.default))
            found[name] = [code(name), value, "", plain(said.get(name, ""))]
    return found


def _of_settings(settings: Any) -> dict[str, list[str]]:
    """Return the cells of every field that is not a group of settings itself."""
    rows = {knob.name: row for knob, row in zip(fields(settings), knob_rows(settings), strict=True)}
    nested = {knob.name for knob in fields(settings) if is_dataclass(default_of(knob))}
    return {name: [row[0], *row[2:4], row[5]] for name, row in rows.items() if name not in nested}
