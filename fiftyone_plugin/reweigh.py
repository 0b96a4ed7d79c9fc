"""Reviews → the weights of a run, without matching again: fields, tags and stored results are brought in line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from bson import ObjectId
from pymongo import UpdateOne

from hnm_core.judging import Judgement, after_looks, judge
from hnm_core.overview import weighed
from hnm_core.report import MiningReport, percent
from hnm_core.reviews import IGNORE

from . import runs, states, views, writeback
from .review import Review, images_with_truth, open_review
from .updates import TAG, now
from .writeback import Tagged


def apply_reviews(
    dataset: Any, run_key: str | None, progress: Callable[[float, str], None] = lambda share, label: None
) -> dict[str, Any]:
    """Let what people said so far count in the weights of a run, as if it were mined again.

    Only the place under the cap that an ignored object leaves is filled by the next mining, not here.

    Args:
        dataset: the dataset.
        run_key: the run.
        progress: told the share done, and what is being done.

    Returns:
        ``run_key``, ``looks`` that count, ``changed`` samples, ``mean_weight`` and ``effective_sample_size`` now,
        ``left_out``: how many objects that are no longer ignored only mining again can weigh.

    Raises:
        ValueError: if there is no such run, or it was interrupted or mined by an older version.
    """
    review = open_review(dataset, run_key)
    settings, results = runs.load(dataset, run_key)
    progress(0.1, "Reading labels")
    images = images_with_truth(dataset, settings, results)
    judgement = judge(review.mistakes, review.state, images, settings.engine, evidence=review.evidence)
    progress(0.4, "Writing fields")
    changed = _write(dataset, review, results, judgement)
    progress(1.0, "Done")
    return {
        "run_key": settings.run_key,
        "looks": judgement.suspicions.looks,
        "changed": changed,
        "mean_weight": judgement.weighting.mean_weight,
        "effective_sample_size": judgement.weighting.effective_sample_size,
        "left_out": states.left_out(views.images_of(dataset), settings),
    }


def said(done: Mapping[str, Any]) -> str:
    """What was done, in a sentence, and in another what was not."""
    looks = "1 look" if done["looks"] == 1 else f"{done['looks']:,} looks"
    effective = percent(done["effective_sample_size"], 1)
    follow = f"Weights follow {looks}: mean {done['mean_weight']:.3f}, effective sample {effective}"
    return f"{follow}. {states.left_out_note(done['run_key'], done['left_out'])}" if done["left_out"] else follow


def _write(dataset: Any, review: Review, results: Any, judgement: Judgement) -> int:
    """Untag what is no longer hard, store the results, then write fields and tags: a crash leaves no stray tag."""
    key = review.settings.run_key
    config = dataset.get_run_info(key).config
    hard = review.mistakes.mined & (review.state != IGNORE)
    tags = _tags(dataset, review, results, judgement, hard)
    config.finished = False
    runs.MiningRun.update_run_config(dataset, key, config)
    writeback.untag(dataset, tags.gone)
    _store(dataset, results, review, judgement, hard, tags.ours)
    shown = {**json.loads(config.overview), **weighed(results.report, judgement.weights)}
    config.overview = json.dumps(shown, separators=(",", ":"))
    values = _values(dataset, review, judgement, hard, tags)
    updates = [_update(sample_id, changes, key) for sample_id, changes in values.items()]
    collection = dataset._sample_collection
    null = [ObjectId(i) for i in tags.new.samples]
    collection.update_many({"_id": {"$in": null}, "tags": None}, {"$set": {"tags": []}})
    changed = collection.bulk_write(updates, ordered=False).modified_count if updates else 0
    config.finished, config.weighed = True, datetime.now(timezone.utc).isoformat()
    runs.MiningRun.update_run_config(dataset, key, config)
    writeback.reload(dataset)
    return changed


class _Tags:
    """What carries the tag for this run.

    Attributes:
        ours: everything that this run tags from now on.
        new: what it did not tag before.
        gone: what it tagged before, and no other run holds.
    """

    def __init__(self, before: Tagged, wanted: Tagged, already: Tagged, held: Tagged) -> None:
        self.ours = wanted.without(already.without(before).without(held))
        self.new = wanted.without(already)
        self.gone = before.without(wanted).without(held)


def _tags(dataset: Any, review: Review, results: Any, judgement: Judgement, hard: Any) -> _Tags:
    settings = review.settings
    samples = (
        [review.images.names[i] for i in np.flatnonzero(judgement.hard_images).tolist()] if settings.weighs else []
    )
    fields = (settings.pred_field, settings.gt_field)
    of_truth = review.mistakes.of_truth.tolist()
    labels = [(fields[of_truth[row]], review.label_ids[row]) for row in np.flatnonzero(hard).tolist()]
    return _Tags(
        runs.tagged_of(results),
        Tagged(samples, labels),
        writeback.tagged_already(dataset, settings),
        runs.tagged_by(dataset, [key for key in runs.keys(dataset) if key != settings.run_key]),
    )


def _store(dataset: Any, results: Any, review: Review, judgement: Judgement, hard: Any, ours: Tagged) -> None:
    """The stored results with what reviews change in them."""
    report = MiningReport.from_dict(results.report)
    kept = tuple(note for note in report.notes if note not in results.weight_notes)
    report = replace(after_looks(report, judgement), weighting=judgement.weighting, notes=kept + judgement.notes)
    results.report, results.summary, results.weight_notes = report.as_dict(), str(report), list(judgement.notes)
    is_hard = dict(zip(review.keys, hard.tolist(), strict=True))
    listed = zip(results.objects["side"], results.objects["label_id"], strict=True)
    results.objects["hard"] = [is_hard.get(states.key_of(*of_object), False) for of_object in listed]
    results.images["repeats"] = judgement.repeats.tolist()
    results.images["hard"] = judgement.hard_images.tolist()
    results.tagged_samples, results.tagged_labels = ours
    dataset.save_run_results(review.settings.run_key, results, cache=False)


class _Changes:
    """What one sample gets.

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


def _values(dataset: Any, review: Review, judgement: Judgement, hard: Any, tags: _Tags) -> Mapping[str, _Changes]:
    """Per sample what it gets; its objects nothing where their list was cleared since."""
    settings, names = review.settings, review.images.names
    columns = {"score": judgement.image_scores.tolist()}
    columns["count"] = np.bincount(review.mistakes.image[hard], minlength=len(names)).tolist()
    if settings.weighs:
        columns["weight"] = judgement.weights.tolist()
    gone = {
        field: set(states.without_list(dataset, field, review.images.names))
        for field in (settings.pred_field, settings.gt_field)
    }
    found: dict[str, _Changes] = defaultdict(_Changes)
    for number, sample_id in enumerate(names):
        found[sample_id].values = {name: column[number] for name, column in columns.items()}
    for sample_id in tags.new.samples:
        found[sample_id].tagged = True
    new = set(tags.new.labels)
    of_truth = review.mistakes.of_truth.tolist()
    rows = zip(review.sample_ids, review.label_ids, of_truth, judgement.suspicion.tolist(), strict=True)
    for (sample_id, label_id, truth, suspicion), counts in zip(rows, judgement.suspicions.stratum >= 0, strict=True):
        field = settings.gt_field if truth else settings.pred_field
        if sample_id in gone[field]:
            continue
        if counts:
            found[sample_id].suspicion[field, suspicion].append(ObjectId(label_id))
        if (field, label_id) in new:
            found[sample_id].labels[field].append(ObjectId(label_id))
    return found


def _update(sample_id: str, changes: _Changes, key: str) -> UpdateOne:
    """One update a sample; boxes are found by their id, so that nothing edited meanwhile is overwritten."""
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
