"""What the fuzzer damages: each reader of files and parameters, with good input for it."""

from __future__ import annotations

import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BOX = {"image_id": 0, "category_id": 1, "bbox": [1, 1, 9, 9]}
SIZE = {"width": 40, "height": 40}
TRUTH: dict[str, Any] = {
    "images": [{"id": number, "file_name": f"{number}.png", **SIZE} for number in range(2)],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [{**BOX, "id": 0, "iscrowd": 0}, {**BOX, "id": 1, "image_id": 1}],
}
FOUND = [{**BOX, "score": 0.9}, {**BOX, "category_id": 2, "bbox": [20, 20, 5, 5], "score": 0.6}]
REVIEW = {"image": "0.png", "side": "prediction", "class": "cat", "bbox": [0.1, 0.1, 0.2, 0.2], "state": "ignore"}
PARAMETERS: dict[str, Any] = {
    **{"pred_field": "predictions", "gt_field": "ground_truth", "run_key": "run", "overwrite": False},
    **{"class_confidence": {"cat": 0.5}, "class_map": {"van": "car"}, "classes": ["cat"], "max_per_group": 0},
    "class_rows": {"c0": {"label": "cat", "confidence": 0.5, "iou": None}},
}
DATA = b"train: images/train\nval: images/train\nnames: [cat, dog]\n"
CORNERS = b"cat .9 1 1 9 9\nred dog .6 5 5 20.5 20\n"
CSV = b"filename,width,height,class,xmin,ymin,xmax,ymax,score\na.png,40,40,cat,1,1,9,9,.9\nb.png,40,40,,,,,,\n"
XML = b"""<annotation><filename>a.png</filename><size><width>40</width><height>40</height></size><object>
<name>cat</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""
WEIGHTS = b"filepath,split,weight,repeats\n0.png,train,1.5,2\n1.png,val,1,1\n"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6173855"
    "0000000049454e44ae426082"
)
EXPORT: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"images/train/{n}.png", "width": 1, "height": 1, "weight": 1} for n in range(2)],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}],
}
SETTINGS: dict[str, Any] = {
    "export": {"layout": "coco", "media": "copy", "only_hard": True, "easy_share": 0.5, "first_category_id": 1},
    "sheets": {"sheet_size": 24, "sheet_order": "suspected", "sheet_gain": "labels", "twin_distance": 0.1},
    "trainer": {"epochs": 1, "imgsz": 64, "batch": -1, "device": None},
}
LISTS = {"detections": 9, "errors": 2, "verifier": {"average_precision": 0.5, "roc_auc": 0.5}}
VERIFIER: dict[str, Any] = {
    **{"what": "hnm verifier", "format": 1, "version": "0", "folds": 5, "classes": ["cat"], "digest": "0"},
    "quality": {"lists": {"confident": {**LISTS, "lowest_confidence": LISTS["verifier"]}}, "images": 2, "own_fit": 1.0},
}
VERIFIER["quality"]["notes"] = ["a"]
SEEN = {"bbox": [1.0, 1.0, 9.0, 9.0], "class": "cat", "confidence": 0.9}
LISTED = {"error": "confident", "difficulty": 0.5, "ranked_by": "verifier", "track": 1, "prediction": SEEN}
FRAME = {"image": "a.png", "number": 1, "seconds": 0.1, "size": [40, 40], "predictions": [SEEN], "proposals": [LISTED]}
WATCHED: dict[str, Any] = {
    **{"clip": "a.mp4", "first": 1, "last": 2, "seconds": 0.2, "counts": {"frames": 2, "detections": 1}},
    **{"frames": [FRAME], "end": False, "notes": ["a"], "cut_off": False},
}
LINES = b"0 .5 .5 .2 .2 .9\n1 .3 .3 .1 .1 .8\n"


def coco(folder: Path, data: bytes) -> None:
    """Read predictions."""
    from hnm_core import mine
    from hnm_core.io import read_coco

    (folder / "truth.json").write_text(json.dumps(TRUTH))
    (folder / "found.json").write_bytes(data)
    mine(*read_coco(folder / "truth.json", folder / "found.json"))


def truth(folder: Path, data: bytes) -> None:
    """Read a ground truth."""
    from hnm_core import mine
    from hnm_core.io import read_coco

    (folder / "truth.json").write_bytes(data)
    (folder / "found.json").write_text(json.dumps(FOUND))
    mine(*read_coco(folder / "truth.json", folder / "found.json"))


def yolo(folder: Path, data: bytes, name: str = "data.yaml") -> None:
    """Read a data set, of which one file is damaged."""
    from hnm_core import mine
    from hnm_core.io import read_yolo

    label = b"\n".join(line[:13] for line in LINES.splitlines())
    files = {"data.yaml": DATA, "labels/train/a.txt": label, "found/a.txt": LINES, "images/train/a.png": b""}
    for file, content in {**files, name: data}.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    mine(*read_yolo(folder / "data.yaml", split="train", predictions=folder / "found"))


def labels(folder: Path, data: bytes) -> None:
    """Read predictions as lines of text."""
    yolo(folder, data, "found/a.txt")


def reviews(folder: Path, data: bytes) -> None:
    """Read reviews."""
    from hnm_core.io.reviews_file import read_reviews

    (folder / "reviews.json").write_bytes(data)
    read_reviews(folder / "reviews.json", ("0.png", "1.png"), None)


def mining(folder: Path, data: bytes) -> None:
    """Load a stored mining."""
    from hnm_core.io.mining_folder import load_mining

    if not (folder / "run").exists():
        _save(folder / "run")
    (folder / "run" / "mining.json").write_bytes(data)
    load_mining(folder / "run")


def parameters(_: Path, data: bytes) -> None:
    """Read what an operator was sent."""
    from fiftyone_plugin.actions.strategies import check_registered
    from fiftyone_plugin.settings import RunSettings, switch_of

    given = json.loads(data)
    if isinstance(given, dict):
        switch_of(given, "overwrite")
        check_registered(RunSettings.from_params(given).engine.strategy)


def _tables() -> tuple[Any, Any]:
    from hnm_core import Detections

    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]])
    names = ("0.png", "1.png"), ("cat", "dog")
    found = Detections(np.array([0, 1]), boxes, np.array([0, 1]), np.array([0.9, 0.8]), *names)
    return found, Detections(np.array([0]), boxes[:1], np.array([0]), None, *names)


def _save(folder: Path) -> None:
    from hnm_core import mine
    from hnm_core.io.mining_folder import save_mining

    save_mining(folder, mine(*_tables()), {"a": "b"}, {})


def _record() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder) / "run")
        return (Path(folder) / "run" / "mining.json").read_bytes()


def lines(folder: Path, data: bytes) -> None:
    """Read predictions as lines of class, score and corners."""
    from hnm_core import mine
    from hnm_core.io import read_any

    for name, content in (("truth", b"cat 1 1 9 9\ndog 5 5 20 20 difficult\n"), ("found", data)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "a.txt").write_bytes(content)
    mine(*read_any(folder / "truth", folder / "found"))


def table(folder: Path, data: bytes) -> None:
    """Read one CSV file as truth and as predictions."""
    from hnm_core import mine
    from hnm_core.io import read_any

    (folder / "boxes.csv").write_bytes(data)
    mine(*read_any(folder / "boxes.csv", folder / "boxes.csv"))


def voc(folder: Path, data: bytes) -> None:
    """Read Pascal VOC."""
    from hnm_core import mine
    from hnm_core.io import read_any

    (folder / "truth").mkdir(exist_ok=True)
    (folder / "truth" / "a.xml").write_bytes(data)
    (folder / "found.csv").write_bytes(CSV)
    mine(*read_any(folder / "truth", folder / "found.csv"))


def parquet(folder: Path, data: bytes) -> None:
    """Read a table whose description of itself is damaged."""
    import pyarrow
    import pyarrow.parquet

    from hnm_core.io import read_parquet, write_parquet

    write_parquet(_tables()[0], folder / "good.parquet")
    good = pyarrow.parquet.read_table(folder / "good.parquet")
    (key,) = good.schema.metadata
    pyarrow.parquet.write_table(good.replace_schema_metadata({key: data}), folder / "odd.parquet")
    read_parquet(folder / "odd.parquet")


def names(folder: Path, data: bytes) -> None:
    """Read the class names of a checkpoint."""
    from hnm_core.io.model_names import read_model_names

    with zipfile.ZipFile(folder / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", data)
    read_model_names(folder / "best.pt")


def weights(folder: Path, data: bytes) -> None:
    """Read a list of weights, as a trainer and as a check of an export do."""
    from hnm_core.training.mining import read_weights
    from hnm_core.verify.promises import read_promises

    (folder / "weights.csv").write_bytes(data)
    read_promises(folder)
    read_weights(folder / "weights.csv", [str(folder / "0.png")])


def export(folder: Path, data: bytes) -> None:
    """Read an export back, as several trainers would."""
    from hnm_core.verify import verify_for

    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
    for number in range(2):
        (folder / "images" / "train" / f"{number}.png").write_bytes(PIXEL)
    (folder / "annotations" / "train.json").write_bytes(data)
    (folder / "weights.csv").write_bytes(WEIGHTS)
    verify_for(folder, ["mmdet", "detectron2", "lightly"])


def regions(folder: Path, data: bytes) -> None:
    """Read regions that the loss leaves out."""
    from hnm_core.settings.mining import IGNORE_RULES
    from hnm_core.training.regions import read_regions

    (folder / "regions.json").write_bytes(data)
    read_regions(folder / "regions.json", _tables()[1], tuple(IGNORE_RULES))


def plan(folder: Path, data: bytes) -> None:
    """Read the plan of a training."""
    from hnm_core.training.plan import TrainingPlan

    (folder / "plan.json").write_bytes(data)
    TrainingPlan.load(folder / "plan.json")


def settings(_: Path, data: bytes) -> None:
    """Read the settings of an export, of sheets, and of a training's process, as they are sent."""
    from hnm_core.export.settings import ExportSettings
    from hnm_core.settings import SheetSettings
    from hnm_core.training.plan import TrainerSettings

    given = json.loads(data)
    for kind, name in ((ExportSettings, "export"), (SheetSettings, "sheets"), (TrainerSettings, "trainer")):
        if isinstance(given, dict) and isinstance(given.get(name), dict):
            kind.from_dict(given[name])


def verifier(folder: Path, data: bytes) -> None:
    """Load a verifier whose record is damaged."""
    from hnm_core.live import Verifier

    shapes = {"weights": (2, 3), "offsets": (2,), "centre": (3,), "scale": (3,)}
    arrays: Any = {name: np.ones(shape) for name, shape in shapes.items()}
    np.savez(folder / "verifier.npz", record=np.array(data.decode("utf-8", "replace")), **arrays)
    Verifier.load(folder / "verifier.npz")


def watched(folder: Path, data: bytes) -> None:
    """Go on with a watch, of which a piece is damaged."""
    from hnm_core.live.choosing import Chooser
    from hnm_core.live.watch_folder import WatchFolder
    from hnm_core.live.watched import summary

    for name in ("pieces", "images"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(PIXEL)
    (folder / "watch.json").write_text(json.dumps({"what": "hnm watch", "format": 1, "names": ["cat"]}))
    (folder / "pieces" / "000001.json").write_bytes(data)
    before = WatchFolder(folder, {"names": ["cat"]})
    with before.opened():
        before.remind(Chooser(0.1))
        before.finish()
    summary(before, "verifier", False, False, [])


def shards(folder: Path, data: bytes) -> None:
    """Read a shard."""
    from hnm_core import mine
    from hnm_core.io.shard_reading import read_whole

    (folder / "part-00000-of-00001.parquet").write_bytes(data)
    shard = read_whole(folder / "part-00000-of-00001.parquet")
    mine(shard.predictions, shard.truth, groups=shard.groups, evidence=shard.evidence)


def _shard() -> bytes:
    from hnm_core.io import Shard, write_shards

    with tempfile.TemporaryDirectory() as folder:
        written = Shard(
            *_tables(), ["a", "b"], {"one": np.array([1.0, np.nan])}, None, np.ones((2, 2)), ["0.png", None]
        )
        (path,) = write_shards(Path(folder) / "shards", written).iterdir()
        return path.read_bytes()


def _world() -> bytes:
    import pyarrow.parquet

    from hnm_core.io import write_parquet

    with tempfile.TemporaryDirectory() as folder:
        write_parquet(_tables()[0], Path(folder) / "good.parquet")
        (world,) = pyarrow.parquet.read_schema(Path(folder) / "good.parquet").metadata.values()
    return bytes(world)


def _plan() -> bytes:
    from hnm_core.training.plan import TrainingPlan

    with tempfile.TemporaryDirectory() as folder:
        TrainingPlan(mine_every=2, reviews="reviews.json").save(Path(folder) / "plan.json")
        return (Path(folder) / "plan.json").read_bytes()


Target = Callable[[Path, bytes], None]
TARGETS: dict[str, tuple[Target, Callable[[], bytes]]] = {
    "coco": (coco, lambda: json.dumps(FOUND).encode()),
    "truth": (truth, lambda: json.dumps(TRUTH).encode()),
    "data.yaml": (yolo, lambda: DATA),
    "labels": (labels, lambda: LINES),
    "reviews": (reviews, lambda: json.dumps([REVIEW, REVIEW]).encode()),
    "mining": (mining, _record),
    "lines": (lines, lambda: CORNERS),
    "table": (table, lambda: CSV),
    "voc": (voc, lambda: XML),
    "parquet": (parquet, _world),
    "names": (names, lambda: pickle.dumps({"model": {"names": {0: "cat", 1: "dog"}}, "ema": None})),
    "weights": (weights, lambda: WEIGHTS),
    "export": (export, lambda: json.dumps(EXPORT).encode()),
    "regions": (regions, lambda: json.dumps({**TRUTH, "annotations": [{**BOX, "id": 0, "iscrowd": 1}]}).encode()),
    "plan": (plan, _plan),
    "settings": (settings, lambda: json.dumps(SETTINGS).encode()),
    "verifier": (verifier, lambda: json.dumps(VERIFIER).encode()),
    "watched": (watched, lambda: json.dumps(WATCHED).encode()),
    "shards": (shards, _shard),
    "parameters": (parameters, lambda: json.dumps(PARAMETERS).encode()),
}
"""Name → what reads damaged input, and the good input."""
