"""Samples that nobody labelled and on which the model fires: look-alikes of a surer one are added last."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest

from fiftyone_plugin.actions import unlabelled
from fiftyone_plugin.runs import records
from hnm_core.export import ExportImage
from tests.datasets import FIELDS, MINE, dataset_of
from tests.scenes import HERE, scene
from tests.stripes import LEFT, SIDE, striped

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """A mined image and five that nobody labelled: a thing, the same again, another, one that is gone, a bent box."""
    import fiftyone.operators as foo

    found = dataset_of(scene([("mined", "cat", 0.9, HERE)], [("mined", "cat", HERE)]))
    foo.get_operator(MINE)(found, **FIELDS, run_key="run")
    x0, y0, x1, y1 = (edge / SIDE for edge in LEFT)
    box = [x0, y0, x1 - x0, y1 - y0]
    for name, number, score, where in (
        ("again", 0, 0.8, box),
        ("first", 0, 0.9, box),
        ("other", 1, 0.6, box),
        ("gone", None, 0.7, box),
        ("bent", 1, 0.55, [0.5, 0.5, -0.1, float("nan")]),
    ):
        path = tmp_path / f"{name}.png"
        if number is not None:
            Image.fromarray(striped(number)).save(path)
        faint = fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], confidence=0.3)
        sure = fo.Detection(label="cat", bounding_box=where, confidence=score)
        found.add_sample(fo.Sample(filepath=str(path), predictions=fo.Detections(detections=[faint, sure])))
    return found


@pytest.mark.filterwarnings("ignore:.* images are not compared")
def test_what_looks_like_a_surer_one_comes_last(dataset: fo.Dataset) -> None:
    settings, _ = records.load(dataset, "run")
    found = unlabelled.firing(dataset, settings)
    name = {sample.id: Path(sample.filepath).stem for sample in dataset}
    assert {name[each]: (fires.scores, fires.place) for each, fires in found.items()} == {
        "again": ([0.8], 1),
        "first": ([0.9], 0),
        "other": ([0.6], 0),
        "gone": ([0.7], 0),
        "bent": ([0.55], 0),
    }
    images = [unlabelled.as_added(ExportImage("a.png", each), found) for each in name]
    assert [image.place for image in images if image.added] == [1, 0, 0, 0, 0]
    assert np.sum([not image.added for image in images]) == 1


def test_a_tag_says_which_are_known_to_hold_no_object(dataset: fo.Dataset) -> None:
    settings, _ = records.load(dataset, "run")
    known = dataset.match(fo.ViewField("filepath").ends_with("other.png"))
    known.tag_samples("empty_street")
    assert list(unlabelled.firing(dataset, settings, "empty_street")) == known.values("id")
    with pytest.raises(ValueError, match="no sample has the tag 'nowhere': background_tag names those known"):
        unlabelled.firing(dataset, settings, "nowhere")


def test_nothing_fires_where_everything_is_labelled(dataset: fo.Dataset) -> None:
    settings, _ = records.load(dataset, "run")
    dataset.delete_samples(dataset.match(~fo.ViewField("ground_truth").exists()))
    assert unlabelled.firing(dataset, settings) == {}
