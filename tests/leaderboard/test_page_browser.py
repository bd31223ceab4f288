"""The page in a real browser: headless Chromium, from file://."""

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from zoobench.zoos import ALL
from zoobench_leaderboard.page import render
from zoobench_leaderboard.results import read_all
from zoobench_leaderboard.score import score_all

from .synthetic import crowd, renamed, shifted

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ROOT = Path(__file__).resolve().parents[2]
# Pictures of the page, for people to look at.
PICTURES = ROOT / "build" / "screenshots"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `make browser` installs Debian's")


@pytest.fixture(scope="session")
def entries(scored_board, tmp_path_factory):
    """Two real submissions; an open one, a partial one and one with a sheet of transfers made from them; two zoos."""
    board = tmp_path_factory.mktemp("shown") / "board"
    shutil.copytree(scored_board, board)
    scored = score_all(board)
    one, other = scored
    mnist = {"zoo": "mnist-zoo-tiny/seed", "trained_on": "mnist-zoo-tiny/seed"}
    away = [
        shifted(result, -0.3, **ends)
        for result in one.results
        for ends in ({"trained_on": mnist["zoo"]}, {"zoo": mnist["zoo"]})
    ]
    both = {entry.name: [*entry.results, *(shifted(part, 0.01, **mnist) for part in entry.results)] for entry in scored}
    return [
        renamed(one, one.name, [*both[one.name], *away], parameters=560),
        renamed(other, other.name, both[other.name], parameters={"tetris-zoo-tiny/seed": 1010}),
        renamed(one, "wide-open", [shifted(r, 0.1) for r in both[one.name]], training_data="external"),
        renamed(one, "one-zoo", [shifted(r, -0.1) for r in one.results], authors=["Ada <b>Lovelace</b>"]),
    ]


@pytest.fixture(scope="session")
def file(entries, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render(entries))
    return path


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser):
    """Opens files in new tabs; fails the test on a console message or any request beyond the file itself."""
    messages, requests, tabs = [], [], []

    def open_file(path: Path, fragment: str = "", **options):
        tab = browser.new_page(**({"viewport": {"width": 1280, "height": 800}} | options))
        tabs.append((tab, path.as_uri()))
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri() + fragment)
        return tab

    yield open_file
    for tab, _ in tabs:
        tab.close()
    assert messages == []
    assert {url.split("#")[0] for url in requests if not url.startswith("data:")} <= {uri for _, uri in tabs}


@pytest.fixture
def page(open_page, file):
    return open_page(file, "#zoo=tetris-zoo-tiny/seed")


def column(tab, index):
    """First lines of a column's cells, of submissions; from 1."""
    cells = f".board tbody:not(.references) tr > :nth-child({index})"
    return tab.eval_on_selector_all(cells, "cells => cells.map(cell => cell.innerText.split('\\n')[0])")


def names(tab):
    return tab.eval_on_selector_all(".board tbody:not(.references) button.name", "all => all.map(one => one.innerText)")


def heading(tab, name):
    return tab.locator(f'thead button[data-column="{name}"]')


def fragment(tab):
    """What the address says, asked of the page itself: ``tab.url`` hears of it a moment later."""
    return tab.evaluate("location.hash").removeprefix("#")


def sorting(tab, name):
    return heading(tab, name).locator("xpath=..").get_attribute("aria-sort")


def test_a_board_is_ranked_and_sorts_by_any_column_best_first(page):
    assert [rank.split(" ")[0] for rank in column(page, 1)] == ["1", "2", "3"]
    assert sorting(page, "mean") == "descending"
    heading(page, "accuracy").click()
    assert sorting(page, "mean") is None
    assert sorting(page, "accuracy") == "descending"
    values = [float(value) for value in column(page, 4)]
    assert values == sorted(values, reverse=True)
    heading(page, "accuracy").click()
    assert sorting(page, "accuracy") == "ascending"
    assert [float(value) for value in column(page, 4)] == sorted(values)
    heading(page, "name").click()
    assert names(page) == ["linear-stats", "linear-w", "one-zoo"]
    # References stay where they are, without a rank.
    assert page.locator(".references tr").first.inner_text().split("\t")[0].strip() == ""
    assert page.locator(".board tbody").last.get_attribute("class") == "references"


def test_another_metric_shows_and_sorts_its_own_values(page):
    r2 = column(page, 4)
    page.select_option("#metric", "mse")
    assert column(page, 4) != r2
    heading(page, "accuracy").click()
    assert sorting(page, "accuracy") == "ascending"  # small errors are good
    values = [float(value) for value in column(page, 4)]
    assert values == sorted(values)


def test_one_task_shows_all_its_metrics(page, entries):
    page.select_option("#task", "epoch")
    assert [text.strip() for text in page.locator(".board thead th").all_inner_texts()][3:] == [
        "R²",
        "MSE",
        "MAE",
        "τ-b",
        "ρ",
        "skill",
    ]
    best = max(
        (e for e in entries if e.submission.track == "standard"),
        key=lambda e: e.results[0].tasks["epoch"].scores["r2"].value,
    )
    heading(page, "r2").click()
    assert names(page)[0] == best.name


def test_another_protocol_shows_its_own_board(page):
    before = column(page, 3)
    page.select_option("#protocol", "final")
    assert "protocol final" in page.locator("main section p").first.inner_text()
    assert column(page, 3) != before


def test_tracks_are_ranked_by_themselves(page):
    assert "wide-open" not in names(page)
    page.select_option("#track", "open")
    assert (names(page), column(page, 1)) == (["wide-open"], ["1"])
    page.select_option("#track", "all")
    assert names(page)[0] == "wide-open"
    assert [rank.split(" ")[0] for rank in column(page, 1)] == ["1", "2", "3", "4"]
    assert page.locator("tr", has_text="wide-open").locator(".badge").inner_text() == "open"


def test_a_zoo_that_is_not_predicted_counts_nothing_over_all_zoos(page, entries):
    page.select_option("#zoo", "")
    half = names(page).index("one-zoo")
    means = [float(value) for value in column(page, 3)]
    by_zoo = [[0.0 if value == "–" else float(value) for value in column(page, k)] for k in (4, 5)]
    assert "–" in (column(page, 4)[half], column(page, 5)[half])
    assert means == sorted(means, reverse=True)
    assert means == pytest.approx([sum(pair) / 2 for pair in zip(*by_zoo, strict=True)], abs=2e-3)
    page.select_option("#task", "accuracy")
    page.select_option("#metric", "kendall_tau")
    standard = [entry for entry in entries if entry.submission.track == "standard"]
    best = max(standard, key=lambda entry: entry.results[0].tasks["accuracy"].scores["kendall_tau"].value)
    heading(page, "tetris-zoo-tiny/seed").click()
    assert names(page)[0] == best.name


def test_search_narrows_and_says_how_many_are_left(page):
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("lovelace")
    assert names(page) == ["one-zoo"]
    assert page.locator("#status").inner_text() == "1 of 4 submissions"
    page.fill("#q", "no such method")
    assert names(page) == []


def test_the_address_holds_what_is_shown(open_page, file, page):
    page.select_option("#task", "accuracy")
    page.select_option("#protocol", "final")
    heading(page, "mse").click()
    page.fill("#q", "ridge")
    address = fragment(page)
    assert address == "zoo=tetris-zoo-tiny/seed&task=accuracy&protocol=final&q=ridge&sort=mse.asc"
    again = open_page(file, "#" + address)
    assert column(again, 5) == column(page, 5)
    assert [again.input_value(f"#{name}") for name in ("zoo", "task", "protocol", "q")] == [
        "tetris-zoo-tiny/seed",
        "accuracy",
        "final",
        "ridge",
    ]
    assert sorting(again, "mse") == "ascending"
    wrong = open_page(file, "#zoo=nonsense&task=constructor&metric=__proto__&sort=x&track=none&submission=toString")
    assert wrong.input_value("#zoo") == ""
    assert len(names(wrong)) == 3


def test_a_panel_shows_what_a_submission_says_and_predicts(page, entries, scored_board):
    page.get_by_role("button", name="linear-stats").click()
    panel = page.get_by_role("dialog", name="linear-stats")
    assert panel.locator("dd").first.inner_text() == "Ridge on statistics"
    assert "560" in panel.locator("dl").inner_text()
    (entry,) = [entry for entry in entries if entry.name == "linear-stats"]
    points = entry.results[0].points
    assert panel.locator(".truth").count() == len(points) > 0
    drawn = panel.locator(".truth", has_text="accuracy").locator("circle")
    labels = pd.read_parquet(scored_board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet")
    targets = labels["test_accuracy"].iloc[np.random.RandomState(0).permutation(len(labels))[:150]]
    assert drawn.count() == len(targets)
    # The frame is 180 wide, 30 left of it and 4 right of it; the margin of the axis is 8 % of the targets' range.
    target, low, high = targets.iloc[0], targets.min(), targets.max()
    share = (target - low + 0.08 * (high - low)) / (1.16 * (high - low))
    assert float(drawn.first.get_attribute("cx")) == pytest.approx(30 + 146 * share, abs=0.4)
    assert fragment(page).endswith("submission=linear-stats")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert "submission" not in fragment(page)
    assert page.evaluate("document.activeElement.innerText") == "linear-stats"


def test_going_back_closes_the_panel(page):
    page.get_by_role("button", name="linear-w").click()
    page.wait_for_selector("dialog[open]")
    page.go_back()
    page.wait_for_selector("dialog[open]", state="hidden")
    page.go_forward()
    page.wait_for_selector("dialog[open]")


def test_transfers_are_a_heat_map(page, entries):
    page.get_by_role("button", name="linear-stats").click()
    (entry,) = [entry for entry in entries if entry.name == "linear-stats"]
    expected = {
        (result.trained_on, result.zoo): result.tasks["accuracy"].scores["kendall_tau"].value
        for result in entry.results
        if result.stamp.protocol == "all"
    }
    zoos = sorted({zoo for pair in expected for zoo in pair})
    cells = page.locator(".transfer td").all_inner_texts()
    assert [float(cell) for cell in cells] == pytest.approx([expected[a, b] for a in zoos for b in zoos], abs=6e-4)
    shades = page.eval_on_selector_all(".transfer td", "all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(shades)) > 1


def test_parameters_are_drawn_against_scores(page):
    dots = page.locator(".scatter circle title").all_text_contents()
    assert sorted(text.split(":")[0] for text in dots) == ["linear-stats", "linear-w"]  # the two that say it
    assert any("1,010 parameters" in text for text in dots)


def test_a_score_far_out_stands_at_the_edge_and_leaves_the_others_as_they_are_drawn(open_page, entries, tmp_path):
    few = [entry for entry in entries if entry.name != "one-zoo"]
    more = [renamed(few[0], f"near-{k}", [shifted(r, k / 100) for r in few[0].results], parameters=900) for k in (1, 2)]
    far = renamed(few[0], "far-out", [shifted(r, -1e77) for r in few[0].results], parameters=700)
    drawn = {}
    for name, listed in {"without": [*few, *more], "with": [*few, *more, far]}.items():
        (tmp_path / f"{name}.html").write_text(render(listed), encoding="utf-8")
        tab = open_page(tmp_path / f"{name}.html", "#zoo=tetris-zoo-tiny/seed&track=all")
        rows = {row: tab.locator(f'tr:has(button.name:text-is("{row}"))') for row in names(tab)}
        bars = {row: where.locator(".range i").first.get_attribute("style") for row, where in rows.items()}
        dots = tab.eval_on_selector_all(
            ".scatter a",
            "all => all.map(one => [one.textContent.split(':')[0], one.firstChild.getAttribute('cy')])",
        )
        drawn[name] = (bars, dict(dots))
    bars, dots = drawn["with"]
    assert "-1.00e+77" in rows["far-out"].inner_text()
    assert bars.pop("far-out") == "left:0.0%;width:1.0%"
    assert float(dots.pop("far-out")) > max(map(float, dots.values()))
    assert (bars, dots) == drawn["without"]


def test_hostile_texts_stay_texts(open_page, entries, tmp_path):
    hostile = "</script><img src=x onerror=document.title='pwned'><script>document.title='pwned'</script>"
    fields = dict.fromkeys(("method", "version", "description", "code", "hardware", "command"), hostile)
    entry = renamed(
        entries[0], entries[0].name, entries[0].results, authors=[hostile], paper="javascript:alert(1)", **fields
    )
    (tmp_path / "hostile.html").write_text(render([entry]))
    tab = open_page(tmp_path / "hostile.html", "#zoo=tetris-zoo-tiny/seed&submission=linear-stats")
    assert hostile in tab.locator("dialog").inner_text()
    assert tab.locator("img, main script, dialog script, dialog a").count() == 0
    assert tab.title() == "zoobench leaderboard"


def test_it_can_be_used_by_keyboard_and_is_named_for_screen_readers(page):
    snapshot = page.locator("body").aria_snapshot()
    for line in (
        '- combobox "Zoo"',
        '- searchbox "Search"',
        '- table "tetris-zoo-tiny/seed"',
        '- columnheader "accuracy"',
        '- rowheader "linear-stats',
        "- status",
        "- main",
    ):
        assert line in snapshot, line
    heading(page, "accuracy").focus()
    page.keyboard.press("Enter")
    assert sorting(page, "accuracy") == "descending"
    assert page.evaluate("document.activeElement.dataset.column") == "accuracy"  # where it was
    page.keyboard.press("Space")
    assert sorting(page, "accuracy") == "ascending"
    page.locator(".board button.name").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    assert page.evaluate("document.activeElement.closest('dialog') !== null")


def test_a_dark_theme_is_followed_with_enough_contrast(page):
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('p')).color]"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        back, soft = (_luminance(text) for text in page.evaluate(colours))
        assert (back > 0.5) == (scheme == "light")
        # Web Content Accessibility Guidelines 2, 1.4.3: at least 4.5 to 1.
        assert (max(back, soft) + 0.05) / (min(back, soft) + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, from rgb(r, g, b)."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("fragment", ["", "#zoo=tetris-zoo-tiny/seed", "#submission=linear-stats"])
def test_a_phone_needs_no_sideways_scrolling_but_of_the_table(open_page, file, fragment):
    tab = open_page(file, fragment, viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("document.querySelector('.scroll').clientWidth") <= 360


def test_200_submissions_on_16_zoos_stay_quick(open_page, scored_board, tmp_path, capsys):
    """Prints what it measures; the limits are wide, for machines with other work."""
    zoos = [f"{spec.repo}-lite/{spec.config}" for spec in ALL]
    board = tmp_path / "board"
    shutil.copytree(scored_board, board)
    entries = crowd(score_all(board)[0], 200, zoos, runs=100)
    start = time.perf_counter()
    path = tmp_path / "crowd.html"
    path.write_text(render(entries))
    rendered = time.perf_counter() - start
    start = time.perf_counter()
    tab = open_page(path)
    loaded = time.perf_counter() - start
    assert len(names(tab)) == 200
    switch = tab.evaluate(
        """() => {
          const timed = (id, value, kind) => {
            const start = performance.now();
            document.getElementById(id).value = value;
            document.getElementById(id).dispatchEvent(new Event(kind));
            document.body.offsetHeight;
            return performance.now() - start;
          };
          return [
            timed("zoo", "mnist-zoo-lite/seed", "change"),
            timed("task", "accuracy", "change"),
            timed("q", "method-19", "input"),
          ];
        }"""
    )
    assert len(names(tab)) == 10
    with capsys.disabled():
        print(
            f"\n200 submissions on {len(zoos)} zoos: {path.stat().st_size / 1e6:.1f} MB, made in {rendered:.1f} s, "
            f"loaded in {loaded:.2f} s; zoo, task, search shown in {', '.join(f'{t:.0f}' for t in switch)} ms"
        )
    assert loaded < 10
    assert max(switch) < 2000


def test_pictures_of_the_repository_s_own_page(open_page, tmp_path):
    """Also that the committed results make a page."""
    (tmp_path / "index.html").write_text(render(read_all(ROOT / "leaderboard")))
    PICTURES.mkdir(parents=True, exist_ok=True)
    views = {
        "all-zoos": ("", {}),
        "board": ("#zoo=tetris-zoo/seed", {}),
        "board-dark": ("#zoo=tetris-zoo/seed", {"color_scheme": "dark"}),
        "task": ("#zoo=tetris-zoo/seed&task=accuracy", {}),
        "panel": ("#zoo=small-cnn-zoo-lite/mnist&submission=gbm-stats", {}),
        "phone": ("#zoo=tetris-zoo/seed", {"viewport": {"width": 390, "height": 800}}),
    }
    for name, (fragment, options) in views.items():
        tab = open_page(tmp_path / "index.html", fragment, **options)
        assert tab.locator(".board tbody tr").count() > 0
        tab.screenshot(path=PICTURES / f"{name}.png")
        assert (PICTURES / f"{name}.png").stat().st_size > 10_000
