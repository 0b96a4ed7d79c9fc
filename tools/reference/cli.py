"""The page of the command line, from the parsers themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from unittest import mock

from hnm_core.cli import build_parser

from .markdown import code, plain, table

HEAD = """# Command line

Every command also understands `--help`; `hnm --version` prints the version. Flags may be written with
`_` instead of `-`. Exit codes: 0 done; 1 done, but a check failed; 2 wrong arguments or input. This
page is generated from the code.
"""


def page() -> str:
    """Write the page."""
    with mock.patch.dict(os.environ, {"HNM_DEMO_HEADLESS": ""}):  # a default that comes from the environment
        parser = build_parser()
    parts = [HEAD, table(("flag of `hnm`", "meaning"), [[names(a), plain(a.help or "")] for a in shown(parser)])]
    for name, command in commands(parser).items():
        parts.append(f"## hnm {name}\n\n{sentence(command.description)}\n\n```console\n{usage(name, command)}\n```\n")
        for title, rows in groups(command).items():
            parts += [f"### hnm {name}: {title}\n"] if title else []
            parts.append(table(("argument", "default", "meaning"), rows))
        if command.epilog:
            parts.append(f"```console\n{command.epilog.strip()}\n```\n")
    return "\n".join(parts)


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return every sub-command by name; those of a sub-command as ``verifier fit``."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                inner = commands(child)
                found |= {name: child, **{f"{name} {below}": command for below, command in inner.items()}}
    return found


def sentence(text: str | None) -> str:
    """Return a description as a sentence, whether it was written as one or not."""
    text = plain(text or "")
    return text[:1].upper() + text[1:]


def groups(command: argparse.ArgumentParser) -> dict[str, list[list[str]]]:
    """Return the arguments of a command by the title of their group, "" for those that argparse groups itself."""
    found: dict[str, list[list[str]]] = {}
    for group in command._action_groups:
        title = "" if group in (command._positionals, command._optionals) else str(group.title)
        found.setdefault(title, []).extend(row(action) for action in group._group_actions if wanted(action))
    return {title: rows for title, rows in found.items() if rows}


def shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return the arguments that a user may give, in order."""
    return (action for action in parser._actions if wanted(action))


def wanted(action: argparse.Action) -> bool:
    """Return whether an argument belongs on the page: ``--help`` is named once, sub-commands have sections."""
    left_out = (argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction)
    return not isinstance(action, left_out) and action.help is not argparse.SUPPRESS


def row(action: argparse.Action) -> list[str]:
    """Describe an argument: its names, its default, its meaning."""
    return [names(action), default(action), plain((action.help or "").replace("%%", "%"))]


def names(action: argparse.Action) -> str:
    """Return all spellings of an argument, with the values that it takes."""
    value = values(action)
    if not action.option_strings:
        return code(value)
    return ", ".join(code(f"{flag} {value}".strip()) for flag in action.option_strings)


def values(action: argparse.Action) -> str:
    """Return what follows a flag: choices, or a word for the value."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return ""
    word = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper().replace("-", "_")
    )
    word = " ".join(word) if isinstance(word, tuple) else word
    return f"{word} ..." if action.nargs in ("+", "*") else word


def default(action: argparse.Action) -> str:
    """Return the default of an argument; "required" if it must be given."""
    if action.required:
        return "required"
    value = action.default
    if value in (None, argparse.SUPPRESS, {}, []) or value is False:
        return ""
    if isinstance(action, argparse.BooleanOptionalAction):
        return code(action.option_strings[0])
    return code(" ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def usage(name: str, command: argparse.ArgumentParser) -> str:
    """Return the shortest call: what must be given."""
    needed = [action for action in shown(command) if action.required]
    words = [f"{action.option_strings[0]} {values(action)}".strip() for action in needed if action.option_strings]
    words += [values(action) for action in needed if not action.option_strings]
    return " ".join(["hnm", name, *words, "[options]"])
