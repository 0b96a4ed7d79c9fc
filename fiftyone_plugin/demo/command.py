"""``hnm demo``: from nothing to a real detector's worst mistakes in the FiftyOne App, in one command."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from fiftyone_plugin.database import database_uri, drop_database, private_mongod
from fiftyone_plugin.uris import uri
from hnm_core.commands import DONE, FOUND_WRONG, Command

RUN_KEY = "demo"
ROOT = Path(__file__).resolve().parents[2]
APP_TIMEOUT = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dataset", choices=("digits", "quickstart"), default="digits", help="what to mine")
    parser.add_argument("--images", type=int, default=500, help="how many images of digits to make")
    parser.add_argument("--seed", type=int, default=0, help="of the digits; another seed, another set")
    parser.add_argument("--folder", type=Path, default=Path("hnm_demo"), help="where images and export go")
    parser.add_argument("--port", type=int, default=5151, help="of the App; the next free one if it is taken")
    parser.add_argument(
        "--headless",
        action="store_true",
        default=os.environ.get("HNM_DEMO_HEADLESS", "") not in ("", "0"),
        help="do all but wait on the App: check that it answers and stop; also HNM_DEMO_HEADLESS=1",
    )


def run(args: argparse.Namespace) -> int:
    """Make, mine, export, show."""

    def say(text: str) -> None:
        print(text, file=sys.stderr if args.json else sys.stdout, flush=True)

    folder = args.folder.resolve()
    own_fiftyone()
    dataset = _dataset(args, folder, say)
    report = _operator("mine_hard_negatives")(
        dataset, pred_field="predictions", gt_field="ground_truth", run_key=RUN_KEY
    )
    if (folder / "export" / "weights.csv").is_file():  # an export, so ours of the time before
        shutil.rmtree(folder / "export")
    export = _operator("export_weighted_subset")(dataset, run_key=RUN_KEY, output_dir=str(folder / "export"))
    _say_results(dataset, export, say)
    answered, address = _show(dataset, args, say)
    if args.json:
        print(json.dumps({"report": report, "export": export, "app": address, "answered": answered}, default=str))
    return DONE if answered else FOUND_WRONG


def _dataset(args: argparse.Namespace, folder: Path, say: Any) -> Any:
    from fiftyone_plugin.demo.dataset import load_digits, load_quickstart, prepare_digits

    if args.dataset == "quickstart":
        say("Loading FiftyOne's quickstart dataset …")
        return load_quickstart("hnm-quickstart")
    data = prepare_digits(folder, args.images, args.seed, say)
    say("Reading images, labels and predictions into FiftyOne …")
    return load_digits(data, folder / "predictions", "hnm-digits")


def _operator(name: str) -> Any:
    import fiftyone.operators as foo

    return foo.get_operator(uri(name))


def _say_results(dataset: Any, export: dict[str, Any], say: Any) -> None:
    from fiftyone_plugin import runs

    _, results = runs.load(dataset, RUN_KEY)
    say(f"\n{results.summary}\n")
    for warning in results.warnings:
        say(f"note: {warning}")
    say(f"Export: {export['output_dir']} ({export['images']['train']} images, {export['train_entries']} an epoch)")
    say(f"        {export['train_with']} model=...")
    for warning in export["warnings"]:
        say(f"        note: {warning}")


def _show(dataset: Any, args: argparse.Namespace, say: Any) -> tuple[bool, str]:
    """Open the App on the hardest false positives with the panel beside them, and wait for the user to leave."""
    import fiftyone as fo

    from fiftyone_plugin import runs, views

    session = fo.launch_app(
        view=views.hardest(dataset, runs.settings_of(dataset, RUN_KEY)),
        spaces=side_by_side(),
        remote=args.headless,
        address="127.0.0.1",
        port=free_port(args.port),
    )
    address = f"http://127.0.0.1:{session.server_port}/datasets/{dataset.name}"
    answered = answers(address)
    say(f"App:    {address} {'' if answered else f'did not answer within {APP_TIMEOUT:.0f} s'}".rstrip())
    if answered and not args.headless:
        say("        Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            session.wait(-1)
    session.close()
    return answered, address


def side_by_side() -> Any:
    """The grid, and the panel beside it; of panels that nobody names active the App would show the tabs alone."""
    import fiftyone as fo

    panels = (fo.Panel(type="Samples", pinned=True), fo.Panel(type="hard_negatives_panel"))
    spaces = [fo.Space(children=[panel], active_child=panel.component_id) for panel in panels]
    return fo.Space(children=spaces, orientation="horizontal")


def own_fiftyone() -> None:
    """Give this process a FiftyOne that knows the plugin and keeps its datasets apart from the user's.

    FiftyOne reads its environment when it is first imported, so this must come before that. Its last words to the
    database come at exit; what is undone here is undone after that (``atexit`` runs backwards).
    """
    if not (ROOT / "fiftyone.yml").is_file():
        raise FileNotFoundError(
            f"no fiftyone.yml in {ROOT}: the demo runs from a checkout of the project, with `make demo`"
        )
    name = f"hnm_demo_{os.getpid()}"
    stack = ExitStack()
    atexit.register(stack.close)
    aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hnm_demo_", ignore_cleanup_errors=True)))
    (aside / "plugins").mkdir()
    (aside / "plugins" / "hard-negative-mining").symlink_to(ROOT)
    uri = database_uri()
    if uri:
        stack.callback(drop_database, uri, name)
    else:
        uri = stack.enter_context(private_mongod(aside / "mongo"))
    os.environ.update(
        FIFTYONE_DATABASE_URI=uri,
        FIFTYONE_DATABASE_NAME=name,
        FIFTYONE_DATABASE_VALIDATION="false",  # what it would say of MongoDB's age, `hnm doctor` says better
        FIFTYONE_DO_NOT_TRACK="true",
        FIFTYONE_LOGGING_LEVEL="WARNING",
        FIFTYONE_PLUGINS_DIR=str(aside / "plugins"),
        FIFTYONE_SHOW_PROGRESS_BARS="false",
    )


def free_port(wanted: int) -> int:
    """The wanted port of this machine, or the next one that nobody listens on."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError(f"no free port from {wanted} to {wanted + 99}; choose another with --port")


def answers(address: str, timeout: float = APP_TIMEOUT) -> bool:
    """Whether the page can be had within ``timeout`` seconds; asked until it can."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5) as page:
            return bool(page.status == 200)
        time.sleep(0.5)
    return False


command = Command(
    help="show a real detector's worst mistakes in the App, on data made on the spot",
    run=run,
    add_arguments=add_arguments,
    description="Makes photographs with digits on them, predicts with the bundled detector, mines its mistakes, "
    "exports a weighted subset and opens the App on the hardest false positives.",
)
