"""List every text that a user can meet: ``python tools/list_texts.py [PACKAGE ...]``.

Texts are found in the syntax trees: labels, descriptions and help of forms and flags, what is shown or notified, and
the messages of errors. Read the list as somebody who does not know the project.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEYWORDS = {
    "label",
    "description",
    "help",
    "title",
    "metavar",
    "epilog",
    "error_message",
    "submit_button_label",
    "name",
}
"""Keyword arguments that hold texts; of ``name`` only texts of several words are listed."""


def template(node: ast.AST) -> str:
    """Return the text of an expression, with ``{…}`` for its values; "" if it has none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else template(part)
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return ""


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """Return the nodes of all docstrings, of attributes too: they are for developers."""
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of everything in a file that reads like a sentence or stands where a user sees it."""
    tree = ast.parse(source)
    skipped = docstrings(tree)
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    named = {
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in KEYWORDS
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in skipped and node not in parts:
            text = template(node)
            words = [word for word in text.split() if any(letter.isalpha() for letter in word)]
            if len(words) > 2 or (node in named and words):
                yield node.lineno, " ".join(text.split())


def main(packages: list[str]) -> None:
    """Print every text with its file and line."""
    for package in packages or ["hnm_core", "fiftyone_plugin"]:
        for path in sorted((ROOT / package).rglob("*.py")):
            for line, text in sorted(set(texts(path.read_text(encoding="utf-8")))):
                print(f"{path.relative_to(ROOT)}:{line}: {text}")


if __name__ == "__main__":
    main(sys.argv[1:])
