"""Exports from a dataset: every layout, subsets, crops, what a person took out, and the way back into FiftyOne."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from fiftyone_plugin.actions import export as export_action
from fiftyone_plugin.review.json_file import load_json
from fiftyone_plugin.review.ledger import Ledger, ReviewEntry
from hnm_core.io.reviews_file import read_reviews
from hnm_core.verify import verify_export
from tests.datasets import EXPORT, FIELDS, MINE

RUN = {**FIELDS, "run_key": "run"}
SIDE = 300


def box(x: float, y: float, side: float = 30) -> list[float]:
    return [x / SIDE, y / SIDE, side / SIDE, side / SIDE]


def detections(*rows: tuple[str, list[float]], confidence: float | None = None) -> fo.Detections:
    return fo.Detections(
        detections=[fo.Detection(label=label, bounding_box=where, confidence=confidence) for label, where in rows]
    )


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """Ten images, two of them held out: 0 takes a cat for a dog, 1 sees a cat in nothing, the others are right."""
    (tmp_path / "media").mkdir()
    random = np.random.default_rng(3)
    dataset = fo.Dataset()
    samples = []
    for i in range(10):
        path = tmp_path / "media" / f"{i}.png"
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        sample = fo.Sample(filepath=str(path), tags=["val"] if i >= 8 else ["train"])
        truths = [("cat", box(60, 60)), ("dog", box(200, 200))]
        sample["ground_truth"] = detections(*truths)
        seen = [("dog", box(60, 60)), truths[1]] if i == 0 else [*truths, ("cat", box(150, 20))] if i == 1 else truths
        sample["predictions"] = detections(*seen, confidence=0.9)
        samples.append(sample)
    dataset.add_samples(samples)
    foo.get_operator(MINE)(dataset, **RUN, hard_negative_ratio=1.0)
    return dataset


def export(dataset: fo.Dataset, to: Path, **params: Any) -> Any:
    """Through the executor, as the App does."""
    params = {"run_key": "run", "output_dir": str(to), **params}
    return foo.execute_operator(EXPORT, {"dataset": dataset}, params=params).result


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "weights.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("layout", "trainer"), [("ultralytics", "ultralytics"), ("yolov5", "yolov5"), ("coco", "mmdet"), ("torch", "torch")]
)
def test_every_layout_reads_back_as_promised(dataset: fo.Dataset, tmp_path: Path, layout: str, trainer: str) -> None:
    result = export(dataset, tmp_path / "out", layout=layout, media="symlink")
    assert result["images"] == {"train": 8, "val": 2}
    assert json.loads(json.dumps(result)) == result
    assert result["verification"][trainer]["ok"]
    found = verify_export(tmp_path / "out", trainer)
    assert found.ok, found.problems
    weights = dict(zip(*dataset.values(["id", "run_weight"]), strict=True))
    assert {row["sample_id"]: float(row["weight"]) for row in rows(tmp_path / "out")} == {
        sample_id: weight or 1.0 for sample_id, weight in weights.items()
    }


def test_hard_images_and_a_share_of_the_others(dataset: fo.Dataset, tmp_path: Path) -> None:
    assert export(dataset, tmp_path / "hard", only_hard=True)["images"] == {"train": 2, "val": 2}
    assert export(dataset, tmp_path / "half", only_hard=True, easy_share=0.5)["images"] == {"train": 5, "val": 2}


def test_unlabelled_images_on_which_the_model_fires_are_added_by_choice(dataset: fo.Dataset, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for name, score in (("fires", 0.8), ("fires_too", 0.95), ("quiet", 0.2), ("held_out", 0.9)):
        path = tmp_path / "media" / f"{name}.png"
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        tag = "val" if name == "held_out" else "train"
        sample = fo.Sample(filepath=str(path), tags=[tag])
        sample["predictions"] = detections(("cat", box(60, 60)), confidence=score)
        dataset.add_sample(sample)
    assert export(dataset, tmp_path / "plain")["images"] == {"train": 8, "val": 2}
    added = export(dataset, tmp_path / "added", add_background=True)
    assert added["images"] == {"train": 9, "val": 2}, "one in ten"
    (row,) = (row for row in rows(tmp_path / "added") if "fires" in row["filepath"])
    assert row["filepath"].endswith("fires_too.png")
    assert (row["weight"], row["errors"], row["split"]) == ("1.0", "background:1", "train")
    assert any("1 of 2 images without labels on which the model fires are added" in w for w in added["warnings"])
    label = tmp_path / "added" / row["filepath"].replace("images/", "labels/").replace(".png", ".txt")
    assert label.read_text() == ""


def test_crops_around_what_is_surely_a_mistake(dataset: fo.Dataset, tmp_path: Path) -> None:
    result = export(dataset, tmp_path / "out", crops=True)
    assert any(w.startswith("1 mistakes have no crop because their suspicion is") for w in result["warnings"])
    crops = [row for row in rows(tmp_path / "out") if "#crop" in row["sample_id"]]
    assert [Path(row["filepath"]).name for row in crops] == ["0__c1.png"]
    assert (tmp_path / "out/labels/train/0__c1.txt").read_text().startswith("0 ")
    dataset.set_values(
        "predictions.detections.run_suspicion", [[0.0, 0.0, 0.0] if i == 1 else [0.0, 0.0] for i in range(10)]
    )
    export(dataset, tmp_path / "judged", crops=True)
    assert (tmp_path / "judged/labels/train/1__c1.txt").is_file(), "a person judged, so there is a crop of it"


def test_what_a_person_took_out_is_ignored_where_there_is_a_place_for_it(dataset: fo.Dataset, tmp_path: Path) -> None:
    states = dataset.values("predictions.detections.run_state")
    states[1] = [state and "ignore" for state in states[1]]
    dataset.set_values("predictions.detections.run_state", states)
    result = export(dataset, tmp_path / "out", layout="coco", crops=True)
    assert "1 predictions reviewed as ignore are exported as regions to ignore (iscrowd)" in result["warnings"]
    content = json.loads((tmp_path / "out/annotations/train.json").read_text())
    crowds = [a for a in content["annotations"] if a["iscrowd"]]
    repeats = next(int(r["repeats"]) for r in rows(tmp_path / "out") if r["filepath"].endswith("/1.png"))
    assert [a["bbox"] for a in crowds] == [[150.0, 20.0, 30.0, 30.0]] * repeats
    plain = export(dataset, tmp_path / "yolo", crops=True)
    assert not any("ignore" in w or "crowd" in w.partition(",")[0] for w in plain["warnings"])


@pytest.mark.parametrize(("layout", "media"), [("ultralytics", "copy"), ("torch", "reference")])
def test_reviews_go_with_the_images(dataset: fo.Dataset, tmp_path: Path, layout: str, media: str) -> None:
    assert export(dataset, tmp_path / "before", layout=layout, media=media)["reviews"] == 0
    assert not (tmp_path / "before" / "reviews.json").exists()
    where = box(150, 20)
    review = ReviewEntry(
        dataset.values("id")[1], "prediction", "cat", (*where[:2], where[0] + where[2], where[1] + where[3]), "ignore"
    )
    Ledger(dataset).add([review])
    assert export(dataset, tmp_path / "out", layout=layout, media=media)["reviews"] == 1
    file = tmp_path / "out" / "reviews.json"
    images = [str(tmp_path / "out" / row["filepath"]) for row in rows(tmp_path / "out")]
    found = read_reviews(file, images)  # as hnm mine and hnm train do
    assert found.images == (images[1],)
    assert found.as_entries()[0]["state"] == "ignore"
    Ledger(dataset).undo()
    assert load_json(dataset, file) == (1, 0)


def test_an_export_without_its_reviews_is_none(
    dataset: fo.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: fo.Dataset, path: Path, *__: Any) -> int:
        path.write_text("[")
        raise KeyboardInterrupt

    monkeypatch.setattr(export_action, "save_json", killed)
    with pytest.raises(KeyboardInterrupt):
        export_action.export(dataset, "run", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
    assert not list(tmp_path.glob(".*"))


def test_back_into_fiftyone(dataset: fo.Dataset, tmp_path: Path) -> None:
    result = export(dataset, tmp_path / "out", only_hard=True, saved_view="curated", clone="curated_copy")
    assert (result["saved_view"], result["clone"]) == ("curated", "curated_copy")
    hard = set(dataset.match_tags("hard_negative").values("filepath"))
    assert set(dataset.load_saved_view("curated").values("filepath")) == hard
    copy = fo.load_dataset("curated_copy")
    try:
        assert copy.persistent
        assert set(copy.values("filepath")) == hard
        assert copy.count("ground_truth.detections") == 4
        for name, sentence in (
            ({"saved_view": "curated"}, "saved_view 'curated' is taken by saved view 'curated'"),
            ({"saved_view": "Curated!"}, "saved_view 'Curated!' is taken by saved view 'curated'"),
            ({"clone": "curated_copy"}, "is taken by dataset 'curated_copy': choose another name"),
            ({"clone": "Curated copy"}, "is taken by dataset 'curated_copy': choose another name"),
        ):
            with pytest.raises(ValueError, match=sentence):
                foo.get_operator(EXPORT)(dataset, "run", tmp_path / "new", **name)
        assert not (tmp_path / "new").exists()
    finally:
        copy.delete()


def form(dataset: fo.Dataset, **params: Any) -> dict[str, dict[str, Any]]:
    request = {"dataset_name": dataset.name, "params": {"run_key": "run", **params}}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=EXPORT)
    return dict(foo.get_operator(EXPORT).resolve_type(context, "inputs").to_json()["type"]["properties"])


def test_the_form_asks_for_what_matters_first(dataset: fo.Dataset, tmp_path: Path) -> None:
    assert list(form(dataset)) == ["run_key", "output_dir", "layout", "only_hard", "show_advanced"]
    assert form(dataset)["layout"]["default"] == "ultralytics"
    assert form(dataset)["layout"]["type"]["values"] == ["ultralytics", "yolov5", "coco", "rfdetr", "torch"]
    advanced = form(dataset, show_advanced=True)
    of_files = ["media", "easy_share", "crops", "first_category_id", "crowds", "ignored_regions"]
    assert list(advanced)[5:] == [*of_files, "add_background", "background_tag", "saved_view", "clone"]
    dataset.save_view("taken", dataset.limit(1))
    for params, sentence in (
        ({"easy_share": 0.5}, "easy_share keeps easy images beside the hard ones: it needs only_hard"),
        ({"layout": "yolov5", "media": "reference"}, "YOLOv5 reads no image twice"),
        ({"saved_view": "taken"}, "saved_view 'taken' is taken by saved view 'taken'"),
    ):
        assert sentence in form(dataset, output_dir=str(tmp_path / "new"), **params)["problem"]["error_message"]


def test_what_is_shown_when_it_is_done(dataset: fo.Dataset, tmp_path: Path) -> None:
    result = export(dataset, tmp_path / "out", layout="coco")
    context = ExecutionContext(request_params={"results": result}, operator_uri=EXPORT)
    shown = json.dumps(foo.get_operator(EXPORT).resolve_type(context, "outputs").to_json(), ensure_ascii=False)
    assert "8 train, 2 val images" in shown
    assert "detectron2: pycocotools, then detectron2's documented rules; background 0.0%" in shown
    assert "cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False" in shown
