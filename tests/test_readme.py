"""The README is run: every block, every command. The Chinese one holds the same blocks."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hnm_core.strategies import forget_strategy, strategy_names

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text):
    """Every command line of every bash block, without its comment."""
    lines = (line.partition("#")[0].strip() for block in blocks(text, "bash") for line in block.splitlines())
    return [line for line in lines if line]


def shell(command, **environment):
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", command],
        **{"cwd": ROOT, "env": {**os.environ, "PATH": path, **environment}},
        **{"capture_output": True, "text": True, "timeout": 500},
    )


def test_both_languages_show_the_same_blocks_and_pictures():
    for language in ("python", "bash"):
        assert blocks(CHINESE, language) == blocks(README, language)
    pictures = re.findall(r"\]\((docs/[^)]+)\)", README)
    assert re.findall(r"\]\((docs/[^)]+)\)", CHINESE) == pictures
    assert [p for p in pictures if not (ROOT / p).is_file()] == []


def test_every_command_line_is_run_by_a_test_below():
    for command in commands(README):
        assert command in ("make demo", "make test") or command.startswith(("hnm ", "mkdir ", "ln ", "fiftyone ")), (
            command
        )


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory):
    """A small demo, as `make demo` leaves it in `hnm_demo`, and the same as a FiftyOne dataset."""
    pytest.importorskip("fiftyone", reason="FiftyOne holds the dataset")
    pytest.importorskip("ultralytics", reason="Ultralytics makes the predictions")
    from fiftyone_plugin.demo.dataset import load_digits, prepare_digits

    folder = tmp_path_factory.mktemp("readme")
    data = prepare_digits(folder / "hnm_demo", images=80, seed=0)
    load_digits(data, folder / "hnm_demo" / "predictions", "my-detections")
    return folder


@pytest.fixture
def own_strategies():
    """Forgets the strategies that a test registers: other tests of its process register theirs."""
    before = set(strategy_names())
    yield
    for name in set(strategy_names()) - before:
        forget_strategy(name)


def test_python_blocks_run_one_after_the_other(demo_data, own_strategies, monkeypatch, capsys):
    monkeypatch.chdir(demo_data)
    module = ModuleType("readme_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where `module:attribute` finds what it defines
    world = vars(module)
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), world)
    said = capsys.readouterr().out
    assert "false_positive background 0.92" in said
    assert said.count("Hard-negative mining") == 2  # the report on files, and the operator's summary
    assert world["weights"][0] > 1
    assert world["weights"][1:].tolist() == [1.0, 1.0]
    assert len((demo_data / "weighted" / "train.txt").read_text().split()) >= len(world["result"].weights)


def test_the_demo_runs_from_nothing_to_the_app(tmp_path):
    done = shell("make demo", HNM_DEMO_HEADLESS="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for expected in ("Hard-negative mining", "false positives", "Export: ", "/export", "App:    http://127.0.0.1:"):
        assert expected in done.stdout
    assert "did not answer" not in done.stdout


def test_command_lines_run_on_the_demo(demo_data):
    wanted = "\n".join(line for line in commands(README) if line.startswith("hnm "))
    done = shell(f"cd {demo_data}\n{wanted}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Since the round before") == 2
    assert (demo_data / "rounds" / "2" / "report.html").is_file()


def test_make_test_runs_these_tests():
    assert "-m pytest" in shell("make --dry-run test").stdout


def test_the_plugin_can_be_linked_and_its_requirements_are_met(tmp_path):
    wanted = "\n".join(line for line in commands(README) if line.startswith(("mkdir ", "ln ", "fiftyone ")))
    done = shell(wanted, FIFTYONE_PLUGINS_DIR=str(tmp_path / "plugins"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "plugins" / "hard-negative-mining").resolve() == ROOT


@pytest.mark.parametrize("text", [README, CHINESE], ids=["en", "zh"])
def test_commands_named_in_passing_exist(text):
    inline = re.findall(r"`([^`\n]+)`", text)
    known_hnm, known_make = shell("hnm --help").stdout, shell("make help").stdout
    for code in inline:
        if code.startswith("hnm "):
            assert re.search(rf"^\s+{code.split()[1]}\b", known_hnm, flags=re.MULTILINE), code
        elif "make " in code:
            target = code.split("make ")[1].split()[0]
            assert f"make {target} " in known_make, code


def test_fields_and_operators_named_exist():
    yml = (ROOT / "fiftyone.yml").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z_]+)` \|", README.partition("## What a run")[0], flags=re.MULTILINE)
    assert sorted(named) == sorted(re.findall(r"^  - (\w+)$", yml.partition("panels:")[0], flags=re.MULTILINE))
    pytest.importorskip("fiftyone", reason="the plugin's modules import FiftyOne")
    from fiftyone_plugin import comparing, similar
    from fiftyone_plugin.writeback import OBJECT_FIELDS, SAMPLE_FIELDS

    assert {f"KEY_{name}" for name in (*OBJECT_FIELDS, *SAMPLE_FIELDS, comparing.FIELD, similar.FIELD)} == set(
        re.findall(r"`(KEY_\w+)`", README)
    )
