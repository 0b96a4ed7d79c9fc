"""``hnm report`` and ``hnm compare``: what earlier minings found, and what changed from one to the next."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..io.mining_folder import load_mining
from ..reporting.html import as_html, as_markdown, change_tables
from ..result import MiningResult
from ..rounds import compare_rounds, find_corrections
from . import DONE, Command
from .close_ups import close_ups_of
from .flags import group_of

FORMATS = ("text", "markdown", "html", "json")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="Folder that `hnm mine` wrote")
    output = group_of(parser, "output")
    output.add_argument("--before", type=Path, metavar="RUN", help="Earlier mining: also print what changed since then")
    output.add_argument("--format", choices=FORMATS, default="text", help="Format of the report on stdout")


def _report(args: argparse.Namespace) -> int:
    result, source = load_mining(args.folder)
    before = load_mining(args.before)[0] if args.before else None
    format = "json" if args.json else args.format
    if format == "html":
        images = Path(source["images"]) if source.get("images") else None
        close_ups, notes = close_ups_of(result, Path(source["data"]), source["split"], images)
        title, found = f"{source['data']} {source['split']}", args.folder / "samples" / "index.html"
        samples = found.resolve().as_uri() if found.is_file() else ""
        print(as_html(result, title=title, before=before, close_ups=close_ups, samples=samples), end="")
        print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
    elif format == "markdown":
        print(as_markdown(result.report, change_tables(before, result) if before else ()), end="")
    elif format == "json":
        changes = {"changes": _compared(before, result)[0]} if before else {}
        print(json.dumps({**result.report.as_dict(), **changes}))
    else:
        print(result.report)
        if before:
            print(f"\n{_compared(before, result)[1]}")
    return DONE


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path, metavar="EARLIER", help="Folder of the earlier mining")
    parser.add_argument("after", type=Path, metavar="LATER", help="Folder of the later mining")


def _compare(args: argparse.Namespace) -> int:
    before, after = (load_mining(folder)[0] for folder in (args.before, args.after))
    found, text = _compared(before, after)
    print(json.dumps(found) if args.json else text)
    return DONE


def _compared(before: MiningResult, after: MiningResult) -> tuple[dict[str, Any], str]:
    """Return what changed between two minings, as a dict and as text; if labels differ, also what that bought."""
    changes, gains = compare_rounds(before, after), find_corrections(before, after)
    text = f"{changes}\n\n{gains}" if gains else str(changes)
    return {**changes.as_dict(), "corrections": gains.as_dict() if gains else None}, text


report = Command(
    help="print what a mining found, as text, Markdown, HTML or JSON",
    run=_report,
    add_arguments=_report_arguments,
    example="hnm report rounds/2 --before rounds/1 --format html > report.html",
)
compare = Command(
    help="count the mistakes that are persistent, new or fixed between two minings, by labels and by model",
    run=_compare,
    add_arguments=_compare_arguments,
    example="hnm compare rounds/1 rounds/2",
)
