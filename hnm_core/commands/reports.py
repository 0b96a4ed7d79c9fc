"""``hnm report`` and ``hnm compare``: what earlier minings found, and what changed from one to the next."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..io.saved import load_mining
from ..pages import as_html, as_markdown
from ..rounds import compare_rounds
from . import DONE, Command

FORMATS = ("text", "markdown", "html", "json")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder that `hnm mine` wrote")
    parser.add_argument("--before", type=Path, metavar="RUN", help="an earlier mining; html tells what changed since")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of what is printed")


def _report(args: argparse.Namespace) -> int:
    result, source = load_mining(args.folder)
    before = load_mining(args.before)[0] if args.before else None
    format = "json" if args.json else args.format
    if format == "html":
        print(as_html(result, title=f"{source['data']} {source['split']}", before=before), end="")
    elif format == "markdown":
        print(as_markdown(result.report), end="")
    elif format == "json":
        changes = {"changes": compare_rounds(before, result).as_dict()} if before else {}
        print(json.dumps({**result.report.as_dict(), **changes}))
    else:
        print(result.report)
        if before:
            print(f"\n{compare_rounds(before, result)}")
    return DONE


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path, metavar="ROUND_A", help="folder of the earlier mining")
    parser.add_argument("after", type=Path, metavar="ROUND_B", help="folder of the later mining")


def _compare(args: argparse.Namespace) -> int:
    before, after = (load_mining(folder)[0] for folder in (args.before, args.after))
    changes = compare_rounds(before, after)
    print(json.dumps(changes.as_dict()) if args.json else changes)
    return DONE


report = Command(
    help="print what a mining found, as text, Markdown, HTML or JSON", run=_report, add_arguments=_report_arguments
)
compare = Command(
    help="tell which errors persist, are new or are fixed between two minings",
    run=_compare,
    add_arguments=_compare_arguments,
)
