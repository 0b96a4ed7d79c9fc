"""A real Chromium for the tests that drive the App; where none can be had they are skipped and say so."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser.app import IMAGES, PICTURES, Shoot, drawn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PICTURED = ("grid", "form", "panel", "review", "compare")
"""What the README shows."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NO_ADVERTISEMENT = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"


def _find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _install_chromium() -> str:
    """Debian's own package, where we may install it; returns why it is not there, or an empty string."""
    if not shutil.which("apt-get"):
        return "there is no apt-get to install it with"
    if os.geteuid() != 0:
        return "only root can install it (apt-get install chromium)"
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", *command],
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    return "" if done.returncode == 0 else f"apt-get could not install it: {done.stderr.strip()[-300:]}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, installed from Debian if need be."""
    reason = "" if _find_chromium() else _install_chromium()
    path = _find_chromium()
    if path is None:
        pytest.skip(f"no Chromium for the browser tests: {reason}")
    return path


@pytest.fixture(scope="module")  # while it lives an event loop runs, and FiftyOne's operators answer differently in one
def browser(chromium: str) -> Iterator[Browser]:
    """A running Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


def _only_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname == "127.0.0.1":
        route.continue_()
    else:
        route.abort()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page that reaches this machine only, large enough for the grid and a panel side by side."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.add_init_script(NO_ADVERTISEMENT)
    context.route("**/*", _only_this_machine)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits on photographs, with the bundled detector's predictions."""
    from fiftyone_plugin.demo.dataset import prepare_digits

    folder = tmp_path_factory.mktemp("digits")
    prepare_digits(folder, IMAGES, seed=0)
    return folder


@pytest.fixture(scope="session")
def digits(scenes: Path) -> Any:
    """The digits as a dataset; each test takes a copy."""
    from fiftyone_plugin.demo.dataset import load_digits

    return load_digits(scenes / "digits" / "data.yaml", scenes / "predictions", "original")


@pytest.fixture(scope="session")
def address(digits: Any) -> Iterator[str]:
    """Where the App shows datasets: one server for all modules, for it takes many seconds to start."""
    import fiftyone as fo

    from fiftyone_plugin.demo.command import answers, free_port

    port = free_port(5300 + os.getpid() % 1000)  # a free port is taken only when the App is up: others test, too
    session = fo.launch_app(digits, remote=True, address="127.0.0.1", port=port)
    at = f"http://127.0.0.1:{port}/datasets"
    assert answers(f"{at}/{digits.name}"), f"the App did not answer at {at}"
    while not session._client._connected:  # it tries every ten seconds, and then takes every page to its own dataset
        time.sleep(0.2)
    time.sleep(2)
    yield at
    session.close()


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Keeps what the user sees, and as a picture of the README if asked."""
    from PIL import Image

    def shoot(name: str) -> None:
        drawn(page)
        page.wait_for_timeout(1000)  # transitions
        page.screenshot(path=tmp_path / f"{name}.png")
        if PICTURES and name in PICTURED:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            with Image.open(tmp_path / f"{name}.png") as screenshot:  # in 256 colours it takes a third of the space
                small = screenshot.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            small.save(Path(PICTURES) / f"{name}.png", optimize=True)

    return shoot
