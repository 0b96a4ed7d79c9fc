"""The command ``hnm``: finds the sub-commands, parses, runs one (see :mod:`hnm_core.commands`)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from hnm_core import __version__
from hnm_core.commands import CALLED_WRONG, Command

INTERRUPTED = 130
"""What shells report for a program ended by Ctrl-C."""

PIPE_CLOSED = 141
"""What shells report for a program whose reader has gone, such as ``head``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``hnm`` with the given arguments (default: those of the process) and return its exit code."""
    args = build_parser().parse_args(_with_hyphens(sys.argv[1:] if argv is None else argv))
    command: Command = args.command
    if "" not in sys.path:
        sys.path.append("")  # for a strategy of your own: an installed program sees its own folder alone
    try:
        code = command.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `hnm report RUN | head`: the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, OSError, ImportError) as error:
        if args.traceback:
            raise
        advice = " (`hnm doctor` says what to install)" if isinstance(error, ImportError) else ""
        print(f"hnm {args.subcommand}: {error}{advice}", file=sys.stderr)
        return CALLED_WRONG
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``hnm`` with one sub-parser for each installed command."""
    parser = argparse.ArgumentParser(
        prog="hnm", description="Find a detector's worst mistakes, see them in FiftyOne, and train on them."
    )
    parser.add_argument("--version", action="version", version=f"hnm {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error arose")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand", required=True)
    for point in sorted(entry_points(group="hnm.commands"), key=lambda point: point.name):
        command = _load(point)
        child = commands.add_parser(
            point.name,
            help=command.help,
            description=command.description or f"{command.help}.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        child.add_argument("--json", action="store_true", help="print the result as JSON")
        child.set_defaults(command=command)
        command.add_arguments(child)
    return parser


def _load(point: EntryPoint) -> Command:
    """The command of an entry point; one that cannot be loaded says why when it is called, and stops no other."""
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
    """``--iou_threshold=.5`` as ``--iou-threshold=.5``: the names of options only, never their values."""
    written = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        written.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return written


if __name__ == "__main__":
    sys.exit(main())
