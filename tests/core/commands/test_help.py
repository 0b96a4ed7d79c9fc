"""The help of every command: grouped, with an example that can be typed, and defaults that are those of Python."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from hnm_core.cli import _with_hyphens, build_parser, main
from hnm_core.commands.flags import GROUPS, values_of
from hnm_core.export import ExportSettings
from hnm_core.settings import MiningSettings, Options, options
from hnm_core.training.plan import TrainerSettings, TrainingPlan


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every installed command, by its name."""
    actions = build_parser()._actions
    return next(dict(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


COMMANDS = sorted(parsers())
TRAIN = ["train", "--data", "d.yaml", "--model", "m.pt"]
MINE = ["mine", "--data", "d.yaml", "--predictions", "p", "--output", "o"]
EXPORT = ["export", "run", "--output", "o"]
FLAGS = [(MINE, MiningSettings), (EXPORT, ExportSettings), *((TRAIN, k) for k in (MiningSettings, TrainingPlan))]


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_stands_under_a_heading(name: str) -> None:
    groups = parsers()[name]._action_groups
    loose = next(group for group in groups if group.title in ("options", "optional arguments"))
    assert [action.dest for action in loose._group_actions] == ["help"]


@pytest.mark.parametrize("name", COMMANDS)
def test_headings_stand_in_one_order_and_once(name: str) -> None:
    shown = [group.title for group in parsers()[name]._action_groups if group._group_actions and group.title in GROUPS]
    assert shown == [title for title in GROUPS if title in shown]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_says_what_it_is_for(name: str) -> None:
    texts = {action.dest: action.help or "" for action in parsers()[name]._actions}
    assert [dest for dest, text in texts.items() if len(text) < 10] == []
    assert [text for text in texts.values() if text.endswith(".")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_raw_ranges_and_no_empty_defaults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(help_of(name, capsys).split())
    assert re.findall(r"default: (?:None|True|False|\[\]|\{\}|\))|\d{7,}|\de\+\d", shown) == []


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_examples_can_be_typed_as_they_stand(name: str | None) -> None:
    parser = parsers()[name] if name else build_parser()
    text = (parser.epilog or "").replace("\\\n", " ")
    typed = [shlex.split(line.partition(" > ")[0]) for line in text.splitlines() if line.startswith("  hnm ")]
    assert typed
    for _, *argv in typed:
        assert build_parser().parse_args(_with_hyphens(argv)).subcommand == (name or argv[0])


@pytest.mark.parametrize(("argv", "kind"), [*FLAGS, (TRAIN, TrainerSettings)])
def test_flags_have_the_defaults_of_python(argv: list[str], kind: type[Options]) -> None:
    values = values_of(kind, build_parser().parse_args(argv))
    assert kind(**values) == kind()
    assert set(values) == {each.name for each in options(kind) if each.offered}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--mining_strategy", "iou_based"], {"strategy": "iou_based"}),  # the guide's spelling
        (["--confidence_threshold=0.7", "--max_per_image", "3"], {"confidence_threshold": 0.7, "max_per_image": 3}),
        (["--class-agnostic", "--no-use-suspicion"], {"class_agnostic": True, "use_suspicion": False}),
        (["--class-agnostic", "--no-class-agnostic"], {}),
        (["--candidates", "false_negative"], {"candidates": ("false_negative",)}),
        (["--class-iou", "a=b=0.3,cat=0.4"], {"class_iou": {"a=b": 0.3, "cat": 0.4}}),
    ],
)
def test_flags_are_read(flags: list[str], expected: dict[str, Any]) -> None:
    args = build_parser().parse_args(_with_hyphens([*MINE, *flags]))
    assert MiningSettings(**values_of(MiningSettings, args)) == MiningSettings(**expected)


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (["report", "~/runs/1"], "{home}/runs/1"),
        (["mine", "--data=~/runs/data.yaml", "--predictions=labels", "--output=out"], "{home}/runs/data.yaml"),
        (["report", "./~/runs"], "~/runs"),
        (["report", "a~/b"], "a~/b"),
    ],
)
def test_the_home_of_the_user_is_found_where_shells_leave_its_sign(
    argv: list[str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert f" {place.format(home=tmp_path)}" in said
    assert ("~" in said) == ("~" in place)


def test_the_guides_names_of_saving_mean_the_same() -> None:
    for flag in ("--save-samples", "--save_hard_negatives"):
        for argv in (MINE, TRAIN):
            assert build_parser().parse_args(_with_hyphens([*argv, flag])).save_samples is True


@pytest.mark.parametrize("flags", [["--class-iou", "cat"], ["--class-map", "van"], ["--epochs", "many"]])
def test_unfit_flags_end_in_a_message(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*(TRAIN if "--epochs" in flags else MINE), *flags])
    assert ended.value.code == 2
    assert f"argument {flags[0]}" in capsys.readouterr().err
