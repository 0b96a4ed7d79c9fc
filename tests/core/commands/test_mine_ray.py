"""`hnm mine --engine ray` mines what `hnm mine` mines, and says in one sentence what is not for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.cli import main
from hnm_core.engines import Shard
from hnm_core.io import write_shards
from tests.scenes import Tables, random_scene

pytest.importorskip("pyarrow", reason="shards are Parquet")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return random_scene(0, images=12, classes=3)


@pytest.fixture
def shards(tables: Tables, tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", Shard(*tables), images_per_shard=5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--predictions", "dt.json"], "--predictions is not for --engine ray, which mines shards alone, as `hnm conv"),
        (["--save-samples"], "--save-samples is not for --engine ray"),
        (["--class-map", "a=b"], "--class-map is not for --engine ray"),
        (["--split", "val"], "--split is not for --engine ray: shards have no splits; convert each split by itself"),
        (["--data", "s3://b/shards", "--reviews", "r.json"], "--reviews needs the names of the images, which --engine"),
        (["--processes", "0"], "processes must be"),
    ],
)
def test_what_is_not_for_ray_is_said(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    command = ["mine", "--engine", "ray", "--data", str(shards), "--output", str(tmp_path / "out"), *more]
    assert main(command) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", ["--data", "--output"])
def test_an_address_is_for_ray_alone(shards: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    command = ["mine", "--data", str(shards), "--output", "out", flag, "s3://bucket/folder"]
    assert main(command) != 0
    assert f"{flag} s3://bucket/folder is an address, which only --engine ray reads; give a path" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_ray_mines_what_this_machine_mines(
    tables: Tables, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray walks the shards")
    output = tmp_path / "mined"
    command = ["mine", "--engine", "ray", "--data", shards.as_uri(), "--output", str(output), "--json"]
    assert main([*command, "--hard-negative-ratio", "1", "--no-progress"]) == 0
    said = json.loads(capsys.readouterr().out)
    whole = mine(*tables, MiningSettings(hard_negative_ratio=1.0))
    assert said == {"output": str(output), **json.loads(json.dumps(whole.report.as_dict()))}
    assert [path.suffix for path in sorted(output.iterdir())] == [*[".parquet"] * 6, ".json"]
    assert not list(tmp_path.glob("*.kept/*")), "what is kept goes"
    assert main([*command, "--hard-negative-ratio", "1"]) != 0
    assert "holds a mining that is complete; choose another folder" in capsys.readouterr().err
