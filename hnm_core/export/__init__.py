"""A weighted data set on disk, in the layout of whoever trains on it, verified before it is there."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..io.aside import check_free, new_folder
from ..io.progress import Progress, silent
from ..settings import MiningSettings
from ..verify import verify_for
from ..weights import effective_sample_size
from .choose import choose_images, has_truth
from .coco import write_json_layout
from .crops import add_crops
from .images import SPLITS, ExportImage, check_entries, name_images, sound_images
from .settings import LAYOUTS, MEDIA, ExportSettings
from .tables import write_weights
from .yolo import write_yolo_layout

__all__ = ["LAYOUTS", "MEDIA", "SPLITS", "ExportImage", "ExportSettings", "ExportSummary", "export_weighted"]

NEW_FOLDER = "export into a new folder"


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Attributes:
        output_dir: the folder.
        layout: who reads it.
        data: what that one is given: ``data.yaml``, or ``annotations/train.json``.
        images: number of images per split, crops among them.
        train_entries: images of one epoch, repeats and all.
        background_images: train images without any label.
        effective_sample_size: of the repeats, over the number of train images.
        warnings: what to know before training, in sentences.
        train_with: a command, or settings to give the trainer, as text to copy.
        verification: what reading it back found, see :class:`hnm_core.verify.Verification`.
        sample_ids: the train images that were exported, crops left out.
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
        """Plain values that JSON can hold, without the ids: of those there may be many."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sample_ids"}
        plain = {"output_dir": str(self.output_dir), "data": str(self.data), "warnings": list(self.warnings)}
        return {**values, **plain, "images": dict(self.images), "verification": dict(self.verification)}

    def __str__(self) -> str:
        """A few lines for people."""
        images = ", ".join(f"{count:,} {split}" for split, count in self.images.items())
        lines = [f"{self.output_dir}: {images} images for {self.layout}, {self.train_entries:,} drawn an epoch"]
        for trainer, found in self.verification.items():
            lines.append(
                f"  read back for {trainer} ({found['read_with']}): as promised, background "
                f"{found['background_share']:.1%}, effective sample size {found['effective_sample_size']:.2f}"
            )
        lines += [f"  mind: {sentence}" for sentence in self.warnings]
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
    progress: Progress = silent,
) -> ExportSummary:
    """Write images, labels, weights and report, and what tells the trainer to draw hard images more often.

    Built in a folder beside ``output_dir``, read back as the trainer would, then renamed: an interrupted export, or one
    that does not read back as promised, leaves nothing that looks finished. Original images are copied, linked or
    named, never moved. Boxes are clipped to their image, since Ultralytics drops an image whole whose boxes reach
    outside; damaged images, and train images that are held out too, are left out and named.

    Args:
        output_dir: must not exist, or be empty.
        images: what there is to export, one entry per image.
        truth: boxes as fractions of the image side; its ``images`` are the ``sample_id`` of the entries.
        report: written to ``report.json``.
        run_key: of the mining the weights come from; a column of the weights.
        settings: layout, media, and what is exported.
        mining: the settings the weights come from, whose limits a subset is held to.
        mistakes: for crops, the boxes of the mined mistakes as fractions, ``score`` their difficulty, over the images
            of ``truth``.
        progress: told how far it has come.

    Raises:
        FileExistsError: if the folder holds anything.
        FileNotFoundError: if an image is not there.
        ImportError: if Pillow is missing.
        ValueError: if nothing is to train on, an entry has no row in ``truth``, a value cannot be, or the export does
            not read back as promised.
    """
    settings, mining = settings or ExportSettings(), mining or MiningSettings()
    target = Path(output_dir).expanduser().resolve()
    check_free(target, NEW_FOLDER)
    check_entries(images, truth.images, settings.layout)
    sound, sizes, warnings = sound_images(images, settings.layout, progress)
    chosen, notes = choose_images(sound, truth, settings, mining)
    warnings += notes
    truth = _inside(truth, chosen, warnings, crowds=settings.holds_crowds)
    if settings.crops:
        chosen, truth, notes = add_crops(chosen, truth, _mistakes(mistakes, truth), sizes, mining.background_share)
        warnings += notes
    named = name_images(chosen, sizes, refer=settings.media == "reference")
    told_off = progress(named, "writing images")
    with new_folder(target, NEW_FOLDER) as aside:
        warnings += write_weights(aside, named, run_key)
        if settings.holds_crowds:
            write_json_layout(aside, told_off, named, truth, settings)
        else:
            write_yolo_layout(aside, target, told_off, named, truth, settings)
        summary = _summary(target, chosen, truth, settings, warnings)
        summary = _verified(aside, summary, settings, progress)
        content = {**report, "export": summary.as_dict()}
        (aside / "report.json").write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return summary


def _inside(truth: Detections, images: Sequence[ExportImage], warnings: list[str], *, crowds: bool) -> Detections:
    """The truths clipped to their images, those without size left out; what no label can hold is counted."""
    xyxy = np.clip(truth.xyxy, 0.0, 1.0)
    empty = ~(xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    exported = np.isin(np.array(truth.images, dtype=object), [i.sample_id for i in images])[truth.image]
    reasons = {"boxes without size inside their image": empty & ~truth.is_crowd()}
    if not crowds:
        reasons = {"crowd regions": truth.is_crowd(), **reasons}
    for what, rows in reasons.items():
        count = int((rows & exported).sum())
        if count:
            warnings.append(f"{count} {what} are left out of the labels: there is no place for them")
    return replace(truth, xyxy=xyxy).take(np.flatnonzero(~empty))


def _mistakes(mistakes: Detections | None, truth: Detections) -> Detections:
    if mistakes is None:
        raise ValueError("crops need the boxes of the mistakes: give mistakes=")
    if mistakes.images != truth.images[: len(mistakes.images)]:
        raise ValueError("mistakes and truth are not over the same images")
    return mistakes


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
        data=target / ("annotations/train.json" if settings.holds_crowds else "data.yaml"),
        images={split: count[split] for split in SPLITS if count[split]},
        train_entries=sum(i.repeats for i in train),
        background_images=background,
        effective_sample_size=effective_sample_size(np.array([i.repeats for i in train])),
        warnings=tuple(warnings),
        train_with="",
        verification={},
        sample_ids=tuple(i.sample_id for i in train if i.window is None),
    )


def _verified(root: Path, summary: ExportSummary, settings: ExportSettings, progress: Progress) -> ExportSummary:
    """The summary with what its trainers read.

    Raises:
        ValueError: if that is not what was promised.
    """
    found = verify_for(root, settings.trainers, home=summary.output_dir, progress=progress)
    for one in found:
        if not one.ok:
            raise ValueError(
                f"the export does not read back for {one.trainer}, so it is not kept: {'; '.join(one.problems)}"
            )
    warnings = dict.fromkeys([*summary.warnings, *(sentence for one in found for sentence in one.warnings)])
    hints = [f"# {one.trainer}\n{one.overrides}" if len(found) > 1 else one.overrides for one in found if one.overrides]
    command = {"ultralytics": "yolo detect train data=", "yolov5": "python train.py --data "}.get(settings.layout)
    without_val = " split=train" if settings.layout == "ultralytics" and not summary.images.get("val") else ""
    return replace(
        summary,
        warnings=tuple(warnings),
        train_with=f"{command}{shlex.quote(str(summary.data))}{without_val}" if command else "\n".join(hints),
        verification={one.trainer: one.as_dict(per_image=False) for one in found},
    )
