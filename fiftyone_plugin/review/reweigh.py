"""Apply reviews to the weights of a run without matching again: update fields, tags and stored results."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from hnm_core.io.progress import Progress, silent
from hnm_core.labels.estimate import Estimate, estimate_labels, with_estimate
from hnm_core.labels.reviews import IGNORE
from hnm_core.report import MiningReport, percent
from hnm_core.report.lines import how_many
from hnm_core.reporting.overview import weight_overview

from ..runs import corrections, lifecycle, records
from ..runs import results as stored_results
from ..store import access, blocks, tags, views
from ..store.access import ObjectId, UpdateOne
from ..store.journal import RUN, TAGS
from ..store.lock import Lease, lease
from ..store.updates import TAG, now
from . import states
from .run_mistakes import images_with_truth
from .session import Review, open_review

if TYPE_CHECKING:
    import fiftyone as fo


def apply_reviews(dataset: fo.Dataset, run_key: str | None, progress: Progress = silent) -> dict[str, Any]:
    """Recompute the weights of a run with the reviews made so far, as if it were mined again.

    One thing is left to the next mining: an ignored object leaves a place under the cap, which is not filled here.

    Args:
        dataset: the dataset.
        run_key: the run.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        ``run_key``, ``review_count``, number of ``changed`` samples, ``mean_weight`` and ``effective_sample_size`` now,
        ``needs_mining``: number of objects that are no longer ignored, but get a weight only by mining again, and
        ``stale``: a sentence on labels that were corrected since, or "".

    Raises:
        ValueError: if there is no such run, or it was interrupted.
    """
    with lease(dataset, f"{RUN}{run_key}", operator="apply_reviews") as held:
        review = open_review(dataset, run_key, besides=("applying",))
        settings, results = records.load(dataset, run_key, besides=("applying",))
        if settings.without_truth:
            raise ValueError(
                f"run {settings.run_key!r} was mined without ground truth and has no weights: accept what is reviewed "
                f"as ground truth (accept_missing_labels), and mine with it"
            )
        progress(0.1, "Reading labels")
        images = images_with_truth(dataset, settings, results)
        known: dict[str, Any] = {"evidence": review.evidence, "settled": review.settled}
        estimate = estimate_labels(review.mistakes, review.answers, images, settings.engine, **known)
        progress(0.4, "Writing fields")
        changed = _write(held, dataset, review, results, estimate)
    progress(1.0, "Done")
    return {
        "run_key": settings.run_key,
        "review_count": estimate.suspicions.review_count,
        "changed": changed,
        "mean_weight": estimate.weighting.mean_weight,
        "effective_sample_size": estimate.weighting.effective_sample_size,
        "needs_mining": states.count_needing_mining(views.images_of(dataset), settings),
        "stale": corrections.stale_note(dataset, settings.run_key),
    }


def outcome_text(done: Mapping[str, Any]) -> str:
    """Return a sentence on what was done, and one on objects that need mining."""
    reviews = how_many(done["review_count"], "review")
    effective = percent(done["effective_sample_size"], 1)
    updated = f"Weights updated with {reviews}: mean {done['mean_weight']:.3f}, effective sample size {effective}"
    left = states.remine_note(done["run_key"], done["needs_mining"]) if done["needs_mining"] else ""
    return ". ".join(filter(None, [updated, left, done["stale"]]))


def _write(held: Lease, dataset: fo.Dataset, review: Review, results: Any, estimate: Estimate) -> int:
    """Write everything beside what there is, then switch to it in one update of the record."""
    key, name = review.settings.run_key, f"{RUN}{review.settings.run_key}"
    record = records.find(dataset, key)
    config = record.config
    assert config is not None
    file_id, list_id = ObjectId(), ObjectId()
    hard = review.mistakes.mined & (review.state != IGNORE)
    lifecycle.begin(held, dataset, record, "applying", {"lists": [list_id], "files": [file_id]})
    note = held.journal(name)
    with lease(dataset, TAGS, operator="apply_reviews", wait=lifecycle.WAIT_FOR_TAGS, held=held):
        before = tags.held(dataset, [each for each in note.lists if each != list_id])
        known = records.tagged_by_others(dataset, key) | before
        ours = tags.choose(dataset, _to_tag(review, estimate, hard), known)
        tags.keep(dataset, list_id, ours)
    _update_results(results, review, estimate, hard, tags.tagged_of(ours))
    stored_results.put(results, file_id)
    tags.tag_null(held, dataset, ours)
    values = _values(dataset, review, estimate, hard, ours)
    updates = [_update(sample_id, changes, key) for sample_id, changes in values.items()]
    changed = blocks.write(held, dataset, updates)
    lifecycle.untag(held, dataset, note, [each for each in note.lists if each != list_id])
    shown = {**json.loads(config.overview), **weight_overview(results.report, estimate.weights)}
    config.overview = json.dumps(shown, separators=(",", ":"))
    config.reviews_applied = datetime.now(timezone.utc).isoformat()
    lifecycle.update(held, record.run_id, config, results=file_id)
    lifecycle.drop(dataset, (), [each for each in note.files if each != file_id])
    tags.drop(dataset, [each for each in note.lists if each != list_id])
    held.finish(name, {"lists": [list_id], "files": [file_id]})
    access.refresh(dataset)
    return changed


def _to_tag(review: Review, estimate: Estimate, hard: Any) -> tags.Tagged:
    """Return what the run tags from now on."""
    settings = review.settings
    samples = [review.images.names[i] for i in np.flatnonzero(estimate.hard_images).tolist()] if settings.weighs else []
    fields = (settings.pred_field, settings.gt_field)
    of_truth = review.mistakes.of_truth.tolist()
    labels = [(fields[of_truth[row]], review.label_ids[row]) for row in np.flatnonzero(hard).tolist()]
    return tags.Tagged(samples, labels)


def _update_results(results: Any, review: Review, estimate: Estimate, hard: Any, ours: tags.Tagged) -> None:
    """Change the results as it follows from the reviews."""
    report = MiningReport.from_dict(results.report)
    kept = tuple(note for note in report.notes if note not in results.weight_notes)
    report = replace(with_estimate(report, estimate), weighting=estimate.weighting, notes=kept + estimate.notes)
    results.report, results.summary, results.weight_notes = report.as_dict(), str(report), list(estimate.notes)
    is_hard = dict(zip(review.keys, hard.tolist(), strict=True))
    listed = zip(results.objects["side"], results.objects["label_id"], strict=True)
    results.objects["hard"] = [is_hard.get(states.key_of(*of_object), False) for of_object in listed]
    results.images["repeats"] = estimate.repeats.tolist()
    results.images["hard"] = estimate.hard_images.tolist()
    results.tagged_samples, results.tagged_labels = ours


class _SampleChanges:
    """The changes of one sample.

    Attributes:
        values: its own fields.
        tagged: whether it gets the tag.
        suspicion: ids of its objects by field and suspicion.
        labels: ids of the objects that get the tag, by field.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.tagged = False
        self.suspicion: dict[tuple[str, float], list[ObjectId]] = defaultdict(list)
        self.labels: dict[str, list[ObjectId]] = defaultdict(list)


def _values(
    dataset: fo.Dataset, review: Review, estimate: Estimate, hard: Any, ours: tags.Held
) -> Mapping[str, _SampleChanges]:
    """Return the changes of every sample. Objects get none if their list was removed since."""
    settings, names = review.settings, review.images.names
    columns = {"score": estimate.image_scores.tolist()}
    columns["count"] = np.bincount(review.mistakes.image[hard], minlength=len(names)).tolist()
    if settings.weighs:
        columns["weight"] = estimate.weights.tolist()
    gone = {
        field: set(states.without_list(dataset, field, review.images.names))
        for field in (settings.pred_field, settings.gt_field)
    }
    found: dict[str, _SampleChanges] = defaultdict(_SampleChanges)
    for number, sample_id in enumerate(names):
        found[sample_id].values = {name: column[number] for name, column in columns.items()}
    for field, i in ours:
        if field == tags.SAMPLE and str(i) in found:
            found[str(i)].tagged = True
    of_truth = review.mistakes.of_truth.tolist()
    rows = zip(review.sample_ids, review.label_ids, of_truth, estimate.suspicion.tolist(), strict=True)
    for (sample_id, label_id, truth, suspicion), counts in zip(rows, estimate.suspicions.stratum >= 0, strict=True):
        field = settings.gt_field if truth else settings.pred_field
        if sample_id in gone[field]:
            continue
        if counts:
            found[sample_id].suspicion[field, suspicion].append(ObjectId(label_id))
        if (field, ObjectId(label_id)) in ours:
            found[sample_id].labels[field].append(ObjectId(label_id))
    return found


def _update(sample_id: str, changes: _SampleChanges, key: str) -> UpdateOne:
    """Return one update per sample; boxes are found by id, so that an edit made meanwhile is not overwritten."""
    values = {f"{key}_{name}": value for name, value in changes.values.items()} | now()
    added: dict[str, Any] = {"tags": TAG} if changes.tagged else {}
    filters = []
    for number, ((field, suspicion), ids) in enumerate(changes.suspicion.items()):
        values[f"{field}.detections.$[s{number}].{key}_suspicion"] = suspicion
        filters.append({f"s{number}._id": {"$in": ids}})
    for number, (field, ids) in enumerate(changes.labels.items()):
        added[f"{field}.detections.$[t{number}].tags"] = TAG
        filters.append({f"t{number}._id": {"$in": ids}})
    update = {"$set": values, "$addToSet": added} if added else {"$set": values}
    return UpdateOne({"_id": ObjectId(sample_id)}, update, array_filters=filters or None)
