"""What a sub-command of ``hnm`` is.

The command line finds its sub-commands by name among the installed entry points of the group ``hnm.commands``, so a
package adds one in its ``pyproject.toml``, and the engine never imports the plugin::

    [project.entry-points."hnm.commands"]
    mine = "hnm_core.somewhere:command"

where ``command`` is a :class:`Command`. The module is imported even for ``hnm --help``: it must be quick, so what is
large (FiftyOne, torch) is imported inside ``run``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

DONE, FOUND_WRONG, CALLED_WRONG = 0, 1, 2
"""Exit codes. ``FOUND_WRONG``: the command did its work, but a check failed."""


@dataclass(frozen=True)
class Command:
    """One sub-command; its name is that of its entry point.

    Every command gets ``--json`` besides its own options (``args.json``), defaults are shown in its help, and users may
    write ``_`` for ``-`` in the name of any option.

    Attributes:
        help: one line for ``hnm --help``, a verb first, without a full stop.
        run: does the work with the parsed arguments and returns ``DONE``, ``FOUND_WRONG`` or ``CALLED_WRONG``. A
            ``ValueError`` or ``OSError`` it raises is shown as one line, and the exit code is ``CALLED_WRONG``.
        add_arguments: declares its options; units belong into their help texts.
        description: more than ``help`` says, for ``hnm NAME --help``.
        example: one call, as typed in a shell, shown below the help; a backslash ends a line that goes on.
    """

    help: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    description: str = ""
    example: str = ""
