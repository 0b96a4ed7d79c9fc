"""``hnm report`` and ``hnm compare``: what earlier minings found, and what changed from one to the next."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..io.found import FoundMining
from ..io.mining_folder import load_mining, open_mining
from ..reporting.html import as_html, as_markdown, change_tables
from ..result import MiningResult
from ..rounds import CorrectionGains, RoundChanges, compare_rounds, find_corrections
from ..rounds.labels import changed_images
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
    result, source = open_mining(args.folder)
    changed = None
    if args.before:
        changed = _changed((args.before, args.folder), (open_mining(args.before)[0], result))
    tables = change_tables(*changed[:2]) if changed else ()
    notes = [changed[2]] if changed and changed[2] else []
    format = "json" if args.json else args.format
    if format == "html":
        images = Path(source["images"]) if source.get("images") else None
        close_ups, no_pictures = close_ups_of(result, Path(source["data"]), source["split"], images)
        title, found = f"{source['data']} {source['split']}", args.folder / "samples" / "index.html"
        samples = found.resolve().as_uri() if found.is_file() else ""
        print(as_html(result, title=title, changes=tables, close_ups=close_ups, samples=samples), end="")
        notes += no_pictures
    elif format == "markdown":
        print(as_markdown(result.report, tables), end="")
    elif format == "json":
        changes = {"changes": _as_dict(*changed)} if changed else {}
        print(json.dumps({**result.report.as_dict(), **changes}))
    else:
        print(result.report)
        if changed:
            print(f"\n{_as_text(*changed)}")
    if format in ("html", "markdown"):
        print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
    return DONE


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path, metavar="EARLIER", help="Folder of the earlier mining")
    parser.add_argument("after", type=Path, metavar="LATER", help="Folder of the later mining")


def _compare(args: argparse.Namespace) -> int:
    folders = args.before, args.after
    changed = _changed(folders, [open_mining(folder)[0] for folder in folders])
    print(json.dumps(_as_dict(*changed)) if args.json else _as_text(*changed))
    return DONE


Changed = tuple[RoundChanges, CorrectionGains | None, str]


def _changed(folders: Sequence[Path], rounds: Sequence[MiningResult | FoundMining]) -> Changed:
    """Return what changed between two minings; if labels differ, also what that bought, or a sentence on why not.

    Args:
        folders: of the earlier and the later mining.
        rounds: what was read from them.
    """
    changes, differ = compare_rounds(*rounds), changed_images(*rounds)
    if not differ:
        return changes, None, ""
    try:
        whole = [
            each if isinstance(each, MiningResult) else load_mining(folder)[0]
            for each, folder in zip(rounds, folders, strict=True)
        ]
        return changes, find_corrections(*whole), ""
    except ValueError as reason:
        what = "The labels of one image differ" if differ == 1 else f"The labels of {differ:,} images differ"
        return changes, None, f"{what}, too; what that changed is not known: {reason}"


def _as_dict(changes: RoundChanges, gains: CorrectionGains | None, note: str) -> dict[str, Any]:
    notes = {"notes": [note]} if note else {}
    return {**changes.as_dict(), "corrections": gains.as_dict() if gains else None, **notes}


def _as_text(changes: RoundChanges, gains: CorrectionGains | None, note: str) -> str:
    return "\n\n".join(map(str, filter(None, (changes, gains, note))))


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
