"""The storefront as a person meets it, in a real browser; and what it asks of the gateway."""

from collections.abc import Iterator
from typing import Any

import pytest
from recstack_triton_templates.graph import FUSED
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.serving.browser import Browser
from tests.serving.conftest import Packages
from tests.serving.pod import Pod


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, pod: Pod) -> Iterator[Browser]:
    """Nothing may be asked of another host, and nothing complained about, whatever the test does."""
    home = f"http://127.0.0.1:{pod.port}/"
    chromium.look()
    chromium.open(home)
    chromium.find("#grid .card")
    yield chromium
    chromium.read_logs()
    # Chromium draws a date field's own icon from a data address.
    strange = [url for url in chromium.requests if not url.startswith((home, "data:"))]
    assert (strange, chromium.complaints) == ([], [])
    assert any(url.endswith("/v1/recommend") for url in chromium.requests)


def _carousel(browser: Browser) -> list[str]:
    found: list[str] = browser.run(
        "return [...document.querySelectorAll('#carousel .add')].map(e => e.dataset.item)"
    )
    return found


def _choose(browser: Browser, person: str) -> list[str]:
    """Ask as a person of an id; returns the carousel."""
    field = browser.find("#person")
    field.clear()
    field.send_keys(person, Keys.ENTER)
    browser.wait(lambda: f"for person {person}," in browser.find("#summary").text, f"person {person}")
    return _carousel(browser)


def _recommended(pod: Pod, user: int | None, k: int = 20, **context: Any) -> list[str]:
    reply = pod.recommend(user_id=user, k=k, context=context).json()
    return [str(one["id"]) for one in reply["items"]]


def test_a_person_sees_her_carousel(browser: Browser, pod: Pod) -> None:
    assert browser.find("#version").text == "first"
    # No time is told; the sample's hours change slowly, but a test may run over a full hour.
    assert browser.wait(lambda: _choose(browser, "7") == _recommended(pod, 7), "the carousel of person 7")
    assert browser.texts("#carousel h3")[0].startswith("Título")
    pictures = browser.run(
        "return [...document.querySelectorAll('#carousel .picture svg')].map("
        "e => e.outerHTML.replace(/g[0-9]+/g, ''))"
    )
    assert len(set(pictures)) == 20
    assert set(browser.texts("#carousel .facts li")) <= {"a", "b", "c"}


def test_device_and_time_come_from_the_schema_and_count(browser: Browser, pod: Pod) -> None:
    _choose(browser, "5")
    fields = browser.run("return [...document.querySelectorAll('[data-column]')].map(e => e.dataset.column)")
    assert fields == ["device_type", "timestamp"]
    browser.run(
        "const e = document.querySelector('[data-column=timestamp]'); e.value = '2024-01-01T12:30';"
        "e.dispatchEvent(new Event('change'))"
    )
    for device in (0, 1):
        Select(browser.find("[data-column=device_type]")).select_by_visible_text(str(device))
        wanted = _recommended(pod, 5, device_type=device, timestamp=1_704_112_200)
        browser.wait(lambda wanted=wanted: _carousel(browser) == wanted, f"the order on device {device}")


def test_a_click_changes_the_next_carousel(browser: Browser, pod: Pod) -> None:
    before = _choose(browser, "41")
    title = browser.texts("#carousel h3")[1]
    browser.find(f'#carousel [data-item="{before[1]}"]').click()
    browser.wait(lambda: before[1] not in _carousel(browser), "the item gone")
    assert _carousel(browser)[:3] == [before[0], before[2], before[3]]
    assert browser.find("#cart-count").text == "1"
    browser.wait(lambda: browser.find("#compare").is_displayed(), "the comparison")
    assert browser.texts("#before .name")[:3][1] == title
    assert title not in browser.texts("#after .name")
    assert browser.find("#before .gone .mark").text == "in cart"
    assert browser.texts("#after .mark")[0] == "▲ 1"
    assert "1 left, 1 came" in browser.find("#compare-text").text
    left, right = browser.find("#before").rect, browser.find("#after").rect
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert before[1] not in _recommended(pod, 41)
    browser.find("#cart summary").click()
    assert title in browser.find("#cart-items").text
    browser.find("#forget").click()
    browser.wait(lambda: _carousel(browser) == before, "all as before")


def test_nobody_leaves_no_trace_and_a_new_visitor_does(browser: Browser, pod: Pod) -> None:
    browser.find("[data-mode=nobody]").click()
    browser.wait(lambda: "for nobody" in browser.find("#summary").text, "nobody")
    before = _carousel(browser)
    browser.find("#carousel .add").click()
    browser.wait(lambda: "choose a person" in browser.find("#toast").text, "the hint")
    assert _carousel(browser) == before
    assert not browser.find("#compare").is_displayed()
    browser.find("[data-mode=visitor]").click()
    browser.wait(lambda: "for new visitor" in browser.find("#summary").text, "a visitor")
    first = _carousel(browser)[0]
    assert browser.find("#cart-count").text == "0"
    browser.find("#carousel .add").click()
    browser.wait(lambda: first not in _carousel(browser), "the visitor's item gone")


def test_ids_of_64_bits_survive(browser: Browser, pod: Pod) -> None:
    for person in (str(2**63 - 1), str(-(2**63))):
        first = _choose(browser, person)[0]
        browser.find("#carousel .add").click()
        browser.wait(lambda first=first: first not in _carousel(browser), "the item gone")
        assert first not in _recommended(pod, int(person))
    field = browser.find("#person")
    field.clear()
    field.send_keys(str(2**63), Keys.ENTER)
    assert "64 bits" in browser.run("return document.getElementById('person').validationMessage")


def test_catalog_pages_and_search(browser: Browser) -> None:
    assert len(browser.all("#grid .card")) == 24
    assert browser.find("#catalog-text").text == "400 items"
    assert not browser.find("#previous").is_enabled()
    first = browser.texts("#grid h3")
    assert first[0] == "Item 1000"  # it has no title
    browser.find("#next").click()
    browser.wait(lambda: browser.texts("#grid h3")[0] == "Título 1024", "page 2")
    browser.find("#previous").click()
    browser.wait(lambda: browser.texts("#grid h3") == first, "page 1")
    browser.find("#search").send_keys("TITULO 137")
    browser.wait(lambda: len(browser.all("#grid .card")) == 11, "eleven found")
    assert browser.find("#catalog-text").text == "“TITULO 137”: 11 found"
    assert not browser.find("#next").is_enabled()
    browser.find("#search").send_keys("x")
    browser.wait(lambda: "Nothing" in browser.find("#catalog-text").text, "nothing found")


def test_the_drawer_tells_stages_and_counts(browser: Browser) -> None:
    _choose(browser, "42")
    browser.find("#carousel .add").click()
    browser.wait(lambda: browser.find("#compare").is_displayed(), "the click's effect")
    browser.find("#open-drawer").click()
    assert len(browser.all(".stages tbody tr")) == len(FUSED)
    assert browser.texts(".stages tbody th")[-4:] == [
        "unroll_features",
        "dlrm_ranking",
        "softmax_sampling",
        "item_id_decoder",
    ]
    assert all(float(text) > 0 for text in browser.texts(".stages tbody .ms"))
    assert browser.texts(".funnel b") == ["400", "400", "1", "0", "300", "20"]
    assert browser.texts(".origins tbody td:nth-child(3)") == ["retrieval"] * 10
    assert browser.run("return document.activeElement.closest('dialog') !== null")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.find("#drawer").is_displayed(), "closed")
    assert browser.focus() == "open-drawer"


def test_by_keyboard_alone(browser: Browser) -> None:
    browser.press(Keys.TAB)
    assert browser.focus() == "skip"
    assert browser.find(".skip").rect["y"] >= 0
    browser.press(Keys.ENTER)
    stops: list[str] = []
    while "rail" not in stops and len(stops) < 30:
        browser.press(Keys.TAB)
        stops.append(browser.focus())
        style = browser.run(
            "const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.outlineWidth"
        )
        assert style == "solid3px", stops
    people = [one for one in stops if one not in {"", "timestamp"}]
    assert people[4:6] == ["visitor", "nobody"]
    assert people[-4:] == ["open-drawer", "back", "forth", "rail"]
    assert {"person", "device_type"} <= set(people)
    browser.press(Keys.TAB)
    item = browser.focus()
    assert item == _carousel(browser)[0]
    browser.press(Keys.SPACE)
    browser.wait(lambda: item not in _carousel(browser), "the item gone")
    # The focus is on what took the item's place, so that the next key goes on from there.
    browser.wait(lambda: browser.focus() == _carousel(browser)[0], "the focus")
    browser.press(Keys.ENTER)
    browser.wait(lambda: browser.find("#cart-count").text == "2", "a second item")


def test_names_and_states_for_those_who_listen(browser: Browser) -> None:
    assert browser.run("return document.documentElement.lang") == "en"
    nameless = browser.run(
        "return [...document.querySelectorAll('button, input, select, summary, [role=region]')].filter(e =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert browser.find('[aria-pressed="true"]').get_attribute("data-mode") == "10"
    assert browser.find("#carousel .add").get_attribute("aria-label").startswith("Add Título")
    levels = browser.run("return [...document.querySelectorAll('h1,h2,h3')].map(e => e.tagName).join('')")
    assert levels.startswith("H1H2H3")
    assert levels.count("H1") == 1


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_sticks_out(browser: Browser, width: int) -> None:
    browser.look(width, 844)
    _choose(browser, str(width - 290))
    browser.find("#carousel .add").click()
    browser.wait(lambda: browser.find("#compare").is_displayed(), "the comparison")
    assert browser.run("return document.documentElement.scrollWidth") == width
    out = browser.run(
        "return [...document.querySelectorAll('main *, header *')]"
        ".filter(e => !e.closest('.rail, .chips, svg') && e.getBoundingClientRect().width"
        " && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert out == []
    small = browser.run(
        "return [...document.querySelectorAll('button, select, input')].filter(e => e.offsetHeight"
        " && e.offsetHeight < 40).map(e => e.outerHTML)"
    )
    assert small == []
    browser.run("scrollTo(0, 0)")
    browser.find("#open-drawer").click()
    assert browser.find("#drawer").rect["width"] <= width
    browser.find("#close-drawer").click()


def _contrast(browser: Browser, css: str) -> float:
    """Contrast of an element's text to what is behind it, by WCAG 2."""
    ratio: float = browser.run(
        """
        const light = (colour) => {
          const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        let behind = document.querySelector(arguments[0]);
        const front = light(getComputedStyle(behind).color);
        while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        const back = light(getComputedStyle(behind).backgroundColor);
        return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        """,
        css,
    )
    return ratio


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(browser: Browser, scheme: str) -> None:
    browser.look(dark=scheme == "dark")
    _choose(browser, "45" if scheme == "dark" else "46")
    browser.find("#carousel .add").click()
    browser.wait(lambda: browser.find("#compare").is_displayed(), "the comparison")
    ground = browser.run(
        "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    assert (max(ground) < 60) == (scheme == "dark")
    places = ("h2", ".sub", ".hint", ".card h3", ".facts li", ".add", ".reason .hush", ".count", ".row .mark")
    for css in (*places, ".gone .name", ".chip"):
        assert _contrast(browser, css) >= 4.5, css


def test_motion_only_for_those_who_want_it(browser: Browser) -> None:
    moves = "return getComputedStyle(document.querySelector('.card')).transitionDuration"
    assert browser.run(moves) == "0s"
    browser.look(moving=True)
    assert browser.run(moves) == "0.2s"


def test_a_stack_of_films(browser: Browser, pod: Pod, packages: Packages) -> None:
    """Another schema, live while the page is open: no device, no time, and the page follows by itself."""
    first = pod.add_version("first", packages.first, packages.artifacts)
    films = pod.add_version("films", packages.films, packages.artifacts)
    pod.publish("films", films, first)
    try:
        pod.wait("films is live", lambda: pod.recommend().json()["version"] == "films")
        _choose(browser, "12")
        browser.wait(lambda: browser.find("#version").text == "films", "the version")
        browser.wait(lambda: not browser.all("[data-column]"), "no context")
        browser.wait(lambda: _carousel(browser) == _recommended(pod, 12), "the carousel")
        assert set(browser.texts("#carousel .facts li")) <= {"comedy", "drama"}
        item = _carousel(browser)[0]
        browser.find("#carousel .add").click()
        browser.wait(lambda: item not in _carousel(browser), "the item gone")
        assert browser.find("#compare").is_displayed()
    finally:
        pod.publish("first", first)
        pod.wait("first is live", lambda: pod.recommend().json()["version"] == "first")


def test_a_problem_is_said_and_passes(browser: Browser, pod: Pod) -> None:
    browser.run(
        "window.real = fetch; window.fetch = async () => new Response("
        "JSON.stringify({detail: 'it is mended'}), {status: 503, headers: {'Retry-After': '1'}})"
    )
    browser.find("[data-mode=nobody]").click()
    browser.wait(lambda: "it is mended" in browser.find("#notice").text, "the problem")
    browser.run("window.fetch = window.real")
    browser.wait(lambda: "for nobody" in browser.find("#summary").text, "asked again by itself")
    assert not browser.find("#notice").is_displayed()
