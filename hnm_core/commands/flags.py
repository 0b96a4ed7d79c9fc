"""Flags made from the options that a settings class declares, and how help texts are laid out."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

from ..settings import Option, Options, options

__all__ = ["IMAGES", "IMAGES_OF_RUN", "HelpFormatter", "add_flag", "add_flags", "group_of", "values_of"]

IMAGES = "Not for YOLO: image root folder; default: the folder of the labels"
IMAGES_OF_RUN = "Not for YOLO: image root folder; default: that of RUN, else the folder of the labels"
"""Help of ``--images``, of what is read and of what was mined."""

GROUPS = (
    *(
        "files",
        "images",
        "tracks",
        "what is kept",
        "training",
        "rounds of mining",
        "matching",
        "what is mined",
        "label errors",
        "image weights",
        "shards",
    ),
    "output",
)
"""Headings of help texts, in order."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows defaults that say something, wraps paragraphs, and leaves indented lines, such as examples, alone."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shown = isinstance(action.default, (str, int, float, PurePath)) and not isinstance(action.default, bool)
        says_so = not action.option_strings or action.required or action.default in ("", argparse.SUPPRESS)
        return text if says_so or not shown or "default" in text else f"{text} (default: %(default)s)"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (line if line.startswith(" ") else textwrap.fill(line, width) for line in text.splitlines())
        return "\n".join(f"{indent}{line}" for line in lines)


def add_flags(
    parser: argparse.ArgumentParser,
    settings: type[Options],
    *,
    skip: Collection[str] = (),
    notes: Mapping[str, str] | None = None,
) -> None:
    """Declare a flag for every option of a settings class, under the headings of their groups.

    Args:
        parser: of the command.
        settings: whose options.
        skip: names of options that are no flags of this command.
        notes: what to add to the help of an option, by its name.
    """
    for each in options(settings):
        if each.offered and each.name not in skip:
            add_flag(parser, each, (notes or {}).get(each.name, ""))


def add_flag(parser: argparse.ArgumentParser, option: Option, note: str = "") -> None:
    """Declare the flag of one option; a switch that is off gets a ``--no-`` form too, which help does not show."""
    group = group_of(parser, option.group)
    names = [f"--{name.replace('_', '-')}" for name in (option.name, *option.also)]
    text = _text_of(option, note)
    common: dict[str, Any] = {"dest": option.name, "help": text}
    if option.kind == "switch" and option.default:
        group.add_argument(*names, action=argparse.BooleanOptionalAction, default=True, dest=option.name).help = text
    elif option.kind == "switch":
        group.add_argument(*names, action="store_true", **common)
        off = [name.replace("--", "--no-", 1) for name in names]
        group.add_argument(*off, action="store_false", dest=option.name, default=False, help=argparse.SUPPRESS)
    elif option.kind == "choice":
        group.add_argument(*names, choices=list(option.choices), default=option.default, **common)
    elif option.kind == "several":
        default = None if option.default is None else list(option.default)
        many = "*" if option.empty else "+"
        group.add_argument(*names, nargs=many, choices=list(option.choices), default=default, **common)
    elif option.kind == "names":
        group.add_argument(*names, nargs="+", metavar="CLASS", default=option.default, **common)
    elif option.kind in ("class_numbers", "class_names", "class_lists"):
        of = {"class_numbers": _class_values, "class_names": _class_names, "class_lists": _class_lists}[option.kind]
        metavar = f"CLASS={'VALUE' if option.kind == 'class_numbers' else 'CLASS'},..."
        group.add_argument(*names, type=of, metavar=metavar, default={}, **common)
    else:
        kind, metavar = {"whole": (int, "N"), "number": (float, "X"), "path": (str, "FILE")}.get(
            option.kind, (str, option.name.upper())
        )
        group.add_argument(*names, type=kind, metavar=metavar, default=option.default, **common)


def group_of(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Return the group of this title, a new one if there is none yet."""
    known = {group.title: group for group in parser._action_groups}
    usual = GROUPS if title in GROUPS else ()  # all at once, in their order: those that stay empty are not shown
    known |= {each: parser.add_argument_group(each) for each in dict.fromkeys((*usual, title)) if each not in known}
    return known[title]


def values_of(settings: type[Options], args: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags say, by the names of the options that have a flag."""
    return {each.name: getattr(args, each.name) for each in options(settings) if hasattr(args, each.name)}


def _text_of(option: Option, note: str) -> str:
    """Return the help with choices, unit, range and default."""
    text = option.help + note
    meanings = [f"{name}: {meaning}" for name, meaning in option.choices.items() if meaning]
    text += f". {'; '.join(meanings)}" if meanings else ""
    limits = f"each {option.limits}" if option.kind == "class_numbers" else option.limits
    default = {True: "on", False: ""}.get(option.default) if option.kind == "switch" else option.default
    if isinstance(default, tuple):
        default = " ".join(default)
    facts = [option.unit, limits, "" if default in (None, "", {}) else f"default: {default}"]
    facts = [fact for fact in facts if fact]
    return (f"{text} ({', '.join(facts)})" if facts else text).replace("%", "%%")


def _class_names(text: str) -> dict[str, str]:
    """Read ``person=pedestrian,van=car`` as a mapping."""
    return dict(_class_pairs(text))


def _class_lists(text: str) -> dict[str, tuple[str, ...]]:
    """Read ``Car=Van,Car=Truck`` as a mapping to several classes."""
    lists: dict[str, tuple[str, ...]] = {}
    for name, other in _class_pairs(text):
        lists[name] = (*lists.get(name, ()), other)
    return lists


def _class_pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in filter(None, text.split(","))]
    wrong = next(("".join(pair) for pair in pairs if not all(pair)), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"expected CLASS=CLASS,... such as van=car, got {wrong!r}")
    return [(name.strip(), other.strip()) for name, _, other in pairs]


def _class_values(text: str) -> dict[str, float]:
    """Read ``car=0.7,traffic light=0.4`` as a mapping; the last ``=`` separates, so that names may hold one."""
    values = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.rpartition("=")
        try:
            values[name.strip()] = float(value) if separator else float("nan")
        except ValueError:
            separator = ""
        if not separator:
            raise argparse.ArgumentTypeError(f"expected CLASS=VALUE,... such as car=0.7, got {part!r}")
    return values
