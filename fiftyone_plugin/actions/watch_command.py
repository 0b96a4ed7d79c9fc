"""``hnm watch``: a model watches videos, cameras or pictures without ground truth; what to review comes out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnm_core.commands import DONE, FOUND_WRONG, Command
from hnm_core.commands.flags import add_flags, group_of, values_of
from hnm_core.commands.progress import add_progress_flag, progress_of
from hnm_core.live.sources import LIVE, find_clips
from hnm_core.report.lines import how_many
from hnm_core.settings import WatchSettings

from ..store.connection import database_said

if TYPE_CHECKING:
    from hnm_core.live.watched import Watched


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source, the model, where to write, and a flag for every setting."""
    files = group_of(parser, "files")
    files.add_argument(
        "--source",
        required=True,
        help="Video, picture, folder of videos or of pictures, number of a camera, or address of a stream",
    )
    files.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="FILE",
        help="The detector, a checkpoint of Ultralytics (.pt, which may run code when it is loaded)",
    )
    files.add_argument(
        "--verifier",
        type=Path,
        metavar="FILE",
        help="What `hnm verifier fit` wrote: ranks by how likely a detection is an error; default: lowest confidence",
    )
    files.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="Folder for frames, predictions and proposals, a new one or one to continue; default with --dataset: "
        "FiftyOne's folder of that name",
    )
    files.add_argument("--dataset", metavar="NAME", help="FiftyOne dataset to make of it, or to continue")
    add_flags(parser, WatchSettings)
    add_progress_flag(group_of(parser, "output"))


@database_said()
def run(args: argparse.Namespace) -> int:
    """Watch, write, print."""
    from hnm_core.live import Verifier
    from hnm_core.live.watch import watch
    from hnm_core.training.detecting import load_detector
    from hnm_core.training.view_cache import digest_of

    if args.output is None and args.dataset is None:
        raise ValueError("say where to write: --output DIR, or --dataset NAME for FiftyOne, or both")
    settings = WatchSettings(**values_of(WatchSettings, args))
    clips = find_clips(args.source, settings.pictures)
    if not args.model.is_file():
        raise FileNotFoundError(f"there is no {args.model}: --model is the file of a detector, such as best.pt")
    output = args.output
    if args.dataset is not None:
        from . import watch_dataset
        from .watched import folder_of

        output = folder_of(args.dataset) if output is None else output
        watch_dataset.check(args.dataset, output, settings)
    verifier = None if args.verifier is None else Verifier.load(args.verifier)
    model = load_detector(args.model)
    found = watch(
        args.source,
        model,
        output,
        settings=settings,
        verifier=verifier,
        model_digest=digest_of(args.model),
        progress=progress_of(args),
    )
    record: dict[str, Any] = found.as_dict()
    if args.dataset is not None:
        record["dataset"] = args.dataset
        with database_said(f". What was watched is in {found.folder}: the same command adds it"):
            record["added"] = watch_dataset.load(found, args.dataset, settings, model, args.model)
    _say(args, found, record)
    if found.stopped and clips[-1].kind != LIVE:
        raise KeyboardInterrupt
    return FOUND_WRONG if found.cut_off else DONE


def _say(args: argparse.Namespace, found: Watched, record: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(record), flush=True)
        return
    print(f"{found}\n\n{found.folder}: {', '.join(sorted(path.name for path in found.folder.iterdir()))}")
    if args.dataset is not None:
        views = ", ".join(f"watch_{name}" for name in found.lists)
        print(
            f"FiftyOne dataset {args.dataset!r}: {how_many(record['added'], 'frame')} added; run watch, saved views "
            f"{views}. Review: fiftyone app launch {args.dataset}, then the panel Hard negatives"
        )
    if found.stopped:
        print("stopped; the same command goes on where it was", flush=True)


command = Command(
    help="find in videos, cameras and pictures without labels what a detector may have got wrong",
    run=run,
    add_arguments=add_arguments,
    description="A detector watches where there is no ground truth. Its boxes are tracked; what may be wrong is listed "
    "as confident, uncertain or missed (a short gap in a track), and the frames are kept without loss. The lists are "
    "proposals for review, no verdicts. Ctrl-C stops; the same command goes on where it was.",
    example="hnm watch --source street.mp4 --model best.pt --verifier verifier.npz --output watched",
)
