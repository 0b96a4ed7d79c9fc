"""The command ``hnm``: find the sub-commands, parse the arguments, run one (see :mod:`hnm_core.commands`)."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import warnings
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from hnm_core import __version__
from hnm_core.commands import CALLED_WRONG, Command
from hnm_core.commands.flags import HelpFormatter, group_of

EXAMPLE = """hnm mine --data data.yaml --predictions runs/detect/predict/labels --output rounds/1
hnm report rounds/1
hnm export rounds/1 --output weighted"""

INTERRUPTED = 130
"""Exit code that shells report for a program ended by Ctrl-C."""

PIPE_CLOSED = 141
"""Exit code that shells report for a program whose output is no longer read, such as by ``head``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``hnm`` with the given arguments (default: those of the process) and return its exit code."""
    given = _at_home(_with_hyphens(sys.argv[1:] if argv is None else argv))
    args = build_parser(next((word for word in given if not word.startswith("-")), "")).parse_args(given)
    command: Command = args.command
    if "" not in sys.path:
        sys.path.append("")  # so that a strategy module in the working directory can be imported
    shown, warnings.formatwarning = warnings.formatwarning, _sentence
    try:
        code = command.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `hnm report RUN | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, OSError, ImportError) as error:
        if args.traceback:
            raise
        advice = " (`hnm doctor` tells what to install)" if isinstance(error, ImportError) else ""
        print(f"hnm {args.subcommand}: {_said(error)}{advice}", file=sys.stderr)
        return CALLED_WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        warnings.formatwarning = shown


def _said(error: Exception) -> str:
    """Return what an error says; one of the operating system names its file first, and no number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _sentence(message: Warning | str, *place: object, **line: object) -> str:
    """Return a warning as one sentence, without the place in the program that said it."""
    return f"hnm: warning: {message}\n"


def build_parser(only: str = "") -> argparse.ArgumentParser:
    """Return the parser of ``hnm`` with one sub-parser for each installed command.

    Args:
        only: a command, whose sub-parser is enough: the modules of the others are not loaded; if there is none of this
            name, all are.
    """
    parser = argparse.ArgumentParser(
        prog="hnm",
        description="Find a detector's worst mistakes, review them in FiftyOne, and train on them.",
        epilog=f"{_example(EXAMPLE)}\n\nExit codes: 0 done; 1 done, but a check failed; 2 wrong arguments "
        "or input. `hnm COMMAND --help` explains a command. Flags may be written with _ instead of -.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hnm {__version__}")
    parser.add_argument("--traceback", action="store_true", help="Print the full traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand", required=True)
    points = sorted(entry_points(group="hnm.commands"), key=lambda point: point.name)
    for point in [point for point in points if point.name == only] or points:
        command = _load_command(point)
        child = commands.add_parser(
            point.name,
            help=command.help,
            description=command.description or f"{command.help[:1].upper()}{command.help[1:]}.",
            epilog=_example(command.example),
            formatter_class=HelpFormatter,
        )
        child.set_defaults(command=command)
        command.add_arguments(child)
        group_of(child, "output").add_argument(
            "--json", action="store_true", help="Print the result as JSON, for other programs"
        )
    return parser


def _example(text: str) -> str | None:
    """Return the epilog of a help text; None if there is no example."""
    return f"example:\n{textwrap.indent(text, '  ')}" if text else None


def _load_command(point: EntryPoint) -> Command:
    """Return the command of an entry point; if it cannot be imported, one that reports the reason when it is run."""
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        reason = f"it could not be loaded from {point.value}: {error}"

        def refuse(args: argparse.Namespace) -> int:
            raise ImportError(reason)

        return Command(help=f"(not available: {error})".replace("%", "%%"), run=refuse)
    if not isinstance(loaded, Command):
        raise TypeError(f"{point.value}, the command {point.name}, is a {type(loaded).__name__}, expected a Command")
    return loaded


def _with_hyphens(argv: Sequence[str]) -> list[str]:
    """Replace underscores in the names of options, ``--iou_threshold=.5`` by ``--iou-threshold=.5``; values stay."""
    out = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        out.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return out


def _at_home(argv: Sequence[str]) -> list[str]:
    """Replace the ``~`` of paths, ``--output=~/run``, where shells leave it; a folder of that name is ``./~``."""
    out = []
    for argument in argv:
        flag, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        out.append(flag + equals + (os.path.expanduser(value) if value.startswith("~/") else value))
    return out


if __name__ == "__main__":
    sys.exit(main())
