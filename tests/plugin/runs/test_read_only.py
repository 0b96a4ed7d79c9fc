"""Fields that somebody has protected are not written by any operator, nor what is in them."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from tests.datasets import ACCEPT, APPLY, DELETE, FIELDS, MEND, MINE, RENAME, TRIAGE, dataset_of, stored


def protect(dataset: fo.Dataset, path: str, *, read_only: bool = True) -> None:
    field = dataset.get_field(path)
    field.read_only = read_only
    field.save()


def call(operator: str, dataset: fo.Dataset, **params: Any) -> Any:
    return foo.get_operator(operator)(dataset, **params)


@pytest.mark.parametrize("path", ["ground_truth", "predictions.detections", "predictions.detections.tags", "tags"])
def test_a_dataset_with_a_protected_field_is_not_mined_into(path: str) -> None:
    dataset = dataset_of()
    protect(dataset, path)
    before = stored(dataset)
    with pytest.raises(ValueError, match=f"field '{path}' is read-only, .*set its read_only to False first"):
        call(MINE, dataset, **FIELDS, run_key="run")
    assert stored(dataset) == before
    protect(dataset, path, read_only=False)
    call(MINE, dataset, **FIELDS, run_key="run")


def test_labels_that_are_not_written_may_be_protected() -> None:
    dataset = dataset_of()
    protect(dataset, "predictions.detections.label")
    before = stored(dataset)
    call(MINE, dataset, **FIELDS, run_key="run")
    assert dataset.count("predictions.detections.run_error") > 0
    call(DELETE, dataset, run_key="run")
    assert stored(dataset) == before


def test_a_field_that_is_protected_later_stays_as_it_is_and_its_copies_can_be_edited() -> None:
    dataset = dataset_of()
    call(MINE, dataset, **FIELDS, run_key="run")
    found = dataset.values("predictions.detections[]", unwind=True)
    ids = [box.id for box in found if getattr(box, "run_state", None) and box.run_error != "true_positive"]
    call(TRIAGE, dataset, run_key="run", state="missing_label", label_ids=ids[:1])
    protect(dataset, "ground_truth")
    before = stored(dataset)
    for operator, more in (
        (MINE, {**FIELDS, "overwrite": True}),
        (TRIAGE, {"state": "ignore", "label_ids": ids[1:2]}),
        (APPLY, {}),
        (RENAME, {"new_run_key": "other"}),
        (DELETE, {}),
    ):
        with pytest.raises(ValueError, match="field 'ground_truth' is read-only"):
            call(operator, dataset, run_key="run", **more)
        assert stored(dataset) == before
    copies = [call(operator, dataset, run_key="run")["output_field"] for operator in (ACCEPT, MEND)]
    dataset.reload()
    assert [dataset.get_field(f"{copy}.detections.label").read_only for copy in copies] == [False, False]
    protect(dataset, copies[1])
    with pytest.raises(ValueError, match="field 'ground_truth_corrected' is read-only"):
        call(MEND, dataset, run_key="run")
