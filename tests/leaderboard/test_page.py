"""The page in a real browser: headless Chromium, from file://."""

import shutil

import pytest
import yaml
from playwright.sync_api import sync_playwright

from zoobench_leaderboard.page import render
from zoobench_leaderboard.score import score_all

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `make browser` installs Debian's")


@pytest.fixture
def page_file(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    outcome = zoobench("leaderboard", "page", "--dir", board)
    assert outcome.code == 0, outcome.err
    return board / "index.html"


@pytest.fixture
def page(page_file):
    """The open page; fails the test on a console message or any request beyond the file itself."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1280, "height": 700})
        messages, requests = [], []
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page_file.as_uri())
        yield tab
        browser.close()
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]


def column(tab, index):
    return tab.eval_on_selector_all(
        f"section:not([hidden]) tbody tr td:nth-child({index})", "cells => cells.map(c => c.innerText.split('\\n')[0])"
    )


@needs_browser
def test_the_page_sorts_by_any_column_best_first(page):
    assert [rank.split(" ")[0] for rank in column(page, 1)] == ["1", "2"]
    heading = page.locator("thead th", has_text="accuracy").first
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    values = [float(value) for value in column(page, 4)]
    assert values == sorted(values, reverse=True)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in column(page, 4)] == sorted(values)
    page.locator("thead th", has_text="submission").get_by_role("button").click()
    assert column(page, 2) == ["linear-stats", "linear-w"]


@needs_browser
def test_another_metric_shows_and_sorts_its_own_values(page):
    r2 = column(page, 4)
    page.select_option("#metric", "mse")
    mse = column(page, 4)
    assert mse != r2
    heading = page.locator("thead th", has_text="accuracy").first
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"  # small errors are good
    values = [float(value) for value in column(page, 4)]
    assert values == sorted(values)


@needs_browser
def test_another_protocol_shows_its_own_board(page):
    assert page.locator("section:not([hidden])").count() == 1
    before = column(page, 3)
    page.select_option("#protocol", "final")
    assert page.locator("section:not([hidden])").get_attribute("data-protocol") == "final"
    assert column(page, 3) != before


@needs_browser
def test_the_page_follows_a_dark_theme(page):
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 29)"


def test_texts_of_submissions_are_escaped(board):
    hostile = '<script>alert("x")</script>'
    path = board / "submissions" / "linear-w" / "submission.yaml"
    texts = dict.fromkeys(("method", "version", "description", "paper", "code", "hardware", "command"), hostile)
    fields = {"authors": [hostile], "training_data": "same-zoo", "validation_labels": "none"}
    path.write_text(yaml.safe_dump(texts | fields))
    html = render(score_all(board))
    assert hostile not in html
    assert "&lt;script&gt;alert(" in html


def test_the_page_asks_for_nothing_outside_itself(board):
    html = render(score_all(board))
    assert "http://" not in html
    assert "https://" not in html
    assert "src=" not in html
