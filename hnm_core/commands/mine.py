"""``hnm mine``: predictions and ground truth from files, the worst mistakes, weights and a report into a folder."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..columns import Detections
from ..io.classes import in_classes, select_classes
from ..io.mining_folder import SHARDS as FOLDER
from ..io.mining_folder import new_mining, open_mining, save_mining
from ..io.progress import Progress
from ..io.truth_files import SHARDS, YOLO, TruthFiles, kind_of
from ..labels.inheritance import inherit_reviews
from ..labels.reviews import UNREVIEWED
from ..pipeline import mine
from ..report import MiningReport
from ..reporting.html import report_pages
from ..result import MiningResult
from ..samples.folder import SampleFolder, save_samples
from ..settings import MiningSettings
from ..settings.mining import APPEARANCE, CLASSES, REVIEWS, SAVE_SAMPLES, VIEWS
from ..settings.walking import KEEP_BOXES
from ..strategies import strategy_names
from ..strategies.learnability import check_second
from ..strategies.registry import is_own
from . import DONE, Command
from .close_ups import close_ups_of
from .cluster import mine_on_ray, path_or_address, refuse_addresses
from .engine import add_engine_flags
from .evidence import with_evidence_of
from .flags import add_flag, add_flags, group_of, values_of
from .inputs import Inputs, add_input_flags, read_inputs, second_of
from .progress import add_progress_flag, progress_of
from .sharded import are_many, into_shards, mine_opened, mine_shard_folder, open_input, reviews_of, say_lost, title_of

WHOLE = {
    **{"save_samples": "--save-samples needs", "appearance": "--appearance needs", "views": "--views needs"},
    **{"second_predictions": "--second-predictions needs", "twins": "twins need"},
    **{"strategy": "a strategy of your own may need"},
}
"""What looks at all boxes at once, in words."""

WHOLE_FLAGS = "save_samples", "appearance", "views", "second_predictions"
"""The flags among them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files, and a flag for every setting of the engine."""
    files = add_input_flags(parser, path_or_address)
    files.add_argument(
        "--second-predictions",
        type=Path,
        metavar="PATH",
        help="Predictions of another model, with classes numbered and named as in --predictions: false positives that "
        "it makes too are suspected more of being missing labels; strategy learnability_based mines what it gets right",
    )
    files.add_argument(
        "--output",
        type=path_or_address,
        required=True,
        metavar="DIR",
        help="New folder for report, weights and hard negatives",
    )
    add_setting_flags(parser, strategy_names())
    add_flag(parser, CLASSES)
    add_flag(parser, REVIEWS, ". The App writes it with an export")
    add_flag(parser, APPEARANCE)
    add_flag(parser, VIEWS)
    add_flag(parser, SAVE_SAMPLES, ", in OUTPUT/samples; an interrupted run is continued")
    add_flag(parser, KEEP_BOXES)
    add_engine_flags(parser)
    add_progress_flag(group_of(parser, "output"))


def add_setting_flags(parser: argparse.ArgumentParser, strategies: Sequence[str]) -> None:
    """Declare a flag for every setting that :func:`settings_of` reads; ``strategies`` are named in the help."""
    names = f"; names are {', '.join(strategies)}"
    add_flags(parser, MiningSettings, notes={"strategy": names})


def settings_of(args: argparse.Namespace) -> MiningSettings:
    """Return the engine's settings as the flags have them."""
    return MiningSettings(**values_of(MiningSettings, args))


def run(args: argparse.Namespace) -> int:
    """Mine, write, print."""
    settings = settings_of(args)
    check_second(settings.strategy, args.second_predictions is not None)
    if args.engine == "ray":
        return mine_on_ray(args, settings)
    refuse_addresses(args)
    progress = progress_of(args)
    whole = next((flag for flag in WHOLE_FLAGS if getattr(args, flag)), None)
    if kind_of(args.data) == SHARDS:
        if args.second_predictions is not None:
            raise ValueError(
                f"--second-predictions is not for shards, which keep no ids of images to find its boxes by: give as "
                f"--data and --predictions the files that {args.data} was converted from"
            )
        shards = open_input(args)
        whole = whole or ("twins" if shards.has_twins else None)
        if whole is None:
            return said(args, *mine_shard_folder(args, shards, settings, progress))
    given = read_inputs(args, progress)
    second = second_of(args, given, progress)
    predictions, truth = in_classes(given.predictions, given.truth, None, args.classes or None, settings.neutral)
    as_given = predictions is given.predictions and truth is given.truth
    if not as_given:
        if given.evidence or given.twins is not None:
            warnings.warn(f"{args.data}: its evidence is left out, because --classes leaves out boxes", stacklevel=2)
        given = replace(given, predictions=predictions, truth=truth, evidence={}, twins=None, shards=None)
    if second is not None:
        second = select_classes(second, predictions.classes)
    del predictions, truth
    whole = whole or ("strategy" if is_own(settings.strategy) else None)
    if are_many(given) and whole is None:
        with new_mining(args.output) as aside:
            shards = into_shards(given, aside / FOLDER, progress)
            del given
            done = mine_opened(args, shards, settings, aside, progress)
        return said(args, *done)
    notes = [f"{WHOLE[whole]} all boxes in memory: they are not mined shard by shard"] if whole else []
    return said(args, *_mine_in_memory(args, given, second, settings, progress, notes if are_many(given) else []))


def _mine_in_memory(
    args: argparse.Namespace,
    given: Inputs,
    second: Detections | None,
    settings: MiningSettings,
    progress: Progress,
    notes: list[str],
) -> tuple[Path, MiningReport, list[str]]:
    """Mine all boxes at once and write; return the folder, the report, and sentences on what was done."""
    files, source = given.files, given.source
    if second is not None:
        source = {**source, "second_predictions": str(args.second_predictions.absolute())}
    reviews = None if args.reviews is None else reviews_of(Path(args.reviews), given.truth.images, files.sizes)
    known: dict[str, Any] = {"groups": given.groups, "evidence": given.evidence, "twins": given.twins}
    result = mine(given.predictions, given.truth, settings, **known, reviews=reviews, second_predictions=second)
    if reviews is not None:
        states = inherit_reviews(reviews, result.predictions, result.truth)
        reached = sum(int((state != UNREVIEWED).sum()) for state in states)
        say_lost(Path(args.reviews), reviews, result.truth.images, reached)
    pages: dict[str, str] = {}
    notes = [*notes, *files.notes]
    evidence = args.appearance or args.views or second is not None
    if evidence:
        result, pages, unread = with_evidence_of(args, files, result, progress)
        notes += unread
    locate = _locator(args, files, result) if args.save_samples else None
    if args.save_samples and _holds(args.output, result, source):
        folder = args.output.resolve()
    else:
        close_ups, no_pictures = close_ups_of(result, args.data, args.split, args.images, files)
        samples = "samples/index.html" if args.save_samples and result.hard_counts.any() else ""
        report, left_out = report_pages(result, title_of(args), close_ups, samples)
        notes += [*no_pictures, *left_out]
        shards = None if evidence else given.shards
        folder = save_mining(args.output, result, source, {**report, **pages}, shards, keep_boxes=args.keep_boxes)
    if locate is not None:
        save_samples(result, SampleFolder(folder / "samples"), locate, progress, sizes=files.sizes)
    return folder, result.report, notes


def said(args: argparse.Namespace, folder: Path, report: MiningReport, notes: list[str]) -> int:
    """Print what was found and where it is."""
    if args.json:
        print(json.dumps({"output": str(folder), **report.as_dict()}))
        return DONE
    print(report)
    print(f"\n{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(*notes, sep="\n", end="\n" if notes else "")
    return DONE


def _locator(args: argparse.Namespace, files: TruthFiles, result: MiningResult) -> Callable[[str], str | Path | None]:
    """Return what finds the file of an image by its key; the files needed exist, or lead out of the data."""
    locate = files.locate()
    hard = [locate(name) for name, count in zip(result.truth.images, result.hard_counts, strict=True) if count]
    gone = [path for path in hard if path is not None and not path.is_file()]
    if gone:
        where = "" if kind_of(args.data) == YOLO else "; where do the file names start? --images DIR"
        raise FileNotFoundError(f"{len(gone)} of {len(hard)} hard images are not there, first {gone[0]}{where}")
    return locate


def _holds(folder: Path, result: MiningResult, source: Mapping[str, str]) -> bool:
    """Return whether a folder holds this very mining already, so that saving its samples can go on."""
    try:
        before, of = open_mining(folder)
    except (FileNotFoundError, ValueError):
        return False
    return of == source and before.settings == result.settings and before.report == result.report


command = Command(
    help="find the worst mistakes in files of predictions, and weight the images by them",
    run=run,
    add_arguments=add_arguments,
    description="Compare predictions with ground truth, both from files, find the worst mistakes, and weight the "
    "images by them. OUTPUT holds the report, weights.csv and hard_negatives.csv.",
    example="hnm mine --data data.yaml --predictions runs/detect/predict/labels \\\n    --confidence-threshold 0.4 "
    "--output rounds/1",
)
