"""``hnm export``: the data of a mining, hard images more often, in the layout of whoever trains on them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..export import ExportSettings
from ..export.mining_folder import export_run
from . import DONE, Command
from .flags import IMAGES_OF_RUN, add_flags, group_of, values_of
from .progress import add_progress_flag, progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the mining, its data, and a flag for every setting."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="Folder that `hnm mine` wrote")
    files = group_of(parser, "files")
    files.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="Data set: data.yaml (YOLO) or annotation json (COCO); default: the one that RUN mined",
    )
    files.add_argument("--images", type=Path, metavar="DIR", help=IMAGES_OF_RUN)
    files.add_argument("--output", type=Path, required=True, metavar="DIR", help="New folder for the export")
    files.add_argument(
        "--add-background",
        type=Path,
        nargs=2,
        metavar=("IMAGES", "PREDICTIONS"),
        help="Folder of images without labels, and the model's predictions on them (classes numbered as in the data) "
        "or the model itself (.pt, which may run code when it is loaded; needs Ultralytics): those on which it fires "
        "are added with empty labels, within background_share. Look at them first: an object in them that nobody "
        "labelled would be unlearned",
    )
    add_flags(parser, ExportSettings)
    add_progress_flag(group_of(parser, "output"))


def run(args: argparse.Namespace) -> int:
    """Export, verify, print."""
    progress, pool = progress_of(args), args.add_background
    if pool is not None and pool[1].suffix == ".pt":
        from ..training.pool import predict_folder  # only who asks waits for torch

        pool = (pool[0], predict_folder(pool[1], pool[0], progress))
    done = export_run(
        args.folder,
        args.output,
        data=args.data,
        images=args.images,
        add_background=pool,
        settings=ExportSettings(**values_of(ExportSettings, args)),
        progress=progress,
    )
    print(json.dumps(done.as_dict()) if args.json else done)
    return DONE


command = Command(
    help="write the data of a mining for a trainer, with hard images more often",
    run=run,
    add_arguments=add_arguments,
    description="Write the data of a mining for a trainer, with hard images more often. The export is read back as the "
    "trainer reads it; if this fails, the export is removed and the command says why.",
    example="hnm export rounds/1 --output weighted --layout yolov5",
)
