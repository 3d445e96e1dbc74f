"""The page in each state, on each screen: it fits, can be read, and text stays text; the pictures are for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.chromium import DESKTOP, PHONE, TABLET, Browser, Device
from tests.browser.states import HOSTILE, STATES, Stage
from tests.ops.support import failure, summary
from tests.support import eventually
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.style import SCRIPT

SCREENS = {
    "desktop": DESKTOP,
    "desktop-dark": replace(DESKTOP, is_dark=True),
    "tablet": TABLET,
    "phone": PHONE,
    "phone-dark": replace(PHONE, is_dark=True),
    "zoomed": Device(640, 450, 2.0),  # a desktop's screen at 200 %
    "narrow": Device(320, 568, 2.0, is_touched=True),
}
NO_SCRIPT = replace(DESKTOP, runs_scripts=False)

LEAST_CONTRAST = 4.5
CONTRASTS = """
(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((each, i) => each * a + below[i] * (1 - a));
  const light = (colour) => colour.map((each) => each / 255)
    .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => element === null ? [255, 255, 255]
    : over(parts(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest("svg,script")) continue;
    const back = behind(element), front = over(parts(getComputedStyle(element).color), back);
    const [low, high] = [light(back), light(front)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), text.slice(0, 60)]);
  }
  return found;
})()
"""
"""The contrast of each text with what is behind it, by the formula of WCAG 2."""

OUTSIDE = """
[...document.querySelectorAll("main *, footer *")].filter((each) => !each.closest("svg, .scroll, .tile b"))
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 0.5)
  .map((each) => each.outerHTML.slice(0, 200))
"""

OVERLONG = "[...document.querySelectorAll('dd')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"


@pytest.mark.parametrize("state", STATES)
def test_each_state_fits_each_screen_and_can_be_read(browser: Browser, pictures: Path | None, state: str) -> None:
    with STATES[state]().shown() as url, browser.tab() as tab:
        for name, screen in SCREENS.items():
            tab.use(screen)
            tab.open(url)
            assert tab.ask("document.documentElement.scrollWidth <= innerWidth"), name
            assert tab.ask(OUTSIDE) == [], name
            assert tab.ask(OVERLONG) == [], name
            contrasts = tab.ask(CONTRASTS)
            assert len(contrasts) > 5
            assert min(contrasts)[0] >= LEAST_CONTRAST, (name, min(contrasts))
            if pictures:
                tab.photograph(pictures / f"{state}-{name}.png")
        assert not tab.troubles
        assert {each.partition(":")[0] for each in tab.requests} <= {"http", "data"}
        assert all(each.startswith((url, "data:")) for each in tab.requests)


@pytest.mark.parametrize("screen", [DESKTOP, NO_SCRIPT], ids=["script", "no script"])
def test_hostile_text_stays_text_also_when_the_page_is_renewed(browser: Browser, screen: Device) -> None:
    stage = STATES["hostile"]()
    with stage.shown() as url, browser.tab(screen) as tab:
        tab.open(url)
        for _ in range(2):
            tab.until("document.readyState === 'complete'")
            assert "<script>window.owned=1;alert(1)</script>" in tab.text
            assert tab.ask("document.querySelectorAll('img,iframe,object,form,svg script').length") == 0
            assert tab.ask("document.scripts.length") == 1
            attributes = tab.ask("[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())")
            assert not [each for each in attributes if each.startswith("on") or each == "style"]
            assert tab.ask("'owned' in window") is False
            assert not set("\u202e\u2066\x1b\x00\u2028") & set(tab.text)
            stage.clock.pass_by(60)
            tab.until("document.querySelector('header').innerText.includes('14:02')")
        assert screen.runs_scripts == (tab.loads == 1), "without its script, the page is loaded anew, by itself"
        assert not tab.troubles
        assert tab.requests
        assert all(each.startswith((url, "data:")) for each in tab.requests)


def test_the_policy_stops_what_the_escaping_would_let_through(browser: Browser) -> None:
    """Smuggle markup past the escaping, as a mistake in it would: nothing runs, nothing is fetched."""
    with STATES["idle"]().shown() as url, browser.tab() as tab:
        tab.open(url)
        smuggled = (
            "<img src=https://example.org/x.png onerror=window.owned=1><style>body{display:none}</style>"
            "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>"
        )
        tab.ask(f"document.querySelector('main').insertAdjacentHTML('beforeend', {smuggled!r})")
        script = (
            "const s = document.createElement('script'); s.textContent = 'window.owned = 2'; document.body.append(s)"
        )
        tab.ask(f"(() => {{ {script} }})()")
        assert tab.ask("'owned' in window") is False
        assert tab.ask("getComputedStyle(document.body).display") == "block"
        assert tab.ask("document.images[0].naturalWidth") == 0
        assert [each for each in tab.troubles if "Content Security Policy" in each]


def test_it_can_be_used_by_keyboard_and_screen_reader(browser: Browser) -> None:
    with STATES["many"]().shown() as url, browser.tab() as tab:
        tab.open(url)
        named = tab.named()
        assert ("heading", "visionflow-daemon") in named
        assert ("navigation", "Sources") in named
        assert ("image", "Files and seconds of recent passes") in named
        assert ("progressbar", "files done") in named
        assert sum(role == "region" and name.startswith("team-") for role, name in named) == 12
        assert not [role for role, name in named if role in {"link", "heading", "region", "progressbar"} and not name]
        tab.press("Tab")
        assert tab.ask("document.activeElement.className") == "tile"
        assert tab.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        for _ in range(11):
            tab.press("Tab")
        tab.press("Enter")
        tab.until("location.hash === '#source-11'")
        tab.press("Tab")
        assert tab.ask("document.activeElement.tagName") == "SUMMARY"
        tab.press("Enter")
        tab.until("document.activeElement.parentElement.open")
        assert tab.ask("document.activeElement.closest('section').id") == "source-11"


def test_renewing_leaves_what_the_operator_does_alone(browser: Browser) -> None:
    stage = STATES["many"]()
    with stage.shown() as url, browser.tab(PHONE) as tab:
        tab.open(url)
        tab.ask("document.querySelector('#source-3 details').open = true")
        tab.ask("document.querySelector('#source-3 summary').focus()")
        tab.ask("getSelection().selectAllChildren(document.querySelector('#source-3 td code'))")
        tab.ask("window.kept = document.querySelector('#source-3 tbody tr')")
        tab.ask("scrollTo(0, document.querySelector('#source-3').offsetTop)")
        place = "document.querySelector('#source-3').getBoundingClientRect().top"
        assert tab.ask("scrollY") > 500
        before = tab.ask(place)
        stage.clock.pass_by(60)
        stage.board.pass_failed("team-05", "no answer", ExitCode.REMOTE)
        tab.until("document.querySelector('#source-5').innerText.includes('no answer')")
        assert tab.loads == 1
        assert tab.ask(place) == pytest.approx(before, abs=1), "what is looked at stays where it is"
        assert tab.ask("getSelection().toString()") == "pages/Autonomous Vehicle.md"
        assert tab.ask("document.querySelector('#source-3 details').open") is True
        assert tab.ask("document.activeElement === document.querySelector('#source-3 summary')") is True
        assert tab.ask("window.kept === document.querySelector('#source-3 tbody tr')") is True
        stage.board.source_gone("team-00")
        tab.until(
            "document.querySelectorAll('section').length === 11 && document.querySelectorAll('.tile').length === 11"
        )
        assert tab.ask("document.querySelector('section h2').innerText") == "team-01"
        assert not tab.troubles


def test_failures_come_and_go_in_place(browser: Browser) -> None:
    stage = Stage()
    stage.source("kg")
    with stage.shown() as url, browser.tab() as tab:
        tab.open(url)
        assert "Failed files" not in tab.text
        held = stage.held["kg"]
        stage.held["kg"] = replace(held, failures=(failure(HOSTILE, "no JSON at all", 7),))
        tab.until("document.querySelector('.cards')?.innerText.includes('no JSON at all')")
        stage.held["kg"] = held
        stage.board.pass_done("kg", summary(commit="abcdef" * 6))
        tab.until("!document.querySelector('.cards')")
        assert "abcdefabcdef" in tab.text
        assert (tab.loads, tab.troubles) == (1, [])


def test_a_page_of_another_version_is_loaded_as_a_whole(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = STATES["idle"]()
    with stage.shown() as url, browser.tab() as tab:
        tab.open(url)
        stage.clock.pass_by(60)
        tab.until("document.querySelector('header').innerText.includes('14:02')")
        assert tab.loads == 1
        monkeypatch.setattr("visionflow_daemon.ops.page.SCRIPT", SCRIPT + "//")  # which the policy refuses
        tab.until("document.scripts[0]?.textContent.endsWith('//')")
        eventually(lambda: tab.loads == 2)
