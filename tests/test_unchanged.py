"""What the tool computes, as digests of values: moving, renaming and tidying must not change one bit of it.

``unchanged.json`` holds the digests. It is written anew only when a formula changes on purpose::

    python -m tests.test_unchanged --write       (or HNM_WRITE_DIGESTS=1 python -m pytest -n0 tests/test_unchanged.py)

and the commit that does so says which formula, and why. Never because this test fails: then the values have changed,
and the names of what differs say where. Texts, paths and times have no digest. Where a key of a record, a column, a
field, a file or a flag gets a new name, ``RENAMED`` says so, and the digests stay as they are.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.cli import main
from hnm_core.io import read_coco, read_yolo
from tests.detector_files import detector_scene, write_coco_files, write_yolo_files
from tests.digests import Digester, Parts, arithmetic, differences
from tests.scenes import scene

RENAMED: dict[str, str] = {
    **{"looks": "review_count", "cut": "left_out", "confident_predictions": "counted_predictions"},
}
"""Old name → new name: keys of records, columns, settings and their flags, leaves of fields, files. A key that moved
within a record is named by its path from the top: ``"report/mining/looks": "report/reviews/count"``."""

COMPARE_ORDER = ("later_run_key", "earlier_run_key")
"""What the operator calls the later run and the earlier one."""

STATES = ("hard_negative", "missing_label", "wrong_label", "ignore")
NAMES = {"localization", "classification", "duplicate", "background", "both", "missed", "small", "medium", "large"}
COLUMNS = ("error", "difficulty", "iou", "hard", "suspicion")
SHARED = {
    "coco100": ("coco100/gt.json", "coco100/results.json", None),
    "voc100": ("voc100/gt.json", "voc100/results.json", "voc100/images"),
    "bccd val": ("bccd/coco/instances_val.json", "bccd/preds/predictions_val.json", "bccd/images/val"),
    "bccd train": ("bccd/coco/instances_train.json", "bccd/preds/predictions_train.json", "bccd/images/train"),
    "cards test": ("cards/coco/instances_test.json", "cards/preds/predictions_test.json", "cards/images/test"),
}
OWN = ("own coco", "own yolo")

STRATEGIES = {name: {"strategy": name} for name in ("confidence_based", "iou_based", "loss_based")}
HEAVY = {
    **{"max_weight": 5.0, "hard_image_share": 0.6, "effective_sample_floor": 0.5, "background_share": 0.3},
    **{"repeat_threshold": 0.3, "seed": 3},
}
LIMITS = {
    **{"confidence_threshold": 0.3, "iou_threshold": 0.6, "hard_negative_ratio": 0.8, "max_per_image": 2},
    **{"max_per_class": 40, "candidates": ("false_positive",), "class_agnostic": True, "use_suspicion": False},
}
ALL = {"hard_negative_ratio": 1.0, "hard_image_share": 1.0}
OWN_CLASSES = {"class_confidence": {"cat": 0.7, "dog": 0.35}, "class_iou": {"dog": 0.65}, "iou_band": 0.3}
COCO_CLASSES = {"class_confidence": {"person": 0.7, "cup": 0.3}, "class_iou": {"person": 0.65}}

MININGS: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{f"{data} {name}": (data, knobs) for data in ("coco100", "voc100") for name, knobs in STRATEGIES.items()},
    **{f"own coco {name}": ("own coco", knobs) for name, knobs in STRATEGIES.items()},
    **{data: (data, {}) for data in ("bccd val", "bccd train", "cards test", "own yolo")},
    "coco100 class thresholds": ("coco100", COCO_CLASSES),
    "voc100 heavy weights": ("voc100", HEAVY),
    "cards test limits": ("cards test", LIMITS),
    "own coco class thresholds": ("own coco", OWN_CLASSES),
    "own coco heavy weights": ("own coco", HEAVY),
    "own yolo limits": ("own yolo", LIMITS),
    "own yolo all": ("own yolo", ALL),
}
REVIEWED = {"bccd val reviewed": "bccd val", "own coco reviewed": "own coco confidence_based"}
COMPARED = {
    "coco100 compared": ("coco100 confidence_based", "coco100 class thresholds"),
    "cards test compared": ("cards test", "cards test limits"),
    "own compared": ("own yolo", "own yolo limits"),
}
LAYOUTS = ("ultralytics", "yolov5", "coco", "torch")
EXPORTED: dict[str, tuple[str, tuple[str, ...]]] = {
    **{f"own yolo exported for {layout}": ("own yolo all", ("--layout", layout)) for layout in LAYOUTS},
    "own coco hard images exported": ("own coco heavy weights", ("--only-hard", "--easy-share", "0.2", "--crops")),
    "voc100 exported for ultralytics": ("voc100 confidence_based", ("--layout", "ultralytics")),
    "voc100 exported for yolov5": ("voc100 heavy weights", ("--layout", "yolov5")),
    "bccd val exported for coco": ("bccd val", ("--layout", "coco")),
    "cards test exported for torch": ("cards test", ("--layout", "torch", "--only-hard")),
}

STORE = Path(__file__).with_name("unchanged.json")
WRITE = os.environ.get("HNM_WRITE_DIGESTS") == "1"


class Bench:
    """Where the cases work: each data set is laid out once and each mining is done once."""

    def __init__(self, folder: Path, shared: Callable[[], Path]) -> None:
        self.folder, self._shared, self._found = folder, shared, dict[str, Any]()

    def data(self, name: str) -> tuple[Path, Path, Path | None]:
        """Labels, predictions, and where the images are, if the labels do not say."""
        if name in SHARED:
            root = self._shared()
            return tuple(part and root / part for part in SHARED[name])  # type: ignore[return-value]
        return self._once(f"{name} files", {"own coco": write_coco_files, "own yolo": write_yolo_files}[name])

    def mined(self, name: str) -> Path:
        """The folder of a mining."""
        data, knobs = MININGS[name]
        return self._once(name, lambda folder: self._mine(data, folder, flags(knobs)))

    def reviewed(self, name: str) -> Path:
        """The folder of a mining with reviews of every second object that was mined without them."""

        def make(folder: Path) -> Path:
            before = REVIEWED[name]
            with (self.mined(before) / new("hard_negatives.csv")).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))[::2]
            folder.mkdir()
            ledger = folder / "reviews.json"
            ledger.write_text(json.dumps([review(row, STATES[i % 4]) for i, row in enumerate(rows)]))
            return self._mine(MININGS[before][0], folder / "run", ["--reviews", str(ledger)])

        return self._once(name, make)

    def digester(self, data: str) -> Digester:
        """Of the values of a data set."""
        truth = self.tables(data)[1]
        roots = [self.folder, self.folder.resolve()] + ([self._shared()] if data in SHARED else [])
        return Digester(RENAMED, roots, {*truth.classes, *NAMES})

    def tables(self, data: str) -> Any:
        """Predictions and truth."""
        labels, predictions, _ = self.data(data)
        return (
            read_yolo(labels, predictions=predictions) if labels.suffix == ".yaml" else read_coco(labels, predictions)
        )

    def _mine(self, data: str, folder: Path, more: list[str]) -> Path:
        labels, predictions, _ = self.data(data)
        hnm("mine", "--data", labels, "--predictions", predictions, "--output", folder, *more)
        return folder

    def _once(self, name: str, make: Callable[[Path], Any]) -> Any:
        if name not in self._found:
            self._found[name] = make(self.folder / name.replace(" ", "_"))
        return self._found[name]


def mining(name: str, bench: Bench) -> Parts:
    """What ``hnm mine`` writes, and every row of what :func:`hnm_core.mine` gives back."""
    data, knobs = MININGS[name]
    of = bench.digester(data)
    parts = of.folder(bench.mined(name), skip=_known(name))
    result = mine(*bench.tables(data), MiningSettings(**{new(knob): value for knob, value in knobs.items()}))
    for side in ("prediction", "truth"):
        parts |= {f"result/{side}_{column}": of.of(getattr(result, f"{side}_{column}")) for column in COLUMNS}
    return parts | {f"result/{column}": of.of(getattr(result, column)) for column in ("image_scores", "weights")}


def reviewed_mining(name: str, bench: Bench) -> Parts:
    """What ``hnm mine --reviews`` writes."""
    return bench.digester(MININGS[REVIEWED[name]][0]).folder(bench.reviewed(name), skip=_known(name))


def comparison(name: str, bench: Bench) -> Parts:
    """What ``hnm compare`` says."""
    earlier, later = COMPARED[name]
    return bench.digester(MININGS[earlier][0]).record(hnm("compare", bench.mined(earlier), bench.mined(later)))


def exported(name: str, bench: Bench) -> Parts:
    """What ``hnm export`` says and writes."""
    run, more = EXPORTED[name]
    images = bench.data(MININGS[run][0])[2]
    out = bench.folder / name.replace(" ", "_")
    said = hnm("export", bench.mined(run), "--output", out, *(["--images", images] if images else []), *more)
    of = bench.digester(MININGS[run][0])
    return {**of.record(said, "said/"), **of.folder(out, skip=["report.json"])}  # that is the report of the mining


def fiftyone_runs(name: str, bench: Bench) -> Parts:
    """The fields, tags and records of two runs: as mined, compared, and with reviews applied; and their export."""
    fo = pytest.importorskip("fiftyone", reason="FiftyOne holds the runs")
    from tests.datasets import APPLY, EXPORT, FIELDS, MINE, TRIAGE, dataset_of

    def do(uri: str, *args: Any, **params: Any) -> Any:
        return fo.operators.get_operator(uri)(dataset, *args, **{new(knob): value for knob, value in params.items()})

    found, real, images, classes = detector_scene()
    tables = scene(found, real, images=images, classes=classes)
    (bench.folder / "photographs").mkdir()
    dataset = dataset_of(tables, bench.folder / "photographs", tags={image: ["val"] for image in images[::6]})
    objects = [f"{field}.detections" for field in FIELDS.values()]
    ids = {id_: f"sample {i}" for i, id_ in enumerate(dataset.values("id"))}
    for path in objects:
        rows = dataset.values(f"{path}.id")
        ids |= {id_: f"{path} {i} {k}" for i, row in enumerate(rows) for k, id_ in enumerate(row or ())}
    of = Digester(RENAMED, [bench.folder, bench.folder.resolve()], {*classes, *NAMES}, ids)

    def fields(stage: str) -> Parts:
        paths = sorted(path for path in dataset.get_field_schema(flat=True) if path.split(".")[-1].startswith("run"))
        tags = {path: dataset.values(path) for path in ("tags", *(f"{path}.tags" for path in objects))}
        named = {path: path.rpartition(".")[2].partition("_") for path in paths}
        values = {path.replace(key + "_" + leaf, f"{key}_{of.old(leaf)}") for path, (key, _, leaf) in named.items()}
        parts = {"fields": of.of(sorted(values))}
        for path, (key, _, leaf) in named.items():
            parts[f"{path.partition('.')[0] if '.' in path else 'sample'}/{key}_{of.old(leaf)}"] = of.of(
                dataset.values(path)
            )
        return {f"{stage}/{part}": digest for part, digest in {**parts, **of.columns(tags)}.items()}

    def records(stage: str, key: str) -> Parts:
        dataset.reload()
        config = dataset.get_run_info(key).config
        results = dataset.load_run_results(key, cache=False, load_view=False)
        parts = of.record(json.loads(getattr(config, new("settings"))), "settings/")
        parts |= of.record(getattr(config, new("rates")), "rates/") | of.record(results.report, "report/")
        for column in ("objects", "images", "tagged_samples", "tagged_labels"):
            parts |= of.record(getattr(results, new(column)), f"{column}/")
        return {f"{stage}/{key}/{part}": digest for part, digest in parts.items()}

    do(MINE, **FIELDS, run_key="run1")
    do(MINE, **FIELDS, run_key="run2", **{**STRATEGIES["iou_based"], **HEAVY, **OWN_CLASSES, "max_per_image": 2})
    parts = {**fields("mined"), **records("mined", "run1"), **records("mined", "run2")}
    compared = fo.operators.get_operator(MINE.replace("mine_hard_negatives", "compare_mining_runs"))
    said = compared(dataset, **dict(zip(COMPARE_ORDER, ("run2", "run1"), strict=True)))
    parts |= of.record(said["changes"], "compared/changes/") | fields("compared")
    for i, state in enumerate(STATES):
        path = objects[0 if state == "missing_label" else i % 2]  # the label of a truth is there
        rows = [id_ for row in dataset.values(f"{path}.id") for id_ in row or ()]
        errors = [error for row in dataset.values(f"{path}.run1_{new('error')}") for error in row or ()]
        states = [said for row in dataset.values(f"{path}.run1_{new('state')}") for said in row or ()]
        open_ = [id_ for id_, error, said in zip(rows, errors, states, strict=True) if error and said]
        do(TRIAGE, run_key="run1", state=state, label_ids=open_[i::5][:4], reviewer="ann")
    parts |= fields("reviewed")
    do(APPLY, run_key="run1")
    parts |= {**fields("applied"), **records("applied", "run1")}
    do(EXPORT, run_key="run1", output_dir=str(bench.folder / "fiftyone"), layout="torch")
    folder = of.folder(bench.folder / "fiftyone", skip=["report.json"])
    return parts | {f"exported/{part}": digest for part, digest in folder.items() if part != "images/content"}  # JPEG


CASES: dict[str, Callable[[Bench], Parts]] = {
    name: partial(case, name)
    for case, names in (
        (mining, MININGS),
        (reviewed_mining, REVIEWED),
        (comparison, COMPARED),
        (exported, EXPORTED),
        (fiftyone_runs, ["fiftyone runs"]),
    )
    for name in names
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path_factory.mktemp("unchanged"), lambda: request.getfixturevalue("shared_data"))


@pytest.fixture(scope="module")
def stored() -> Iterator[dict[str, Any]]:
    """The digests; what a test puts in is kept where that is asked for."""
    held = json.loads(STORE.read_text()) if STORE.exists() else {"arithmetic": arithmetic(), "cases": {}}
    yield held
    if WRITE:
        cases = {name: parts for name, parts in held["cases"].items() if name in CASES}
        whole = {"arithmetic": arithmetic(), "cases": cases}
        STORE.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("name", CASES)
def test_values_are_what_they_were(name: str, bench: Bench, stored: dict[str, Any]) -> None:
    now = CASES[name](bench)
    if WRITE:
        stored["cases"][name] = now
        return
    different = differences(now, stored["cases"][name], exact=stored["arithmetic"] == arithmetic())
    assert not different, f"{len(different)} of {len(now)} values of {name!r}:\n" + "\n".join(different)


def test_every_stored_digest_is_compared(stored: dict[str, Any]) -> None:
    assert set(stored["cases"]) == set(CASES)


def test_a_digest_sees_the_last_bit_and_no_new_name() -> None:
    record = {"report": {"looks": 3, "rates": {"cat": 0.1 + 0.2}}, "notes": ["a sentence"]}
    of, moved = (
        Digester({}, names={"cat"}),
        Digester({"report/looks": "reviews/count", "rates": "shares"}, names={"cat"}),
    )
    before = of.record(record)
    assert set(before) == {"report/looks", "report/rates/*"}
    new_names = {"report": {"shares": {"cat": 0.1 + 0.2}}, "reviews": {"count": 3}, "notes": []}
    assert differences(moved.record(new_names), before, exact=True) == []
    record["report"]["rates"]["cat"] = 0.3
    assert differences(of.record(record), before, exact=True) == ["report/rates/*: differs beyond the sixth digit"]
    assert differences(of.record(record), before, exact=False) == []
    record["report"]["looks"] = 4
    assert differences(of.record(record), before, exact=False) == ["report/looks: differs"]


def hnm(command: str, *args: Any) -> Any:
    """What a command of ``hnm`` prints as JSON."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        if command == "mine":
            patch.setitem(sys.modules, "matplotlib", None)  # charts are texts here, and take most of the time
        assert main([command, *map(str, args), "--json"]) == 0
    return json.loads(said.getvalue().splitlines()[-1])  # Ultralytics prints before it where it has no settings yet


def new(name: str) -> str:
    """What a setting, field or file is called now."""
    return RENAMED.get(name, name)


def flags(knobs: Mapping[str, Any]) -> list[str]:
    """Settings as flags of the command line."""
    written: list[str] = []
    for name, value in knobs.items():
        flag = new(name).replace("_", "-")
        if isinstance(value, bool):
            written.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, Mapping):
            written += [f"--{flag}", ",".join(f"{key}={of}" for key, of in value.items())]
        else:
            written += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    return written


def review(row: Mapping[str, str], state: str) -> dict[str, Any]:
    """A review of a mined object, as the App's ledger exports it."""
    side = "prediction" if row[new("type")] == "false_positive" else "truth"
    bbox = [float(row[edge]) for edge in ("x0", "y0", "x1", "y1")]
    state = "wrong_label" if (side, state) == ("truth", "missing_label") else state
    return {"image": row["image"], "side": side, "class": row["class"], "bbox": bbox, "state": state, "who": "ann"}


def _known(name: str) -> list[str]:
    """Files of a mining that are no news: texts, and the tables, which one case of every kind of data shows."""
    return ["report.txt", "reviews.json", *([] if name in ("own yolo", "own coco reviewed") else ["tables.npz"])]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    writing = {**os.environ, "HNM_WRITE_DIGESTS": "1"}
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-q", "-n0", __file__], env=writing))
