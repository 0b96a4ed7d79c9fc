"""`hnm mine --no-keep-boxes`: smaller runs, from which report, compare and export print and write the same."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hnm_core.cli import main
from hnm_core.commands import sharded
from tests.core.commands.test_mine_shards import files, written
from tests.scenes import Tables, random_scene

pytestmark = pytest.mark.filterwarnings("ignore:.* predictions:UserWarning")

BARE = "--no-keep-boxes"
LABELS = {"street": "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.1 0.1\n", "field": "", "yard": "1 0.75 0.75 0.5 0.5\n"}
FOUND = {
    "street": "1 0.5 0.5 0.5 0.5 0.9\n0 0.2 0.8 0.1 0.1 0.9\n0 0.8 0.2 0.1 0.1 0.8\n",
    "field": "0 0.5 0.5 0.1 0.1 0.8\n1 0.2 0.2 0.1 0.1 0.8\n",
    "yard": "1 0.75 0.75 0.5 0.4 0.9\n0 0.1 0.1 0.1 0.1 0.8\n",
}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report.html when mining: its charts take most of the time."""
    monkeypatch.setitem(sys.modules, "hnm_core.reporting.figures", None)


def mined(run: Path, *call: str) -> Path:
    assert main(["mine", *call, "--output", str(run)]) == 0
    return run


def said(capsys: pytest.CaptureFixture[str], *call: str) -> tuple[str, str]:
    capsys.readouterr()
    assert main(list(call)) == 0
    found = capsys.readouterr()
    return found.out, found.err


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("way", ["memory", "many", "shards"])
def test_what_is_printed_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    if way != "memory":
        pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    monkeypatch.setattr(sharded, "IMAGES_PER_SHARD", 7 if way == "many" else 1_000)
    runs: dict[str, Path] = {}
    for number, seed in enumerate((1, 2)):
        given = files(tmp_path / f"data {number}", random_scene(seed, images=20, classes=3))
        if way == "shards":
            shards = str(tmp_path / f"shards {number}")
            assert main(["convert", *given, "--output", shards, "--images-per-shard", "6"]) == 0
            given = ["--data", shards, "--processes", "2"]
        knobs = ("--confidence-threshold", "0.3", "--candidates", "false_positive", "lucky_hit")[: 2 + 3 * number]
        whole, bare = (
            mined(tmp_path / f"{what} {number}", *given, *knobs, *more)
            for what, more in (("whole", ()), ("bare", (BARE,)))
        )
        assert written(whole).items() <= written(bare).items()
        assert {path.name for path in bare.iterdir()} - {path.name for path in whole.iterdir()} == {"found.npz"}
        assert not any((bare / name).exists() for name in ("tables", "tables.npz"))
        runs |= {f"whole {number}": whole, f"bare {number}": bare}
        for format in ("text", "markdown", "json"):
            texts = [said(capsys, "report", str(run), "--format", format)[0] for run in (whole, bare)]
            assert texts[0] == texts[1]
    pairs = [(str(runs[f"{one} 0"]), str(runs[f"{two} 0"])) for one in ("whole", "bare") for two in ("whole", "bare")]
    assert len({said(capsys, "compare", *pair) for pair in pairs}) == 1
    before, after = str(runs["bare 0"]), str(runs["bare 1"])  # other labels
    whole = json.loads(said(capsys, "compare", str(runs["whole 0"]), str(runs["whole 1"]), "--json")[0])
    found = json.loads(said(capsys, "compare", before, after, "--json")[0])
    assert whole["corrections"] is not None
    if way == "shards":  # they are where they were
        assert found == whole
        last = sorted((tmp_path / "shards 1").iterdir())[-1]
        last.chmod(0o644)
        last.write_bytes(last.read_bytes() + b" ")
        found = json.loads(said(capsys, "compare", before, after, "--json")[0])
    (note,) = found.pop("notes")
    assert found == {**whole, "corrections": None}
    assert note.startswith("The labels of ")
    assert note.endswith(" does not keep its boxes: mine again with --keep-boxes") == (way != "shards")
    if way == "shards":
        assert f"{last} was changed since it was mined: mine again with --keep-boxes" in note
    assert said(capsys, "compare", before, after)[0].endswith(f"\n\n{note}\n")
    assert said(capsys, "report", after, "--before", before, "--format", "markdown")[1] == f"{note}\n"


@pytest.mark.usefixtures("charts")
def test_the_page_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the page's charts need it")
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    tables = random_scene(2, images=6, classes=3)
    given = files(tmp_path / "data", tables)
    for name in tables[1].images:
        pillow.new("RGB", (60, 60)).save(tmp_path / "data" / name, "PNG")
    runs = [mined(tmp_path / name, *given, *more) for name, more in (("whole", ()), ("bare", (BARE,)))]
    pages = [said(capsys, "report", str(run), "--format", "html", "--before", str(runs[1]))[0] for run in runs]
    assert pages[0] == pages[1]
    assert "The hardest mistakes" in pages[0]
    assert "Since the previous round" in pages[0]


def test_exports_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for number, name in enumerate(LABELS):
        pillow.new("RGB", (600, 400), (number, 0, 0)).save(data / "images" / f"{name}.png")
    for folder, texts in (("labels", LABELS), ("found", FOUND)):
        (data / folder).mkdir()
        for name, text in texts.items():
            (data / folder / f"{name}.txt").write_text(text)
    (data / "data.yaml").write_text("train: images\nval:\nnames: [cat, dog]\n")
    given = ["--data", str(data / "data.yaml"), "--predictions", str(data / "found"), "--hard-negative-ratio", "1"]
    given += ["--no-use-suspicion"]
    trees = []
    for name, more in (("whole", ()), ("bare", (BARE,))):
        run = mined(tmp_path / name / "run", *given, *more)
        assert main(["export", str(run), "--output", str(tmp_path / name / "out"), "--crops"]) == 0
        out = tmp_path / name / "out"
        files_of = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".parquet"]
        trees.append({path.relative_to(out): path.read_bytes().replace(bytes(out), b"") for path in files_of})
    assert trees[0] == trees[1]
    assert sum(path.suffix == ".png" for path in trees[0]) == 3 + 3  # with crops


def changed(tables: Tables) -> Tables:
    """The same predictions, and labels of which one is gone."""
    return tables[0], tables[1].take(slice(1, None))


@pytest.mark.usefixtures("plain")
def test_labels_of_one_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = random_scene(5, images=5, classes=2, crowds=0)
    tables = tables[0], replace(tables[1], xyxy=tables[1].xyxy + np.array([0, 0, 1, 1]))  # none is without size
    before = mined(tmp_path / "before", *files(tmp_path / "data", tables), BARE)
    after = mined(tmp_path / "after", *files(tmp_path / "data", changed(tables)))
    assert (
        "The labels of one image differ, too; what that changed is not known: "
        in said(capsys, "compare", str(before), str(after))[0]
    )


@pytest.mark.usefixtures("plain")
def test_saving_samples_goes_on(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    tables = random_scene(2, images=6, classes=3)
    given = files(tmp_path / "data", tables)
    for name in tables[1].images:
        pillow.new("RGB", (60, 60)).save(tmp_path / "data" / name, "PNG")
    run = mined(tmp_path / "run", *given, BARE, "--save-samples")
    (run / "samples" / "index.html").unlink()
    mined(run, *given, BARE, "--save-samples")
    assert (run / "samples" / "index.html").is_file()


@pytest.mark.usefixtures("plain")
def test_a_run_is_not_turned_into_the_other_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    given = files(tmp_path / "data", random_scene(3, images=20, classes=3))
    assert main(["convert", *given, "--output", str(tmp_path / "shards"), "--images-per-shard", "4"]) == 0
    run = mined(tmp_path / "run", "--data", str(tmp_path / "shards"), BARE)
    out, _ = said(capsys, "mine", "--data", str(tmp_path / "shards"), "--output", str(run), BARE)
    assert "holds this very mining already" in out
    assert main(["mine", "--data", str(tmp_path / "shards"), "--output", str(run)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "shards")
    assert main(["verifier", "fit", str(run), "--output", str(tmp_path / "verifier.npz")]) == 2
    assert "does not keep its boxes, and " in capsys.readouterr().err
