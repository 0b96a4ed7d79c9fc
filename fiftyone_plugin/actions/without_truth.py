"""Mine where there is no ground truth: list detections for review, as a run that panel, review and views take."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult, MiningSettings
from hnm_core.io.progress import Progress, part_of, silent, tracked
from hnm_core.labels.reviews import Reviews
from hnm_core.labels.stats import expit
from hnm_core.live.proposals import codes_of, propose, summary_of
from hnm_core.live.sources import VIDEO
from hnm_core.live.tracks import LISTS
from hnm_core.live.unlabelled import RANKED_BY
from hnm_core.report.lines import how_many
from hnm_core.settings import Options, WatchSettings, option, options
from hnm_core.taxonomy import BELOW_THRESHOLD

from ..review.ledger import Ledger
from ..runs import lifecycle, save
from ..settings import NOT_SETTINGS, RunSettings, check_key, missed_field, switch_of
from ..store import access, box_tables, checks, model_record
from ..store.journal import RUN
from ..store.lock import Lease, lease
from . import video_proposals, videos

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from hnm_core.live import Verifier

__all__ = ["ProposalSettings", "check", "mine_without_truth"]

AT_ONCE = 500
"""Detections that the verifier looks at between two words on the progress."""

_OF_WATCH = {each.name: each for each in options(WatchSettings)}


@dataclass(frozen=True)
class ProposalSettings(Options):
    """What ranks the proposals, and what is confident; all but the first three are for videos alone."""

    verifier: str | None = option(
        None,
        "File of a verifier: ranks by how likely a detection is an error; empty: lowest confidence first",
        label="Verifier",
        kind="path",
        main=True,
    )
    confidence_threshold: float = option(
        _OF_WATCH["confidence_threshold"].default,
        "A detection of at least this confidence is listed as confident; one below, down to .25, as uncertain",
        label="Confidence threshold",
        low=0.25,
        high=1,
        main=True,
    )
    class_confidence: Mapping[str, float] = _OF_WATCH["class_confidence"].declare()
    tracker: str = _OF_WATCH["tracker"].declare()
    longest_gap: int = _OF_WATCH["longest_gap"].declare()
    frames_per_track: int = _OF_WATCH["frames_per_track"].declare()
    frames_per_minute: int = _OF_WATCH["frames_per_minute"].declare()
    alike: float = _OF_WATCH["alike"].declare()

    def watching(self) -> WatchSettings:
        """Return how videos are watched."""
        values = self.as_dict()
        return WatchSettings.from_dict({name: values[name] for name in _OF_WATCH if name in values})


def mine_without_truth(
    samples: SampleCollection,
    params: Mapping[str, Any],
    progress: Progress = silent,
    *,
    held: Lease | None = None,
) -> dict[str, Any]:
    """List detections of a dataset or view for review, likeliest errors first; nothing is written before all is known.

    Args:
        samples: a dataset or a view of images; ground truth is not read. Of videos the predictions on frames are
            tracked, and the frames worth a review become a dataset of their own, which gets the run.
        params: ``pred_field``, ``run_key``, ``overwrite`` and :class:`ProposalSettings`, flat.
        progress: called with the share done, in [0, 1], and a label.
        held: the lease of the run, if the caller has it.

    Returns:
        ``run_key``, ``ranked_by`` (``verifier`` or ``confidence``), ``lists`` (number of proposals of each), the
        ``summary`` as text, ``warnings`` about the data, the number of samples that were ``written``, and the name of
        the ``dataset`` that has the run; JSON-clean.

    Raises:
        ValueError: if there is nothing to list, or the run cannot be written, in one sentence.
        FileNotFoundError: if there is no such verifier, or it cannot look at an image that is gone.
    """
    dataset = access.root(samples)
    asked, settings = _settings_of(params)
    if samples.media_type == VIDEO:
        return _mine_videos(samples, asked, settings, switch_of(params, "overwrite"), progress)
    with lease(dataset, f"{RUN}{settings.run_key}", operator="mine_without_truth", held=held) as held:
        lifecycle.check_new(dataset, settings, overwrite=switch_of(params, "overwrite"))
        verifier = _load(asked.verifier)
        progress(0.0, "Reading boxes")
        tables = box_tables.read_predictions(samples, settings)
        tables.warnings.extend(model_record.model_notes(dataset, settings.pred_field))
        difficulty, notes = _difficulty(
            samples, tables.predictions, settings.engine, verifier, part_of(progress, 0.1, 0.8)
        )
        tables.warnings.extend(notes)
        reviews = Reviews.of(Ledger(samples).entries())
        result = propose(tables.predictions, difficulty, settings.engine, reviews=reviews)
        if not result.prediction_hard.any():
            tables.warnings.append(_nothing(tables.predictions, settings.engine))
        progress(0.8, "Writing fields")
        written = save.record(samples, tables, result, settings, overwrite=switch_of(params, "overwrite"), held=held)
    progress(1.0, "Done")
    return _outcome(dataset, settings, result, tables.warnings, written)


def _mine_videos(
    samples: SampleCollection, asked: ProposalSettings, settings: RunSettings, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Keep the frames worth a review as a dataset of their own, and give it the run."""
    name = videos.dataset_name(samples, settings.run_key)
    videos.check(samples, settings.pred_field, settings.run_key)
    if fo.dataset_exists(name):
        lifecycle.check_new(fo.load_dataset(name), settings, overwrite=overwrite)
    verifier = _load(asked.verifier)
    frames, found = videos.keep_frames(samples, settings, asked.watching(), verifier, part_of(progress, 0.0, 0.9))
    if not len(frames):
        raise ValueError(
            f"nothing is listed in {how_many(found.frames, 'frame')} with {how_many(found.detections, 'detection')}: "
            f"no track reaches confidence .25; is it the right model for these videos?"
        )
    progress(0.95, "Writing fields")
    run = video_proposals.record(frames, settings, found, overwrite=overwrite, operator="mine_without_truth")
    progress(1.0, "Done")
    return _outcome(frames, settings, *run)


def _outcome(
    dataset: fo.Dataset, settings: RunSettings, result: MiningResult, warnings: list[str], written: int
) -> dict[str, Any]:
    counts = result.report.errors
    return {
        "run_key": settings.run_key,
        "ranked_by": settings.ranked_by,
        "lists": {of: counts[error]["hard_negatives"] for of, error in LISTS.items()},
        "summary": summary_of(result, settings.ranked_by),
        "warnings": warnings,
        "written": written,
        "dataset": dataset.name,
    }


def check(samples: SampleCollection, params: Mapping[str, Any]) -> None:
    """Refuse what :func:`mine_without_truth` would refuse, as far as can be told at every keystroke.

    Raises:
        ValueError: saying why.
        FileNotFoundError: if there is no such verifier.
    """
    asked, settings = _settings_of(params)
    if samples.media_type == VIDEO:
        videos.check(samples, settings.pred_field, settings.run_key)
    else:
        lifecycle.check_new(access.root(samples), settings, overwrite=switch_of(params, "overwrite"))
        checks.check_proposable(samples, settings.pred_field)
    if asked.verifier and not Path(asked.verifier).expanduser().is_file():
        raise FileNotFoundError(f"there is no {asked.verifier}: a verifier is the file that hnm verifier fit wrote")


def _settings_of(params: Mapping[str, Any]) -> tuple[ProposalSettings, RunSettings]:
    """Return what is asked, and the settings of the run; absent, None and empty parameters keep their defaults."""
    names = {each.name for each in options(ProposalSettings)}
    given = {name for name, value in params.items() if value not in (None, "")} - NOT_SETTINGS
    if unknown := sorted(given - names - set(_NAMED)):
        raise ValueError(f"mining without truth has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    if missing := [name for name in _NAMED if name not in given]:
        raise ValueError(f"mining without truth needs pred_field and run_key; missing: {', '.join(missing)}")
    key = check_key(params.get("run_key"))
    run = {name: value for name, value in params.items() if name not in names or name in _ENGINE}
    own = {"gt_field": missed_field(key), "ranked_by": RANKED_BY[not params.get("verifier")]}
    settings = RunSettings.from_params({**run, **own})
    of_engine = {name: getattr(settings.engine, name) for name in _ENGINE}
    rest = {name: value for name, value in params.items() if name in names and value not in (None, "")}
    asked = ProposalSettings.from_dict({**rest, **of_engine})
    return asked, settings


_ENGINE = ("confidence_threshold", "class_confidence")
"""Settings of the engine that a run without ground truth has, too."""


_NAMED = ("pred_field", "run_key")
"""What has no default."""


def _load(file: str | None) -> Verifier | None:
    from hnm_core.live import Verifier

    return Verifier.load(Path(file).expanduser()) if file else None


def _difficulty(
    samples: SampleCollection,
    predictions: Detections,
    settings: MiningSettings,
    verifier: Verifier | None,
    progress: Progress,
) -> tuple[NDArray[np.float64], list[str]]:
    """Return how likely each detection is an error, ``(n,)``: by the verifier where listed, else 1 - confidence.

    Also sentences on pictures that the verifier could not read.
    """
    assert predictions.score is not None  # checked by reading
    difficulty = 1.0 - predictions.score
    if verifier is None:
        return difficulty, []
    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    rows = np.flatnonzero(codes_of(predictions, settings) != BELOW_THRESHOLD)
    rows = rows[np.argsort(predictions.image[rows], kind="stable")]
    parts, unread = np.array_split(rows, len(rows) // AT_ONCE + 1), set[str]()
    for some in tracked(parts, "The verifier looks at detections", progress):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would reach nobody; it is said below
            odds = verifier.of_rows(predictions, some, lambda name: Path(file_of[name]))
        difficulty[some] = np.where(np.isnan(odds), difficulty[some], expit(np.nan_to_num(odds)))
        unread |= {file_of[predictions.images[image]] for image in predictions.image[some[np.isnan(odds)]].tolist()}
    if not unread:
        return difficulty, []
    what = how_many(len(unread), "image")
    return difficulty, [f"the verifier could see nothing in {what}, first {min(unread)}: ranked by confidence there"]


def _nothing(predictions: Detections, settings: MiningSettings) -> str:
    best = (
        f", the highest is {predictions.score.max():.2f}" if predictions.score is not None and len(predictions) else ""
    )
    return (
        f"nothing is listed: no detection reaches confidence .25 or the threshold {settings.confidence_threshold:g}"
        f"{best}; is it the right model for these images?"
    )
