"""What the trainings of :mod:`benchmarks.retraining` came to: numbers, a table, a picture."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hnm_core import Detections, MiningSettings, match_detections
from hnm_core.io import write_coco
from hnm_core.io.data_yaml import class_names, label_file, read_data_yaml, split_images
from hnm_core.rounds.at_recall import Outcome, resampled_images

STORED = Path(__file__).with_name("retraining.json")
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "retraining.png"
CONTROL, SURE = "random", 0.5
POINTS = ("AP50", "AP")
GOAL = -25.0
"""Change of false positives at equal recall that the project set out to reach, per cent."""


def summary(runs: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the numbers of one data set.

    Args:
        runs: arm → seed → ``outcome``, ``AP50``, ``AP`` and ``rounds``. Every arm is held against the control of the
            same seed; seeds without a control are left out.
    """
    control = runs[CONTROL]
    resampled = list(resampled_images(len(next(iter(control.values()))["outcome"].truths)))
    target = {seed: run["outcome"].recall(SURE) for seed, run in control.items()}
    reference = {seed: [run["outcome"].fppi(target[seed], t) for t in resampled] for seed, run in control.items()}
    arms = {}
    for arm, by_seed in runs.items():
        seeds = sorted(set(by_seed) & set(control))
        if not seeds:
            continue
        ours, theirs = (
            np.array([runs[name][seed]["outcome"].fppi(target[seed]) for seed in seeds]) for name in (arm, CONTROL)
        )
        drawn = np.array([[by_seed[seed]["outcome"].fppi(target[seed], t) for t in resampled] for seed in seeds])
        against = np.array([reference[seed] for seed in seeds])
        change = _change(_of_resampled(drawn), _of_resampled(against))
        rates = [[row["false_alarm_rate"] for row in by_seed[seed]["rounds"]] for seed in seeds]
        arms[arm] = {
            "seeds": len(seeds),
            "fppi": float(ours.mean()),
            "change": float(_change(ours.sum(), theirs.sum())),
            "interval": np.quantile(change, (0.025, 0.975)).tolist(),
            "changes": _change(ours, theirs).tolist(),
            "alarms": float(np.mean([by_seed[seed]["outcome"].confident_false_positives(SURE) for seed in seeds])),
            **{ap: 100 * float(np.mean([by_seed[seed][ap] for seed in seeds])) for ap in POINTS},
            "points": {
                ap: 100 * float(np.mean([by_seed[seed][ap] - control[seed][ap] for seed in seeds])) for ap in POINTS
            },
            "rates": [float(v) for v in np.mean(rates, axis=0)],
        }
    return {"recall": float(np.mean(list(target.values()))), "images": len(resampled[0]), "arms": arms}


def _change(ours: Any, theirs: Any) -> NDArray[np.float64]:
    """By how many per cent ours is more; against nothing at all, nothing is more."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    return 100 * np.where(theirs > 0, ours / np.where(theirs > 0, theirs, 1) - 1, 0)


def _of_resampled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over as many seeds drawn with replacement, the same ones whatever the values: ``(seeds, resamples)``."""
    seeds, resamples = values.shape
    picked = np.random.default_rng(1).integers(seeds, size=(seeds, resamples))
    return np.asarray(np.take_along_axis(values, picked, axis=0).sum(axis=0))


def read_runs(place: Path, test: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the trainings of one data set that are on disk, arm → seed → what :func:`summary` needs.

    Args:
        place: folder of ``ARM-SEED/record.json`` and ``found.npz``.
        test: ``data.yaml`` with the split ``test``.
    """
    truth = truth_of_test(test)
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for file in sorted(place.glob("*/record.json")):
        record = json.loads(file.read_text())
        rows = np.load(file.parent / "found.npz")["rows"].astype(np.float64)
        image, label = rows[:, 0].astype(np.int64), rows[:, 6].astype(np.int64)
        predictions = Detections(image, rows[:, 1:5], label, rows[:, 5], truth.images, truth.classes)
        if "AP" not in record:
            record |= average_precision(predictions, truth)
            file.write_text(json.dumps(record, indent=1) + "\n")
        kept = {name: record[name] for name in ("rounds", "AP50", "AP")}
        runs.setdefault(record["arm"], {})[record["seed"]] = {**kept, "outcome": outcome_of(predictions, truth)}
    return runs


def outcome_of(predictions: Detections, truth: Detections) -> Outcome:
    """Return which predictions are right at IoU .5."""
    return Outcome.of(predictions, truth, match_detections(predictions, truth, MiningSettings()))


def truth_of_test(data: Path) -> Detections:
    """Return the labels of the test split, boxes as fractions."""
    config = read_data_yaml(data)
    images = split_images(data, "test", config)
    lines = [np.array(label_file(image).read_text().split(), dtype=np.float64).reshape(-1, 5) for image in images]
    rows = np.concatenate(lines)
    half = rows[:, 3:] / 2
    xyxy = np.concatenate([rows[:, 1:3] - half, rows[:, 1:3] + half], axis=1)
    image = np.repeat(np.arange(len(images)), [len(some) for some in lines])
    names = tuple(map(str, images))
    return Detections(image, xyxy, rows[:, 0].astype(np.int64), None, names, class_names(data, config))


def average_precision(predictions: Detections, truth: Detections) -> dict[str, float]:
    """AP at IoU .5, and its mean over .5 to .95, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        files = [Path(folder, name) for name in ("truth.json", "found.json")]
        scaled = [replace(table, xyxy=table.xyxy * 1000) for table in (predictions, truth)]
        write_coco(*scaled, *files)
        coco = COCO(str(files[0]))
        evaluation = COCOeval(coco, coco.loadRes(str(files[1])), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"AP": float(evaluation.stats[0]), "AP50": float(evaluation.stats[1])}


def write_stored(places: Mapping[str, tuple[Path, Path]], names: Mapping[str, str]) -> None:
    """Put the numbers of what is on disk where the table reads them; those of other data sets and arms stay.

    Of an arm that is stored already, the numbers of more seeds stay. Each keeps the change against the control that was
    trained with it, although another control may be stored.

    Args:
        places: per data set its folder of trainings and its ``data.yaml`` of test.
        names: what each arm is called.
    """
    read = {name: read_runs(*place) for name, place in places.items() if place[0].is_dir()}
    found = {name: summary(runs) for name, runs in read.items() if CONTROL in runs}
    before = json.loads(STORED.read_text(encoding="utf-8"))["data"] if STORED.is_file() else {}
    for name in found.keys() & before.keys():
        old, new = before[name]["arms"], found[name]["arms"]
        more = {arm for arm in old.keys() & new.keys() if old[arm]["seeds"] > new[arm]["seeds"]}
        found[name]["arms"] = old | new | {arm: old[arm] for arm in more}
        if CONTROL in more:
            found[name] |= {key: before[name][key] for key in ("recall", "images")}
    found = {name: found.get(name) or before[name] for name in places if name in found or name in before}
    STORED.write_text(json.dumps({"names": dict(names), "data": found}, indent=1) + "\n", encoding="utf-8")


def table() -> list[str]:
    """Markdown tables from what is stored, one a data set; and the picture."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    draw(stored).savefig(PICTURE, dpi=110)
    return lines_of(stored)


def lines_of(stored: Mapping[str, Any]) -> list[str]:
    """Return the tables of what is stored."""
    lines = []
    for name, found in stored["data"].items():
        lines += [
            f"**{name}**: {found['images']:,} test images, false positives per image at the control's recall at "
            f"confidence .5, {found['recall']:.3f} in the mean; 95 % interval by bootstrap over seeds and images",
            "",
            "| drawn | seeds | fppi at equal recall | against control, % | false positives ≥ .5 | AP50 | AP50–95 | "
            "false alarms by round, % |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for arm, label in stored["names"].items():
            if arm in found["arms"]:
                row = found["arms"][arm]
                low, high = row["interval"]
                against = "–" if arm == CONTROL else f"{signed(row['change'])} ({signed(low)} to {signed(high)})"
                points = [f"{row[ap]:.1f} ({signed(row['points'][ap], 1)})" for ap in POINTS]
                rates = " → ".join(f"{100 * rate:.0f}" for rate in row["rates"])
                cells = (label, row["seeds"], f"{row['fppi']:.4f}", against, f"{row['alarms']:.0f}", *points, rates)
                lines.append(f"| {' | '.join(map(str, cells))} |")
        lines.append("")
    return lines[:-1]


def draw(stored: Mapping[str, Any]) -> Figure:
    """Change of false positives at equal recall against the control: every seed a dot, the mean with its interval."""
    data = stored["data"]
    trained = {arm for found in data.values() for arm in found["arms"]}
    names = {arm: label for arm, label in stored["names"].items() if arm != CONTROL and arm in trained}
    figure = Figure(figsize=(3.6 + 2.0 * len(data), 0.42 * len(names) + 1.5), layout="constrained")
    panels = figure.subplots(1, len(data), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (name, found) in zip(panels, data.items(), strict=True):
        for place, arm in enumerate(names):
            row = found["arms"].get(arm)
            if row is None:
                continue
            axes.plot(row["interval"], [place, place], color="#0072b2", linewidth=2)
            axes.plot(row["change"], place, "o", color="#0072b2", markersize=7)
            axes.plot(row["changes"], [place + 0.25] * len(row["changes"]), ".", color="#999999", markersize=5)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.axvline(GOAL, color="#d55e00", linewidth=1, linestyle=":")
        axes.set_title(textwrap.fill(name, 18), fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), [textwrap.fill(label, 60) for label in names.values()])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    label = "false positives at equal recall, % against random duplicates; dots: seeds, dotted: the goal"
    figure.supxlabel(label, fontsize="medium")
    return figure


def signed(value: float, digits: int = 0) -> str:
    """Return a number with its sign, as tables show changes."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"
