"""FiftyOne's real plugin loader: no load error, every name registered, from the checkout and from a bare copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
import fiftyone.plugins as fop
import fiftyone.plugins.context as fopc
import pytest
import yaml
from fiftyone.operators.executor import ExecutionContext

from fiftyone_plugin.app.icons import ON_DARK, ON_LIGHT
from tests.datasets import FIELDS

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
NAMES = {*MANIFEST["operators"], *MANIFEST["panels"]}

FROM_A_COPY = """
import importlib.util, json, sys
sys.path += json.loads(sys.argv[1])  # without site, so that no editable install is found
assert all(importlib.util.find_spec(name) is None for name in ("hnm_core", "fiftyone_plugin"))
import fiftyone as fo, fiftyone.operators as foo, fiftyone.plugins.context as fopc
(context,) = [c for c in fopc.build_plugin_contexts() if c.name == "@hnm/hard-negative-mining"]
names = [operator.name for operator in context.instances]
dataset = fo.Dataset()
box = {"label": "cat", "bounding_box": [0.1, 0.1, 0.2, 0.2]}
dataset.add_sample(fo.Sample(filepath="a.jpg"))
dataset.set_values("predictions", [fo.Detections(detections=[fo.Detection(confidence=0.9, **box)])])
dataset.set_values("ground_truth", [fo.Detections(detections=[fo.Detection(**box)])])
mined = foo.get_operator("@hnm/hard-negative-mining/mine_hard_negatives")(dataset, **json.loads(sys.argv[2]))
config = dataset.get_run_info("run").config
dataset.delete_run("run")
import hnm_core, fiftyone_plugin
print(json.dumps({
    "errors": context.errors, "names": names, "run": config.cls, "left": dataset.has_field("run_score"),
    "found": mined["report"]["statistics"]["true_positives"], "files": [hnm_core.__file__, fiftyone_plugin.__file__],
}))
"""


def ours() -> Any:
    (context,) = [c for c in fopc.build_plugin_contexts() if c.name == MANIFEST["name"]]
    return context


def test_the_loader_finds_no_error_and_every_name() -> None:
    context = ours()
    assert context.errors == []
    assert {instance.name for instance in context.instances} == NAMES


def test_every_name_is_an_operator_of_one_identity() -> None:
    for name in NAMES:
        operator = foo.get_operator(f"{MANIFEST['name']}/{name}")
        assert type(operator).__module__.startswith("fiftyone_plugin.")


def test_loading_again_and_again_adds_nothing_to_the_path() -> None:
    ours()
    before = list(sys.path)
    ours()
    assert sys.path == before


@pytest.mark.parametrize("name", MANIFEST["operators"])
def test_icons_lie_where_the_operators_say(name: str) -> None:
    config = foo.get_operator(f"{MANIFEST['name']}/{name}").config.to_json()
    dark, light = ((ROOT / config[theme].lstrip("/")).read_text() for theme in ("dark_icon", "light_icon"))
    assert light.replace(ON_LIGHT, ON_DARK) == dark, "the same drawing"
    assert (ROOT / config["icon"].lstrip("/")).is_file()


@pytest.mark.parametrize("name", MANIFEST["operators"])
def test_labels_are_sentences_that_help(name: str) -> None:
    config = foo.get_operator(f"{MANIFEST['name']}/{name}").config
    first, *others = config.label.split()
    assert first[0].isupper()
    assert all(word.islower() or word.isupper() for word in others), "sentence case"
    assert len(config.description.split()) > 4


@pytest.mark.parametrize("name", MANIFEST["operators"])
def test_nothing_is_shown_of_what_failed(name: str) -> None:
    """The App asks for the output even then, and an error there would hide why it failed."""
    uri = f"{MANIFEST['name']}/{name}"
    context = ExecutionContext(request_params={"results": None}, operator_uri=uri)
    assert foo.get_operator(uri).resolve_output(context) is None


def test_the_manifest_names_what_there_is() -> None:
    definition = fop.get_plugin(MANIFEST["name"])
    assert definition.py_entry == "fiftyone_plugin/__init__.py"
    assert (ROOT / definition.py_entry).is_file()
    assert len(NAMES) == len(MANIFEST["operators"]) + len(MANIFEST["panels"])


def test_importing_the_package_needs_no_fiftyone() -> None:
    script = "import sys; sys.modules['fiftyone'] = None; import fiftyone_plugin; print(fiftyone_plugin.ROOT)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT)


@pytest.mark.slow
def test_a_bare_copy_works_where_the_package_is_not_installed(tmp_path: Path) -> None:
    copy = tmp_path / "plugins" / "hard-negative-mining"
    copy.mkdir(parents=True)
    shutil.copy(ROOT / "fiftyone.yml", copy)
    for name in ("fiftyone_plugin", "hnm_core"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    libraries = sorted({sysconfig.get_paths()[name] for name in ("purelib", "platlib")})
    arguments = [json.dumps(libraries), json.dumps({**FIELDS, "run_key": "run"})]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", FROM_A_COPY, *arguments],
        cwd=tmp_path,
        env={**os.environ, "FIFTYONE_PLUGINS_DIR": str(copy.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    requests = json.loads(done.stdout.splitlines()[-1])
    assert requests["errors"] == []
    assert set(requests["names"]) == NAMES
    assert requests["run"] == "fiftyone_plugin.runs.config.MiningRunConfig"
    assert (requests["found"], requests["left"]) == (1, False)
    assert all(Path(file).is_relative_to(copy) for file in requests["files"])
