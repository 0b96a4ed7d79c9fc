"""A review that a process keeps shows, after whatever happened, what one that is read anew shows."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.review import sheets, triage
from fiftyone_plugin.review.session import Review, open_review
from fiftyone_plugin.runs import records
from hnm_core.labels.estimate import estimate_labels
from hnm_core.labels.reviews import ONE_SIDED, STATES
from tests.datasets import APPLY, DELETE, FIELDS, MINE, RENAME, dataset_of
from tests.scenes import random_scene


def mined(dataset: fo.Dataset, key: str = "run", **settings: Any) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **{"hard_negative_ratio": 1.0, **settings})


def shown(review: Review) -> list[Any]:
    """What is shown of a review, to the last bit."""
    now = review.estimate_now()
    numbers = now.expected_label_errors, now.expected_interval, now.notes, now.suspicions.strata.by_error()
    arrays = now.weights, now.repeats, now.suspicion, now.image_scores, review.answers, review.doubtful, review.open
    facts = review.mended(), review.unreviewed_count(), review.next(), review.with_twins(review.keys[:3])
    return [repr((numbers, facts)), *(each.tobytes() for each in arrays)]


def estimated_anew(review: Review) -> list[Any]:
    engine, evidence = review.settings.engine, review.evidence
    found = estimate_labels(review.mistakes, review.answers.copy(), review.images, engine, evidence=evidence)
    return [found.suspicion.tolist(), found.weights.tolist(), found.expected_label_errors, found.expected_interval]


@pytest.mark.parametrize("seed", range(3))
def test_after_any_reviews_it_is_what_is_read_anew(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dataset = dataset_of(random_scene(seed, images=12))
    mined(dataset)
    mined(dataset, "other", iou_threshold=0.6)
    kept, moved = open_review(dataset, "run"), set()
    for step in range(12):
        free = [kept.keys[row] for row in np.flatnonzero(kept.open).tolist()]
        some = [str(key) for key in rng.choice(free, min(len(free), int(rng.choice([1, 5]))), replace=False)]
        if step % 4 == 3:
            triage.undo(dataset)
        elif step % 4 == 2 and len(some) > 1:
            one_side = [key for key in some if key.partition(":")[0] == some[0].partition(":")[0]]
            sheets.answer(dataset, "run", one_side, "hard_negative", one_side[1:2])
        else:
            side = some[0].partition(":")[0]
            fits = [state for state in STATES if ONE_SIDED.get(state, (side,))[0] == side]
            triage.triage(dataset, "run", str(rng.choice(fits)), some[:1])
        if step == 7:
            mined(dataset, overwrite=True)  # the reviews are inherited by the run that replaces it
        again = open_review(dataset, "run")
        assert (again is kept) == (step != 7), "mined again, it is read again"
        kept, anew = again, Review(dataset, "run")
        assert shown(kept) == shown(anew), f"step {step}"
        found = kept.estimate_now()
        numbers = [found.suspicion.tolist(), found.weights.tolist()]
        assert [*numbers, found.expected_label_errors, found.expected_interval] == estimated_anew(kept)
        moved.add(found.expected_label_errors)
    assert len(moved) > 4, "the reviews changed something"


def test_what_another_process_reviews_is_seen_at_the_next_look() -> None:
    dataset = dataset_of(random_scene(0, images=12))
    dataset.persistent = True
    mined(dataset)
    review = open_review(dataset, "run")
    before, (key, other, *_) = shown(review), [review.keys[row] for row in np.flatnonzero(review.open).tolist()]
    code = "import sys, fiftyone as fo; from fiftyone_plugin.review import triage; name, key = sys.argv[1:]; "
    code += "triage.triage(fo.load_dataset(name), 'run', 'hard_negative', [key])"
    subprocess.run([sys.executable, "-c", code, dataset.name, key], check=True, capture_output=True)
    assert open_review(dataset, "run") is review
    assert shown(review) == shown(Review(dataset, "run")) != before
    assert review.state[review.row(key)] == STATES.index("hard_negative")
    assert review.state[review.row(other)] == 0


def test_a_renamed_or_deleted_run_is_not_the_one_that_was_kept() -> None:
    dataset = dataset_of(random_scene(0, images=12))
    mined(dataset)
    review = open_review(dataset, "run")
    foo.get_operator(RENAME)(dataset, "run", "new")
    with pytest.raises(ValueError, match="has no mining run 'run'"):
        open_review(dataset, "run")
    renamed = open_review(dataset, "new")
    assert renamed is not review
    assert renamed.settings.run_key == renamed.record.key == "new"
    mined(dataset, iou_threshold=0.7)
    assert open_review(dataset, "run").settings.engine.iou_threshold == 0.7
    foo.get_operator(DELETE)(dataset, run_key="run")
    with pytest.raises(ValueError, match="has no mining run 'run'"):
        open_review(dataset, "run")


def test_a_record_is_unchanged_until_somebody_begins_to_change_its_run() -> None:
    dataset = dataset_of(random_scene(0, images=12))
    mined(dataset)
    changes = (
        lambda: mined(dataset, overwrite=True),
        lambda: foo.get_operator(APPLY)(dataset, "run"),
        lambda: foo.get_operator(RENAME)(dataset, "run", "new"),
        lambda: foo.get_operator(DELETE)(dataset, run_key="new"),
    )
    for change in changes:
        record = records.usable(dataset)[0]
        assert records.is_unchanged(dataset, record)
        triage.triage(dataset, record.key, "ignore", [open_review(dataset, record.key).keys[0]])
        assert records.is_unchanged(dataset, record), "a review changes no run"
        change()
        assert not records.is_unchanged(dataset, record)
