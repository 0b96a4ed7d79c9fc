"""Mining again reads, matches and writes only what changed, and gives the same as mining from scratch, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.runs import lifecycle, memory, records
from fiftyone_plugin.store import rereading, writeback
from hnm_core.matching import again
from tests.datasets import APPLY, DELETE, FIELDS, MEND, MINE, TRIAGE, dataset_of, stored
from tests.scenes import random_scene

ASKED = {"confidence_threshold": 0.4, "hard_negative_ratio": 0.5}


@pytest.fixture(scope="module")
def dataset() -> fo.Dataset:
    """One for all tests: each leaves it mined from scratch."""
    found = dataset_of(random_scene(7, images=14))
    mine(found)
    return found


def mine(dataset: Any, **settings: Any) -> dict[str, Any]:
    return dict(foo.get_operator(MINE)(dataset, **{**FIELDS, "run_key": "run", "overwrite": True, **ASKED, **settings}))


def everything(dataset: fo.Dataset, done: dict[str, Any]) -> dict[str, Any]:
    """All that a run leaves, without times and ids of its own."""
    dataset.reload()
    _, results = records.load(dataset, "run")
    found = {name: getattr(results, name) for name in results.attributes()}
    found |= {name: sorted(map(str, found[name])) for name in ("tagged_samples", "tagged_labels")}
    config = records.find(dataset, "run").config
    assert config is not None
    kept = {"fields": sorted(config.fields), "rates": config.rates, "overview": config.overview}
    said = {name: done[name] for name in ("report", "summary", "warnings")}
    return {**stored(dataset), "results": found, "config": kept, "said": said}


def again_and_from_scratch(dataset: fo.Dataset, samples: Any = None, **settings: Any) -> int:
    """Mine again, and compare with mining from scratch; return the number of samples that were written."""
    chosen = dataset if samples is None else samples
    done = mine(chosen, **settings)
    ours = everything(dataset, done)
    foo.get_operator(DELETE)(dataset, "run")
    scratch = mine(chosen, **settings)
    theirs = everything(dataset, scratch)
    for name, value in theirs.items():
        assert ours[name] == value, name
    return int(done["written"])


def added(dataset: fo.Dataset, sample: Any = None) -> None:
    sample = sample or dataset.skip(3).first()
    box = max(sample.predictions.detections, key=lambda one: one.confidence).bounding_box
    sample.ground_truth.detections.append(fo.Detection(label="class 0", bounding_box=box))
    sample.save()


def labels_added_removed_moved_and_relabelled(dataset: fo.Dataset) -> None:
    add, remove, move, relabel = labelled(dataset)[:4]
    added(dataset, add)
    del remove.ground_truth.detections[0]
    x, y, width, height = move.ground_truth.detections[-1].bounding_box
    move.ground_truth.detections[-1].bounding_box = [x, y, width / 2 + 0.001, height]
    first = relabel.ground_truth.detections[0]
    first.label = "class 1" if first.label != "class 1" else "class 0"
    for sample in (remove, move, relabel):
        sample.save()


def given_a_new_class(dataset: fo.Dataset) -> None:
    sample = labelled(dataset)[0]
    sample.ground_truth.detections[0].label = "a new class"
    sample.save()


def samples_added_deleted_unlabelled_and_held_out(dataset: fo.Dataset) -> None:
    other, gone, unlabelled, held_out = labelled(dataset)[:4]
    sample = fo.Sample(filepath="nowhere/new.jpg")
    for name in FIELDS.values():
        boxes = [fo.Detection(label=b.label, bounding_box=b.bounding_box) for b in other[name].detections]
        for box, like in zip(boxes, other[name].detections, strict=True):
            if like.confidence is not None:
                box.confidence = like.confidence / 2 + 0.4
        sample[name] = fo.Detections(detections=boxes)
    dataset.add_sample(sample)
    unlabelled.ground_truth = None
    held_out.tags.append("val")
    unlabelled.save()
    held_out.save()
    dataset.delete_samples([gone.id])


def predictions_changed(dataset: fo.Dataset) -> None:
    for sample in dataset.skip(5).limit(2):
        sample.predictions.detections.reverse()
        for box in sample.predictions.detections[:2]:
            box.confidence = 0.97
        sample.save()


def boxes_hold_what_others_wrote(dataset: fo.Dataset) -> None:
    sample = labelled(dataset)[0]
    for box in [*sample.predictions.detections, *sample.ground_truth.detections]:
        box["run_difficulty"], box["run_error"], box.tags = 0.123, "background", []
    sample["run_weight"] = 7.0
    sample.tags = []
    sample.save()


def reviewed(dataset: fo.Dataset) -> None:
    mistakes = dataset.filter_labels("predictions", fo.ViewField("run_state") == "unreviewed")
    ids = [box.id for sample in mistakes for box in sample.predictions.detections][:3]
    for label_id, state in zip(ids, ("missing_label", "hard_negative", "ignore"), strict=True):
        foo.get_operator(TRIAGE)(dataset, run_key="run", state=state, label_ids=[label_id], reviewer="ann")
    foo.get_operator(APPLY)(dataset, run_key="run")


def is_alarm(box: fo.Detection) -> bool:
    return bool(box.get_attribute_value("run_error", None) == "background")


def nothing(dataset: fo.Dataset) -> None:
    pass


def labelled(dataset: fo.Dataset) -> list[Any]:
    """The samples of the mined split with two labels."""
    mined = dataset.match_tags("val", bool=False)
    return list(mined.match(fo.ViewField("ground_truth.detections").length() > 1))


CHANGES: tuple[Callable[[fo.Dataset], None], ...] = (
    *(nothing, labels_added_removed_moved_and_relabelled, given_a_new_class, predictions_changed),
    *(samples_added_deleted_unlabelled_and_held_out, boxes_hold_what_others_wrote, reviewed),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_same_as_from_scratch(dataset: fo.Dataset, change: Callable[[fo.Dataset], None]) -> None:
    change(dataset)
    written = again_and_from_scratch(dataset)
    if change is nothing:
        assert written == 0


def test_only_what_changed_is_read_matched_and_written(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dataset.skip(3).first().id
    added(dataset)
    read, matched, wrote = [], [], []
    monkeypatch.setattr(
        rereading,
        "read_columns",
        watched(rereading.read_columns, lambda ids, _: read.extend(map(str, ids))),
    )

    def match(predictions: Any, truth: Any, settings: Any) -> Any:
        matched.extend(truth.images[i] for i in {*truth.image.tolist(), *predictions.image.tolist()})
        return original(predictions, truth, settings)

    original = again.match_detections
    monkeypatch.setattr(again, "match_detections", match)
    writing = writeback._write

    def write(fence: Any, collection: Any, job: Any, parts: Any) -> None:
        wrote.extend(str(job.sample_ids[i]) for images in parts for i in images)
        writing(fence, collection, job, parts)

    monkeypatch.setattr(writeback, "_write", write)
    done = mine(dataset)
    assert read == matched == [changed]
    assert changed in wrote
    assert len(wrote) == done["written"] < len(dataset)


def watched(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def called(*args: Any) -> Any:
        found = function(*args)
        note(*found)
        return found

    return called


def test_of_a_copy_that_was_just_made_only_what_was_mended_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(random_scene(7, images=14))
    mine(dataset)
    sample = next(each for each in dataset if any(map(is_alarm, each.predictions.detections)))
    label = next(box.id for box in sample.predictions.detections if is_alarm(box))
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="missing_label", label_ids=[f"prediction:{label}"])
    foo.get_operator(MEND)(dataset, "run")
    read: list[str] = []
    monkeypatch.setattr(
        rereading, "read_columns", watched(rereading.read_columns, lambda ids, _: read.extend(map(str, ids)))
    )
    copy = {"gt_field": "ground_truth_corrected"}
    done = mine(dataset, **copy)
    assert read == [sample.id]
    assert 0 < done["written"] < len(dataset)
    ours = everything(dataset, done)
    foo.get_operator(DELETE)(dataset, "run")
    theirs = everything(dataset, mine(dataset, **copy))
    for name, value in theirs.items():
        assert ours[name] == value, name


def test_an_edit_while_a_run_is_written_is_seen_by_the_next(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    foo.get_operator(DELETE)(dataset, "run")
    writing, sample = writeback._write, labelled(dataset)[0]

    def edit_first(*args: Any) -> None:
        x, y, width, height = sample.ground_truth.detections[0].bounding_box
        changed = {"ground_truth.detections.0.bounding_box": [x, y, width + 0.01, height]}
        moment = {"last_modified_at": rereading.moment_of(1_800_000_000_000)}
        dataset._sample_collection.update_one({"_id": rereading.ObjectId(sample.id)}, {"$set": changed | moment})
        writing(*args)

    monkeypatch.setattr(writeback, "_write", edit_first)
    mine(dataset)
    monkeypatch.undo()
    again_and_from_scratch(dataset)


def test_a_view_that_hides_boxes_is_mined_from_scratch(dataset: fo.Dataset) -> None:
    few = dataset.filter_labels("predictions", fo.ViewField("confidence") > 0.5)
    settings = records.settings_of(dataset, "run")
    record = records.find(dataset, "run")
    assert memory.recall(dataset.limit(4), record, settings) is not None
    assert memory.recall(few, record, settings) is None
    assert again_and_from_scratch(dataset, few) == len(dataset.exists("run_score"))


def test_other_thresholds_too(dataset: fo.Dataset) -> None:
    assert again_and_from_scratch(dataset, confidence_threshold=0.7) > 0
    again_and_from_scratch(dataset, iou_threshold=0.6)
    again_and_from_scratch(dataset, dataset.limit(6))


def test_the_memory_goes_with_the_run_and_a_damaged_one_is_not_used(dataset: fo.Dataset) -> None:
    run_id = records.find(dataset, "run").run_id
    assert memory._load(run_id) is not None
    lifecycle.rename(dataset, "run", "other")
    assert memory._load(records.find(dataset, "other").run_id) is not None
    lifecycle.rename(dataset, "other", "run")
    file = memory.access.files().find_one({memory.OWNER: run_id})
    memory.access.files().delete(file._id)
    memory.access.files().put(b"damaged", metadata={"hnm_memory_of": run_id})
    assert memory._load(run_id) is None
    added(dataset)
    again_and_from_scratch(dataset)
    run_id = records.find(dataset, "run").run_id
    foo.get_operator(DELETE)(dataset, "run")
    assert memory.access.files().find_one({memory.OWNER: run_id}) is None
