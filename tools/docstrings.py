"""Docstrings as mkdocstrings reads them: ours are written for Google's style and name other objects as Sphinx does."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(?:~(?:\w+\.)*)?([\w.]+)`")
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


class Docstrings(Extension):
    """``:func:`~hnm_core.pipeline.mine``` becomes ```mine```, and ``Example:`` is a section of code."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of an object as soon as it is known."""
        if obj.docstring is not None:
            text = ROLE.sub(lambda match: f"`{match[1]}`", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", text)
