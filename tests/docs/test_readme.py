"""The READMEs: short, the same blocks in both languages, and every block and command runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages

pytestmark = pytest.mark.slow

ROOT = pages.ROOT
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
README = pages.read(ENGLISH)
BIN = Path(sys.executable).parent
MOST_LINES, MOST_BYTES = 150, 12_000
RUN_BELOW = ("make demo", "make test")


def shell(command, **environment):
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", command],
        **{"cwd": ROOT, "env": {**os.environ, "PATH": path, **environment}},
        **{"capture_output": True, "text": True, "timeout": 500},
    )


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_it_is_one_page(page):
    text = pages.read(page)
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.encode()) <= MOST_BYTES
    assert pages.levels(text).count(1) == 1


def test_both_languages_show_the_same_blocks_and_pictures():
    text = pages.read(CHINESE)
    assert pages.blocks(text) == pages.blocks(README)
    assert pages.levels(text) == pages.levels(README)
    assert pages.pictures(CHINESE) == pages.pictures(ENGLISH) != []


def test_every_command_line_is_run_by_a_test_below():
    for command in pages.commands(README):
        assert command in RUN_BELOW or command.startswith(("hnm ", "mkdir ", "ln ", "fiftyone ")), command


def test_its_blocks_run_one_after_the_other(run, capsys, tmp_path):
    world = run(ENGLISH)
    said = capsys.readouterr().out
    assert said.count("Hard-negative mining") >= 3  # the operator's summary, the report in Python, `hnm mine`
    assert said.count("Since the previous round") == 2
    assert len(Path("weighted/train.txt").read_text().split()) >= len(world["result"].weights)
    assert (tmp_path / "rounds" / "2" / "report.html").is_file()


def test_the_demo_runs_from_nothing_to_the_app():
    done = shell("make demo", HNM_DEMO_HEADLESS="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for expected in ("Hard-negative mining", "false positives", "Export: ", "/export", "App:    http://127.0.0.1:"):
        assert expected in done.stdout
    assert "did not answer" not in done.stdout


def test_make_test_runs_these_tests():
    assert "-m pytest" in shell("make --dry-run test").stdout


def test_the_plugin_can_be_linked_and_its_requirements_are_met(tmp_path):
    wanted = "\n".join(line for line in pages.commands(README) if line.startswith(("mkdir ", "ln ", "fiftyone ")))
    done = shell(wanted, FIFTYONE_PLUGINS_DIR=str(tmp_path / "plugins"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "plugins" / "hard-negative-mining").resolve() == ROOT


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_make_targets_named_exist(page):
    known = shell("make help").stdout
    named = re.findall(r"\bmake ([a-z][a-z-]*)\b", " ".join(re.findall(r"`([^`]+)`", pages.read(page))))
    assert named
    for target in named:
        assert f"make {target} " in known, target
