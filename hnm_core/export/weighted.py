"""Export a weighted dataset in the layout of a trainer, and verify it before it is renamed to its place."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..io.coco_folders import annotation_file
from ..io.data_yaml import SPLITS
from ..io.progress import Progress, part_of, silent, tracked
from ..io.write_aside import check_free, clear_unfinished, new_folder
from ..settings import MiningSettings
from ..verify import verify_for
from ..weighting.weights import effective_sample_size, whole_draws
from .choose import choose_images, has_truth
from .coco import write_json_layout
from .crops import add_crops
from .images import ExportImage, check_entries, name_images, usable_images
from .regions import greys_of, is_region, named_regions, without_regions
from .settings import ExportSettings
from .tables import write_weights
from .yolo import write_yolo_layout

NEW_FOLDER = "export into a new folder"


@dataclass(frozen=True)
class ExportSummary:
    """Summary of an export.

    Attributes:
        output_dir: folder of the export.
        layout: the layout, see :data:`~hnm_core.export.LAYOUTS`.
        data: what to give to the trainer: ``data.yaml``, ``annotations/train.json``, or for RF-DETR the folder.
        images: number of images per split, including crops.
        train_entries: images per epoch, including repeats.
        background_images: train images without any label.
        effective_sample_size: of the repeats, divided by the number of train images.
        warnings: to read before training, as sentences.
        train_with: a command or settings for the trainer, as text to copy.
        verification: result of reading it back, by trainer, see :class:`hnm_core.verify.Verification`.
        sample_ids: exported train images, without crops.
    """

    output_dir: Path
    layout: str
    data: Path
    images: Mapping[str, int]
    train_entries: int
    background_images: int
    effective_sample_size: float
    warnings: tuple[str, ...]
    train_with: str
    verification: Mapping[str, Any]
    sample_ids: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values for JSON, without the sample ids, which may be many."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sample_ids"}
        plain = {"output_dir": str(self.output_dir), "data": str(self.data), "warnings": list(self.warnings)}
        return {**values, **plain, "images": dict(self.images), "verification": dict(self.verification)}

    def __str__(self) -> str:
        """Return a few lines to print."""
        images = ", ".join(f"{count:,} {split}" for split, count in self.images.items())
        lines = [f"{self.output_dir}: {images} images for {self.layout}, {self.train_entries:,} drawn an epoch"]
        for trainer, found in self.verification.items():
            lines.append(
                f"  read back for {trainer} ({found['read_with']}): as promised, background "
                f"{found['background_share']:.1%}, effective sample size {found['effective_sample_size']:.2f}"
            )
        lines += [f"  note: {sentence}" for sentence in self.warnings]
        return "\n".join([*lines, "Train with", *(f"  {line}" for line in self.train_with.splitlines())])


def export_weighted(
    output_dir: str | Path,
    images: Sequence[ExportImage],
    truth: Detections,
    *,
    report: Mapping[str, Any],
    run_key: str,
    settings: ExportSettings | None = None,
    mining: MiningSettings | None = None,
    mistakes: Detections | None = None,
    beside: Callable[[Path], object] | None = None,
    progress: Progress = silent,
) -> ExportSummary:
    """Write images, labels, weights and report, so that the trainer draws hard images more often.

    The export is written beside ``output_dir``, read back as the trainer would, and then renamed. So an interrupted
    export, or one that does not read back as expected, leaves no folder that looks complete. Original images are
    copied, linked or referenced, never moved. Boxes are clipped to their image, because Ultralytics drops images with
    boxes outside. Damaged images, and train images that are in val or test too, are left out with a warning.

    Args:
        output_dir: must not exist, or must be empty.
        images: one entry per image.
        truth: boxes as fractions of the image; its ``images`` are the ``sample_id`` of the entries.
        report: written to ``report.json``.
        run_key: key of the mining, written to the table of weights.
        settings: layout, media and selection.
        mining: settings of the mining; their limits also apply to a subset.
        mistakes: for crops: boxes of the mined mistakes as fractions, with their difficulty as ``score``, over the
            images of ``truth``.
        beside: called with the folder when all else is in it, to add files before the folder gets its name.
        progress: shows the progress.

    Raises:
        FileExistsError: if the folder is not empty.
        FileNotFoundError: if an image does not exist.
        ImportError: if Pillow is missing.
        ValueError: if there is nothing to train on, an entry is not in ``truth``, a value is not valid, or the export
            does not read back as expected.
    """
    settings, mining = settings or ExportSettings(), mining or MiningSettings()
    target = Path(output_dir).expanduser().resolve()
    check_free(target, NEW_FOLDER)
    check_entries(images, truth.images, settings.layout)
    left = clear_unfinished(target.parent)
    sound, sizes, warnings = usable_images(images, settings, part_of(progress, 0, 0.3))
    warnings = left + warnings
    truth = named_regions(truth, mining.ignored)
    chosen, notes = choose_images(sound, truth, settings, mining)
    warnings += notes
    truth = _inside(truth, chosen, warnings)
    if not settings.holds_crowds:
        chosen, notes = without_regions(chosen, truth, settings.ignored_regions)
        warnings += notes
    greys = greys_of(chosen, truth) if settings.ignored_regions == "grey" else None
    if settings.crops:
        chosen, truth, notes = add_crops(chosen, truth, _mistakes(mistakes, truth), sizes, mining.background_share)
        warnings += notes
    named = name_images(chosen, sizes, settings)
    written = tracked(named, "writing images", part_of(progress, 0.3, 0.7))
    with new_folder(target, NEW_FOLDER) as aside:
        warnings += write_weights(aside, named, run_key)
        if settings.is_json:
            write_json_layout(aside, written, named, truth, settings, greys)
        else:
            write_yolo_layout(aside, target, written, named, truth, settings, greys)
        summary = _summary(target, chosen, truth, settings, warnings)
        summary = _verified(aside, summary, settings, part_of(progress, 0.7, 1))
        content = {**report, "export": summary.as_dict()}
        (aside / "report.json").write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        if beside is not None:
            beside(aside)
    return summary


def _inside(truth: Detections, images: Sequence[ExportImage], warnings: list[str]) -> Detections:
    """Clip the truths to their images, drop those without area and repeated ones, and say so."""
    clipped = replace(truth, xyxy=np.clip(truth.xyxy, 0.0, 1.0))
    empty = ~(clipped.xyxy[:, 2:] > clipped.xyxy[:, :2]).all(axis=1)
    again = truth.repeated() & ~empty
    exported = np.isin(np.array(truth.images, dtype=object), [i.sample_id for i in images])[truth.image]
    for what, rows, why in (
        ("boxes without size inside their image", empty & ~is_region(truth), "the layout cannot represent them"),
        ("repeated rows", again, "each object is written once"),
    ):
        count = int((rows & exported).sum())
        if count:
            warnings.append(f"{count} {what} are left out of the labels: {why}")
    return clipped.take(np.flatnonzero(~(empty | again)))


def _mistakes(mistakes: Detections | None, truth: Detections) -> Detections:
    if mistakes is None:
        raise ValueError("crops need the boxes of the mistakes: give mistakes=...")
    if mistakes.images != truth.images[: len(mistakes.images)]:
        raise ValueError("mistakes and truth have different images")
    return mistakes


def _data_file(settings: ExportSettings) -> str:
    if settings.is_roboflow:
        return ""
    return annotation_file("train", roboflow=False) if settings.is_json else "data.yaml"


def _summary(
    target: Path,
    images: Sequence[ExportImage],
    truth: Detections,
    settings: ExportSettings,
    warnings: Sequence[str],
) -> ExportSummary:
    train = [i for i in images if i.split == "train"]
    count = Counter(i.split for i in images)
    labelled = np.array(truth.images, dtype=object)[has_truth(truth)].tolist()
    background = len({i.sample_id for i in train}.difference(labelled))
    return ExportSummary(
        output_dir=target,
        layout=settings.layout,
        data=target / _data_file(settings),
        images={split: count[split] for split in SPLITS if count[split]},
        train_entries=whole_draws([i.weight if settings.layout == "torch" else i.repeats for i in train]),
        background_images=background,
        effective_sample_size=effective_sample_size(np.array([i.repeats for i in train])),
        warnings=tuple(warnings),
        train_with="",
        verification={},
        sample_ids=tuple(i.sample_id for i in train if i.window is None),
    )


def _verified(root: Path, summary: ExportSummary, settings: ExportSettings, progress: Progress) -> ExportSummary:
    """Read the export back for its trainers and add the result to the summary.

    Raises:
        ValueError: if it does not read back as expected.
    """
    found = verify_for(root, settings.trainers, home=summary.output_dir, progress=progress)
    for one in found:
        if not one.ok:
            raise ValueError(
                f"the export is not written: {one.trainer} would not read it as expected: {'; '.join(one.problems)}"
            )
    warnings = dict.fromkeys([*summary.warnings, *(sentence for one in found for sentence in one.warnings)])
    hints = [f"# {one.trainer}\n{one.overrides}" if len(found) > 1 else one.overrides for one in found if one.overrides]
    command = {"ultralytics": "yolo detect train data=", "yolov5": "python train.py --data "}.get(settings.layout)
    without_val = " split=train" if settings.layout == "ultralytics" and not summary.images.get("val") else ""
    return replace(
        summary,
        warnings=tuple(warnings),
        train_with="\n".join([f"{command}{shlex.quote(str(summary.data))}{without_val}", *hints] if command else hints),
        verification={one.trainer: one.as_dict(per_image=False) for one in found},
    )
