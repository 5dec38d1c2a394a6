"""Headless Chromium for the browser tests, and Airflow's login form."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from include.stack import credentials
from tests.end_to_end.stack_runner import Running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MARKS = [
    pytest.mark.end_to_end,
    pytest.mark.browser,
    pytest.mark.usefixtures("settings"),
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("PERENNIAL_REQUIRE_BROWSER"), reason="no chromium on this machine"
    ),
]
PATIENCE = 120_000  # milliseconds; the machine may be busy


@contextmanager
def started() -> Iterator[Any]:
    """A browser; it ends with the block."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "PERENNIAL_REQUIRE_BROWSER is set and there is no chromium"
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield made
        made.close()


def send_login_form(
    browser: Any, running: Running, password: str, user: str = credentials.USER, width: int = 1440
) -> Any:
    """Open a page without cookies, fill in the login form and send it; return the page."""
    made = browser.new_page(viewport={"width": width, "height": 900})
    made.set_default_timeout(PATIENCE)
    made.goto(f"{running.stack.airflow_url}/")
    made.fill("input[name=username]", user)
    made.fill("input[name=password]", password)
    made.click("button[type=submit]")
    return made


def logged_in(browser: Any, running: Running, user: str = credentials.USER, width: int = 1440) -> Any:
    """A page of a user who has logged in through the form."""
    made = send_login_form(browser, running, credentials.password(running.stack, user), user, width)
    made.get_by_role("link", name="Home").first.wait_for()
    return made


def picture(page: Any, name: str) -> None:
    """Keep a screenshot once the page has settled, if ``PERENNIAL_SCREENSHOTS`` names a folder."""
    folder = os.environ.get("PERENNIAL_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(2500)
        page.screenshot(path=Path(folder) / f"{name}.png")
