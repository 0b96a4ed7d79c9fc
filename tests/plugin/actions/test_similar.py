"""More like this: hand-made embeddings, FiftyOne Brain's own index, and only what is unlabelled and not held out."""

from __future__ import annotations

import json

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.actions import similar
from fiftyone_plugin.runs import lifecycle
from tests.datasets import FIELDS, MINE, by_name, dataset_of, stored
from tests.plugin.forms.test_forms import form, problem
from tests.plugin.operators.test_operators import in_the_app, output
from tests.scenes import FAR, HERE, scene

SIMILAR = "@hnm/hard-negative-mining/find_similar_images"
VECTORS = {
    "wrong": [1, 0, 0],
    "odd": [0, 1, 0],
    "right": [0, 0, 1],
    "like_wrong": [2, 0.1, 0],
    "like_odd": [0.1, 1, 0],
    "like_right": [0, 0, 5],
    "held_out": [1, 0, 0],
}
POOL = ["like_wrong", "like_odd", "like_right", "held_out"]


@pytest.fixture
def dataset() -> fo.Dataset:
    """Two images with a false alarm, one without, three unlabelled ones, and an unlabelled one of the test split."""
    alarms = [("wrong", "cat", 0.9, FAR), ("odd", "cat", 0.8, FAR)]
    truth = [(name, "cat", HERE) for name in ("wrong", "odd", "right")]
    right = [(name, "cat", 0.9, HERE) for name in ("wrong", "odd", "right")]
    found = dataset_of(scene([*right, *alarms], truth, images=VECTORS), tags={"held_out": ["test"]})
    for name, sample in by_name(found).items():
        if name in POOL:
            sample["ground_truth"] = None
            sample["predictions"] = None
        sample["embedding"] = np.array(VECTORS[name], dtype=float)
        sample.save()
    foo.get_operator(MINE)(found.exists("ground_truth"), **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return found


def names(view: fo.DatasetView) -> list[str]:
    return [sample.filename.partition(".")[0] for sample in view]


def test_the_nearest_of_the_pool_come_first(dataset: fo.Dataset) -> None:
    shares: list[float] = []
    done = similar.find_similar(
        dataset,
        "run",
        embeddings_field="embedding",
        k=2,
        tag="to_label",
        progress=lambda share, label: shares.append(share),
    )
    assert (done["queries"], done["pool"], done["found"]) == (2, 3, 2)
    assert done["warnings"] == ["compared with 2 hard negatives, as mined: none is reviewed as hard_negative yet"]
    view = similar.similar(dataset, "run")
    assert names(view) == ["like_wrong", "like_odd"]
    assert view.first().run_distance == pytest.approx(1 - 2 / np.hypot(2, 0.1))
    assert names(dataset.match_tags("to_label")) == ["like_wrong", "like_odd"]
    assert view.first().id not in json.dumps(view._serialize())
    assert shares[-1] == 1.0


def test_brains_index_gives_the_same(dataset: fo.Dataset) -> None:
    similar.find_similar(dataset, "run", embeddings_field="embedding")
    by_field = similar.similar(dataset, "run").values("run_distance")
    fob.compute_similarity(dataset, embeddings="embedding", brain_key="images")
    similar.find_similar(dataset, "run", brain_key="images")
    assert similar.similar(dataset, "run").values("run_distance") == by_field
    assert len(by_field) == 3
    query = by_name(dataset)["wrong"].id
    theirs = dataset.match_tags("test", bool=False).exists("ground_truth", False)
    nearest = theirs.sort_by_similarity(query, brain_key="images", k=1)
    assert names(nearest) == names(similar.similar(dataset, "run"))[:1]


def test_what_a_person_confirmed_is_what_is_looked_for(dataset: fo.Dataset) -> None:
    sample = by_name(dataset)["odd"]
    sample.predictions.detections[1]["run_state"] = "hard_negative"
    sample.save()
    done = similar.find_similar(dataset, "run", embeddings_field="embedding", k=1)
    assert done["warnings"] == ["compared with 1 hard negatives, reviewed as such"]
    assert names(similar.similar(dataset, "run")) == ["like_odd"]


def test_an_index_of_objects_compares_objects(dataset: fo.Dataset) -> None:
    box = fo.Detection(label="cat", bounding_box=[0.1, 0.1, 0.2, 0.2], confidence=0.2)
    for sample in dataset.match_tags("test", bool=False).exists("ground_truth", False):
        sample["predictions"] = fo.Detections(detections=[box.copy(), box.copy()])
        sample.save()
    vectors = {name: [0.0, 0.0, 1.0] for name in dataset.values("predictions.detections.id", unwind=True)}
    samples = by_name(dataset)
    vectors[samples["wrong"].predictions.detections[1].id] = [1.0, 0.0, 0.0]
    vectors[samples["odd"].predictions.detections[1].id] = [0.0, 1.0, 0.0]
    vectors[samples["like_odd"].predictions.detections[1].id] = [1.0, 0.1, 0.0]
    for sample in dataset.exists("predictions"):
        for box in sample.predictions.detections:
            box["vector"] = vectors[box.id]
        sample.save()
    dataset.add_dynamic_sample_fields()
    fob.compute_similarity(dataset, patches_field="predictions", embeddings="vector", brain_key="objects")
    done = similar.find_similar(dataset, "run", brain_key="objects")
    assert (done["queries"], done["found"]) == (2, 3)
    distance = {name: sample.run_distance for name, sample in by_name(dataset).items()}
    assert distance["like_odd"] == pytest.approx(1 - 1 / np.hypot(1, 0.1))
    assert distance["like_wrong"] == 1
    dataset.clone_sample_field("predictions", "copy")
    foo.get_operator(MINE)(dataset.exists("ground_truth"), "copy", "ground_truth", "other")
    with pytest.raises(ValueError, match="the index contains objects of 'predictions', but run 'other' mined"):
        similar.find_similar(dataset, "other", brain_key="objects")


def test_deleting_the_run_takes_its_field_and_leaves_the_users_tag(dataset: fo.Dataset) -> None:
    similar.find_similar(dataset, "run", embeddings_field="embedding", k=1)
    similar.find_similar(dataset, "run", embeddings_field="embedding", k=2, tag="to_label")
    assert dataset.count("run_distance") == 2
    lifecycle.rename(dataset, "run", "new")
    assert dataset.count("new_distance") == 2
    lifecycle.delete(dataset, "new")
    assert not dataset.has_field("new_distance")
    assert len(dataset.match_tags("to_label")) == 2


def test_errors_say_what_there_is(dataset: fo.Dataset) -> None:
    before = stored(dataset)
    for options, sentence in (
        (
            {},
            "name a brain_key, a similarity index, or an embeddings_field .indexes here: none; fields of vectors: emb",
        ),
        ({"brain_key": "clip"}, "has no similarity index 'clip' .indexes here: none"),
        ({"embeddings_field": "filepath"}, "'filepath' is not a field of vectors"),
        (
            {"embeddings_field": "embedding", "pool_tag": "new"},
            "the pool is empty: no sample with tag 'new' is outside val and test",
        ),
        ({"embeddings_field": "embedding", "k": 0}, "k must be 1 or more images, got 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            foo.get_operator(SIMILAR)(dataset, "run", **options)
    dataset.match_tags("test", bool=False).exists("ground_truth", False).clear_sample_field("embedding")
    with pytest.raises(
        ValueError, match="none of the 3 images of the pool has an embedding: compute embeddings, or choose"
    ):
        similar.find_similar(dataset, "run", embeddings_field="embedding")
    assert stored(dataset)["schema"] == before["schema"]


def test_in_the_app(dataset: fo.Dataset) -> None:
    found = form(dataset, SIMILAR)
    assert problem(found) is None
    assert found["embeddings_field"]["default"] == "embedding"
    assert [choice["value"] for choice in found["pool_tag"]["view"]["choices"]] == ["hard_negative", "test"]
    result, calls = in_the_app(dataset, SIMILAR, run_key="run", embeddings_field="embedding", k=2)
    shown = fo.DatasetView._build(dataset, calls["set_view"]["view"])
    assert names(shown) == ["like_wrong", "like_odd"]
    assert "The grid shows the nearest 2 of 3 images" in output(SIMILAR, result)
    fob.compute_similarity(dataset, embeddings="embedding", brain_key="images")
    assert form(dataset, SIMILAR)["brain_key"]["default"] == "images"
    dataset.delete_brain_run("images")
    dataset.delete_sample_field("embedding")
    assert str(problem(form(dataset, SIMILAR))).startswith("name a brain_key, a similarity index")
