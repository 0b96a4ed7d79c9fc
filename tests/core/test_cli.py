"""The command ``hnm`` itself: finding commands, exit codes, messages."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from hnm_core import __version__, cli
from hnm_core.commands import CALLED_WRONG, DONE, FOUND_WRONG, Command

ENDINGS = {"done": DONE, "wrong": FOUND_WRONG}


def act(args: argparse.Namespace) -> int:
    """What the command of these tests does: report its arguments, or fail as told."""
    print(f"json={args.json} iou_threshold={args.iou_threshold} path={args.path}")
    if args.ending == "value":
        raise ValueError("2 of 3 boxes are upside down")
    if args.ending == "file":
        open("no/such/file")  # noqa: SIM115
    if args.ending == "package":
        import no_such_package  # noqa: F401
    if args.ending == "bug":
        raise RuntimeError("ours")
    return ENDINGS[args.ending]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ending", default="done", help="how it ends")
    parser.add_argument("--iou-threshold", type=float, default=0.5, help="overlap that counts, IoU in (0, 1]")
    parser.add_argument("--path", default="runs", help="a folder")


command = Command(help="Act as told", run=act, add_arguments=options)
not_a_command = print


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}" if ":" not in value else value, "hnm.commands")


@pytest.fixture(autouse=True)
def _installed_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry points a package would have installed; the loading is the real one."""
    points = [point("act", "command"), point("lost", "no_such_module:command"), point("gone", "no_such_name")]
    monkeypatch.setattr(cli, "entry_points", lambda group: points)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules["tests.core.test_cli"])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])
    assert exit_.value.code == DONE
    shown = capsys.readouterr().out
    assert "Act as told" in shown
    assert "lost" in shown
    assert "not available" in shown


def test_help_of_a_command_shows_defaults_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["act", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "overlap that counts, IoU in (0, 1] (default: 0.5)" in shown
    assert "--json" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"hnm {__version__}\n"


@pytest.mark.parametrize(("ending", "code"), ENDINGS.items())
def test_the_code_of_the_command_is_the_code_of_hnm(ending: str, code: int) -> None:
    assert cli.main(["act", "--ending", ending]) == code


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("value", "hnm act: 2 of 3 boxes are upside down"),
        ("file", "hnm act: no/such/file: No such file or directory"),
        ("package", "hnm act: No module named 'no_such_package' (`hnm doctor` tells what to install)"),
    ],
)
def test_wrong_input_is_one_line(ending: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["act", "--ending", ending]) == CALLED_WRONG
    assert capsys.readouterr().err == message + "\n"


def test_traceback_on_demand() -> None:
    with pytest.raises(ValueError, match="upside down"):
        cli.main(["--traceback", "act", "--ending", "value"])


def test_a_bug_is_not_dressed_up_as_wrong_input() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        cli.main(["act", "--ending", "bug"])


@pytest.mark.parametrize("argv", [[], ["unheard-of"], ["act", "--no-such-option"], ["act", "--iou-threshold", "much"]])
def test_called_wrong(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(argv)
    assert exit_.value.code == CALLED_WRONG
    assert "hnm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["--iou_threshold", "0.7"], "iou_threshold=0.7"),  # the guide's spelling
        (["--iou_threshold=0.7"], "iou_threshold=0.7"),
        (["--path", "my_runs"], "path=my_runs"),  # values are left alone
        (["--path=my_runs"], "path=my_runs"),
        (["--json"], "json=True"),
    ],
)
def test_spellings(argv: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["act", *argv]) == DONE
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(("name", "reason"), [("lost", "no_such_module"), ("gone", "no_such_name")])
def test_a_command_that_cannot_be_loaded_says_why(name: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == CALLED_WRONG
    shown = capsys.readouterr().err
    assert shown.startswith(f"hnm {name}: it could not be loaded from ")
    assert reason in shown


def test_something_else_than_a_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [point("odd", "not_a_command")])
    with pytest.raises(TypeError, match=r"the command odd, is a builtin_function_or_method, expected a Command"):
        cli.main(["odd"])


def test_a_command_loads_no_other(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [point("act", "command"), point("odd", "not_a_command")])
    assert cli.main(["--traceback", "act"]) == DONE
    with pytest.raises(TypeError, match="the command odd"):
        cli.main(["no-such-command"])


def test_the_help_of_the_installed_hnm_wakes_nothing_large() -> None:
    script = (
        "import sys; from hnm_core.cli import build_parser; help = build_parser().format_help()\n"
        "assert 'doctor' in help and 'demo' in help and 'not available' not in help, help\n"
        "large = {'fiftyone', 'torch', 'ultralytics', 'cv2', 'matplotlib', 'sklearn', 'pyarrow'} & set(sys.modules)\n"
        "assert not large, large"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
