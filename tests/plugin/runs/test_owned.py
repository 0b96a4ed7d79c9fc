"""A field that somebody renames after mining: the run says so, and deleting or replacing it leaves nothing behind."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.runs import records
from tests.datasets import APPLY, DELETE, EXPORT, FIELDS, MEND, MINE, RENAME, TRIAGE, VIEW, dataset_of, stored


def call(operator: str, dataset: fo.Dataset, **params: Any) -> Any:
    return foo.get_operator(operator)(dataset, **params)


def content(dataset: fo.Dataset) -> dict[str, Any]:
    """What is stored, whatever the order of fields: renaming one moves it to the end."""
    found = stored(dataset)
    return found | {"documents": [dict(sorted(each.items())) for each in found["documents"]]}


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of()
    made.limit(1).tag_labels("hard_negative", label_fields="predictions")  # the user's own
    return made


@pytest.mark.parametrize("field", ["predictions", "ground_truth"])
def test_deleting_the_run_leaves_nothing_in_the_renamed_field(dataset: fo.Dataset, field: str) -> None:
    before = content(dataset)
    for key in ("run", "other"):
        call(MINE, dataset, **FIELDS, run_key=key, hard_negative_ratio=1.0)
    dataset.rename_sample_field(field, "renamed")
    call(DELETE, dataset, run_key="run")
    assert not [path for path in dataset.get_field_schema(flat=True) if ".run_" in path or path.startswith("run_")]
    assert "hard_negative" in dataset.count_label_tags("renamed")  # the other run's
    call(DELETE, dataset, run_key="other")
    dataset.rename_sample_field("renamed", field)
    assert content(dataset) == before


def test_everything_else_says_what_happened_and_what_helps(dataset: fo.Dataset, tmp_path: Any) -> None:
    call(MINE, dataset, **FIELDS, run_key="run")
    dataset.rename_sample_field("ground_truth", "truth")
    before = stored(dataset)
    for operator, more in (
        (VIEW, {}),
        (APPLY, {}),
        (MEND, {}),
        (TRIAGE, {"state": "ignore", "label_ids": ["x"]}),
        (EXPORT, {"output_dir": str(tmp_path / "out")}),
        (RENAME, {"new_run_key": "other"}),
    ):
        with pytest.raises(
            ValueError, match=r"'ground_truth', which is gone, .* in 'truth' now: rename the field back"
        ):
            call(operator, dataset, run_key="run", **more)
        assert stored(dataset) == before
    dataset.rename_sample_field("truth", "ground_truth")
    assert not records.find(dataset, "run").problem
    call(RENAME, dataset, run_key="run", new_run_key="other")


def test_mining_again_under_its_key_takes_the_renamed_field(dataset: fo.Dataset) -> None:
    before = content(dataset)
    call(MINE, dataset, **FIELDS, run_key="run")
    dataset.rename_sample_field("ground_truth", "truth")
    call(MINE, dataset, pred_field="predictions", gt_field="truth", run_key="run", overwrite=True)
    assert not records.find(dataset, "run").problem
    call(DELETE, dataset, run_key="run")
    dataset.rename_sample_field("truth", "ground_truth")
    assert content(dataset) == before


def test_a_copy_that_somebody_makes_is_theirs(dataset: fo.Dataset) -> None:
    call(MINE, dataset, **FIELDS, run_key="run")
    dataset.clone_sample_field("ground_truth", "backup")
    assert not records.find(dataset, "run").problem
    call(DELETE, dataset, run_key="run")
    assert dataset.get_field("backup.detections.run_error") is not None
