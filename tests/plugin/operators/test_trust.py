"""What whoever reaches the App can make an operator do: no module is imported, no exit ends the server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.actions import checkpoints, mine
from fiftyone_plugin.actions.strategies import ALLOW_IMPORTS
from fiftyone_plugin.app.uris import uri
from fiftyone_plugin.operators.long import APP
from fiftyone_plugin.runs import records
from tests.datasets import FIELDS, MINE, dataset_of

TRAIN, PREDICT = uri("train_on_hard_negatives"), uri("predict_with_yolo")
MODULE = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
from hnm_core.strategies import Difficulty
import numpy as np
def own(inputs):
    return Difficulty(np.ones(len(inputs.predictions)), np.ones(len(inputs.truth)))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file behind when it is imported."""
    (tmp_path / "hnm_own_strategy.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hnm_own_strategy", raising=False)
    monkeypatch.delenv(ALLOW_IMPORTS, raising=False)
    return tmp_path / "imported"


def context(dataset: fo.Dataset, operator: str, **params: Any) -> ExecutionContext:
    request = {"dataset_name": dataset.name, "params": params, APP: {}}
    return ExecutionContext(request_params=request, executor=Executor(), operator_uri=operator)


def in_the_app(dataset: fo.Dataset, operator: str, **params: Any) -> str:
    """Run an operator as the App does; return everything that it shows."""
    ctx = context(dataset, operator, **params)
    return json.dumps([message.to_json() for message in foo.get_operator(operator).execute(ctx)], default=str)


def test_an_operator_imports_no_module(module: Path) -> None:
    dataset = dataset_of()
    shown = in_the_app(dataset, MINE, **FIELDS, run_key="run", strategy="hnm_own_strategy:own")
    assert "'hnm_own_strategy:own' names a module to import, which an operator must not" in shown
    assert "Traceback" not in shown
    ctx = context(dataset, MINE, **FIELDS, run_key="run", strategy="hnm_own_strategy:own")
    form = json.dumps(foo.get_operator(MINE).resolve_type(ctx, "inputs").to_json())
    assert "names a module to import" in form
    assert not module.exists()
    assert not records.keys(dataset)


def test_python_and_an_administrator_may_import(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", strategy="hnm_own_strategy:own")
    assert module.exists()
    monkeypatch.setenv(ALLOW_IMPORTS, "1")
    in_the_app(dataset, MINE, **FIELDS, run_key="second", strategy="hnm_own_strategy:own")
    assert sorted(records.keys(dataset)) == ["run", "second"]


def test_training_on_a_run_imports_no_module_either(module: Path, tmp_path: Path) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", strategy="hnm_own_strategy:own")
    shown = in_the_app(dataset, TRAIN, run_key="run", model="yolo11n.yaml", output_dir=str(tmp_path / "new"))
    assert "names a module to import" in shown
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("exit_", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("delegated", [False, True])
def test_no_exit_leaves_an_operator(exit_: BaseException, delegated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise exit_

    monkeypatch.setattr(mine, "mine", leave)
    dataset = dataset_of()
    sentence = f"Mine hard negatives was stopped by {type(exit_).__name__}"
    if delegated:
        ctx = context(dataset, MINE, **FIELDS, run_key="run")
        ctx.request_params["delegated"] = True
        ctx.request_params.pop(APP)
        with pytest.raises(ValueError, match=sentence):
            foo.get_operator(MINE).execute(ctx)
    else:
        shown = in_the_app(dataset, MINE, **FIELDS, run_key="run")
        assert sentence in shown
        assert "Traceback" not in shown
    assert not records.keys(dataset)


@pytest.mark.parametrize("operator", [PREDICT, TRAIN])
def test_a_checkpoint_is_asked_for_with_the_word_that_it_can_run_code(operator: str) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    form = foo.get_operator(operator).resolve_type(context(dataset, operator), "inputs").to_json()
    assert checkpoints.TRUST in json.dumps(form)
    assert "can run code" in checkpoints.TRUST
