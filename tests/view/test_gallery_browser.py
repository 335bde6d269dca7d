# SPDX-License-Identifier: Apache-2.0
"""The gallery in a headless browser: filters, search, keys, permalinks and zoom are used."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import NoBrowser, headless, set_window
from spatial_engine.view.scene_files import ScenePlans
from spatial_engine.view.serve import make_server
from spatial_engine.view.why import image_shapes, top_view
from tests.view.conftest import Gallery

DESK, PHONE = (1440, 900), (390, 844)


class Page:
    """A window with the gallery; what it waits for comes or fails the test."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, fragment: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(self.url + fragment)
        self.until("return typeof now === 'object' && document.querySelectorAll('.row').length > 0"
                   " || !document.getElementById('none').hidden")  # fmt: skip

    def size(self, size: tuple[int, int], *, dark: bool = False) -> None:
        set_window(self.driver, size, dark=dark)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60, 0.05).until(lambda d: d.execute_script(script), script)

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def keys(self, text: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(text).perform()

    @property
    def listed(self) -> list[str]:
        """Ids of all records that the list holds, in its order."""
        script = "const end = arguments[0]; Promise.all([...now.list].map((i) => cardAt(i)))"
        self.driver.set_script_timeout(60)
        return list(
            self.driver.execute_async_script(f"{script}.then((c) => end(c.map((x) => x.id)))")
        )

    @property
    def shown(self) -> str:
        """Id of the record beside the list."""
        self.until("return shown && shown.card && pane.dataset.id === shown.card.id")
        return str(self.run("return pane.dataset.id"))

    @property
    def counts(self) -> dict[str, int]:
        """Text of each value of the filters that can be pressed -> its count."""
        script = """return [...document.querySelectorAll('#facets li > button')].map(
            (b) => [b.dataset.key.split(':')[0] + ' ' + b.dataset.value,
                    Number(b.querySelector('b').textContent.replaceAll(',', ''))])"""
        return dict(self.run(script))

    @property
    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]  # fmt: skip


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(headless())
        except NoBrowser as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture
def page(gallery: Gallery, driver: Any) -> Page:
    """The page from the disk, in a window of a desktop."""
    found = Page(driver, (gallery.page / "index.html").as_uri())
    found.size(DESK)
    _ = found.errors  # of the test before
    found.open()
    return found


def test_the_page_opens_from_a_disk_and_breaks_no_rule(gallery: Gallery, page: Page) -> None:
    assert page.run("return document.getElementById('count').textContent").startswith(
        f"{len(gallery.records)} records"
    )
    assert Counter(page.listed) == Counter(gallery.records.keys())
    tasks = Counter(record.task for record in gallery.records.values())
    assert len({one.partition("/")[0] for one in page.listed[: len(tasks)]}) == len(tasks)
    _ = page.shown
    page.until("return [...document.images].every((i) => !i.src || i.loading === 'lazy'"
               " || i.complete && i.naturalWidth > 0)")  # fmt: skip
    assert page.errors == []


def test_the_page_is_served_with_its_policy(gallery: Gallery, driver: Any) -> None:
    with make_server(gallery.page, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Page(driver, f"http://127.0.0.1:{server.server_address[1]}/")
        page.size(DESK)
        _ = page.errors
        page.open()
        assert page.shown in gallery.records
        # What an attacker would try: markup from a string, a script in the page, another place.
        page.run("window.broken = []; document.addEventListener('securitypolicyviolation',"
                 "(e) => broken.push(e.effectiveDirective))")  # fmt: skip
        for tried in (
            "document.body.innerHTML = '<b>x</b>'",
            "const s = document.createElement('script'); s.append('bad = 1');"
            "document.head.append(s)",
            "document.createElement('script').src = 'bad.js'",
            "document.body.append(el('img', {src: 'http://localhost:9/a.png', id: 'elsewhere'}))",
            "document.body.setAttribute('style', 'color: red')",
        ):
            page.run(f"try {{ {tried} }} catch (e) {{}}")
        page.until("return ['require-trusted-types-for', 'img-src', 'style-src-attr']"
                   ".every((name) => broken.includes(name))")  # fmt: skip
        assert page.run("return window.bad === undefined")
        server.shutdown()


def test_filters_hide_and_count(gallery: Gallery, page: Page) -> None:
    records = list(gallery.records.values())
    tasks = Counter(record.task for record in records)
    assert {k: n for k, n in page.counts.items() if k.startswith("task ")} == {
        f"task {name}": count for name, count in tasks.items()
    }
    task = "depth_perception.comparison.marked"
    page.click(f'#facets button[data-value="{task}"]')
    wanted = {r.id: r for r in records if r.task == task}
    assert set(page.listed) == set(wanted)
    answers = Counter(r.answer_text for r in wanted.values())
    counts = page.counts
    assert {k: n for k, n in counts.items() if k.startswith("answer ")} == {
        f"answer {name}": count for name, count in answers.items()
    }
    assert counts["task camera_movement.distance"] == tasks["camera_movement.distance"]
    letter = min(answers, key=lambda name: (answers[name], name))
    page.click(f'.facet.answer button[data-value="{letter}"]')
    chosen = {i for i, r in wanted.items() if r.answer_text == letter}
    assert set(page.listed) == chosen
    assert page.shown in chosen
    scene = f"{records[0].source}/{records[0].scene}"
    rows = page.run("return [...document.querySelectorAll('.row')].filter("
                    "(r) => r.getBoundingClientRect().height > 0).length")  # fmt: skip
    assert rows == len(chosen)
    page.click(".clear")
    assert len(page.listed) == len(records)
    page.click(f'.facet.scene button[data-value="{scene}"]')
    assert {gallery.records[i].scene for i in page.listed} == {records[0].scene}


def test_the_search_finds_what_python_finds(gallery: Gallery, page: Page) -> None:
    def text(record: Any) -> str:
        return f"{record.id} {record.question} {record.answer}".lower().replace("`", "")

    page.keys("/")
    assert page.run("return document.activeElement.id") == "search"
    for words in ("camera left", "MM", "0000_00 marked", "no-such-word"):
        page.run("field.value = ''")
        page.keys(words)
        wanted = {r.id for r in gallery.records.values()
                  if all(word in text(r) for word in words.lower().split())}  # fmt: skip
        page.until(f"return now.list.length === {len(wanted)}")
        assert set(page.listed) == wanted
    assert page.run("return !document.getElementById('none').hidden")
    page.click("#clear")
    page.until(f"return now.list.length === {len(gallery.records)}")
    assert page.run("return document.getElementById('none').hidden")
    page.run("field.focus()")
    page.keys("metres")
    page.until("return document.querySelectorAll('mark').length > 0")


def test_keys_walk_and_the_address_leads_back(gallery: Gallery, page: Page) -> None:
    ids = page.listed
    assert page.shown == ids[0]
    for key, at in (("j", 1), ("j", 2), ("k", 1), ("j", 2), ("j", 3)):
        page.keys(key)
        page.until(f"return list.current === {at}")
        assert page.shown == ids[at]
    page.until("return location.hash.includes('id=')")
    page.driver.refresh()
    page.until("return typeof now === 'object' && shown && shown.card")
    assert page.shown == ids[3]
    some = [r for r in gallery.records.values() if r.task.startswith("navigation.")][-1]
    page.open(f"#task={some.task}&q=metres&id={some.id}")
    page.until(f"return shown && shown.card && shown.card.id === {json.dumps(some.id)}")
    assert page.run("return field.value") == "metres"
    # The record of an address is shown even where the filters of the address leave it out.
    page.open(f"#task=camera_movement.distance&id={some.id}")
    page.until(f"return shown && shown.card && shown.card.id === {json.dumps(some.id)}")
    assert {i.partition("/")[0] for i in page.listed} == {"camera_movement.distance"}
    page.open(f"#task={some.task}")
    assert all(i.startswith("navigation.") for i in page.listed)
    page.open("#id=camera_movement.distance/gone/0123456789abcdef")
    page.until("return pane.textContent.includes('No record here has the id')")
    page.open("#task=depth_perception.gone&colour=red&split=train")
    page.until("return !document.getElementById('unknown').hidden")
    said = page.run("return document.getElementById('unknown').textContent")
    assert said == "Not in this data, so not filtered by: colour, task depth_perception.gone."
    page.open()
    assert page.run("return document.getElementById('unknown').hidden")
    for key, name in (("w", "no-why"), ("a", "no-answers")):
        _ = page.shown
        page.keys(key)
        page.until(f"return document.body.classList.contains('{name}')")
        page.keys(key)
        page.until(f"return !document.body.classList.contains('{name}')")


def test_an_image_is_enlarged(page: Page) -> None:
    _ = page.shown
    page.keys("z")
    page.until("return document.getElementById('zoom').open")
    before = page.run("return document.querySelector('#zoom .picture').clientWidth")
    page.click("#zoom .picture")
    after = page.run("return document.querySelector('#zoom .picture').clientWidth")
    assert after == pytest.approx(2 * before, abs=2)
    text = page.run("return document.querySelector('#zoom p').textContent")
    page.keys("\ue014")  # arrow right
    page.until("return document.querySelector('#zoom p').textContent !== " + json.dumps(text))
    page.keys("\ue00c")  # escape
    page.until("return !document.getElementById('zoom').open")
    assert page.run("return document.querySelectorAll('#record img').length") == 2


def test_the_page_draws_what_python_draws(gallery: Gallery, page: Page) -> None:
    """The map and the images carry the shapes of `view.why`, for a record of each task."""
    from spatial_engine.dataset.dataset import Dataset

    plans = ScenePlans(Dataset.open(gallery.out))
    for record in {r.task: r for r in gallery.records.values()}.values():
        plan, why = plans.explain(record)
        page.driver.set_script_timeout(60)
        got = page.driver.execute_async_script(
            """const [id, end] = arguments; (async () => {
            const card = await cardAt(await positionOf(id));
            const scene = await sceneOf(card.scene);
            const read = (n) => [...n.querySelectorAll(':scope > path, :scope > text')].map((s) =>
              s.tagName === 'path' ? [s.getAttribute('class'), s.getAttribute('d')]
              : [s.getAttribute('class'), +s.getAttribute('x'), +s.getAttribute('y'),
                 s.textContent]);
            const over = card.images.map((_, k) => {
              const n = picture(card, scene, k, false).querySelector('.over');
              return n ? read(n) : []; });
            end({top: read(topView(card, scene).querySelector('svg')), over}); })()""",
            record.id,
        )  # fmt: skip
        assert got["top"] == top_view(record, plan, why), record.id
        expected = [image_shapes(record, plan, why, k) for k in range(len(record.images))]
        assert got["over"] == expected, record.id


def test_a_phone_shows_a_record_at_once(gallery: Gallery, page: Page) -> None:
    page.size(PHONE)
    page.open()
    wide = "return document.documentElement.scrollWidth <= innerWidth"
    first = page.run("return document.querySelector('.row').getBoundingClientRect().top")
    assert first < 120
    assert page.run(wide)
    assert not page.run("return pane.getBoundingClientRect().height > 0")
    page.until("return document.querySelector('.row .question')")
    page.click(".row")
    assert page.shown == page.listed[0]
    assert page.run("return pane.getBoundingClientRect().height") > 600
    assert page.run(wide)
    page.click(".back")
    page.until("return !document.body.classList.contains('reading')")
    assert page.run("return facets.getBoundingClientRect().height") == 0
    page.click("#filters")
    assert page.run("return facets.getBoundingClientRect().width") == PHONE[0]
    page.click('#facets button[data-value="camera_movement.distance"]')
    page.click("#filters")
    assert {i.partition("/")[0] for i in page.listed} == {"camera_movement.distance"}


def test_a_phone_shows_the_question_below_many_images(gallery: Gallery, page: Page) -> None:
    record = max(gallery.records.values(), key=lambda one: len(one.images))
    assert len(record.images) > 8
    page.size(PHONE)
    page.open(f"#task={record.task}")
    page.until("return document.querySelector('.row .question')")
    page.click(".row")
    page.until("return document.querySelector('#record .images.lots')")
    question = "return document.querySelector('#record .question').getBoundingClientRect().top"
    assert page.run(question) < 0.7 * PHONE[1]
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_texts_can_be_read_in_both_themes(page: Page, dark: bool) -> None:
    """Contrast of 4.5 and more, of every text that is seen (WCAG 2.2, 1.4.3)."""
    page.size(DESK, dark=dark)
    page.open()
    _ = page.shown
    low = page.run("""
      const light = (c) => c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92
        : ((v + .055) / 1.055) ** 2.4).reduce((s, v, k) => s + v * [.2126, .7152, .0722][k], 0);
      const parse = (t) => (t.match(/[\\d.]+/g) || []).map(Number);
      const ground = (n) => { for (; n; n = n.parentElement) {
        const c = parse(getComputedStyle(n).backgroundColor);
        if (c.length === 3 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
      return [...document.querySelectorAll('p, h1, h2, b, span, th, td, summary, code, button, a')]
        .filter((n) => [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim())
          && n.getBoundingClientRect().height && !n.closest('.thumb, dialog'))
        .map((n) => { const a = light(parse(getComputedStyle(n).color).slice(0, 3));
          const b = light(ground(n));
          return [n.textContent.slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; })
        .filter(([, ratio]) => ratio < 4.5)""")  # fmt: skip
    assert low == []


def test_controls_have_names(page: Page) -> None:
    _ = page.shown
    nameless = page.run("""return [...document.querySelectorAll('button, input, [role], img, svg')]
      .filter((n) => !n.closest('[aria-hidden]') && n.getAttribute('aria-hidden') !== 'true'
        && n.getAttribute('role') !== 'option' && !(n.tagName === 'IMG' && n.hasAttribute('alt')))
      .filter((n) => !(n.getAttribute('aria-label') || n.textContent.trim()
        || n.getAttribute('aria-live') || n.tagName === 'INPUT' && n.labels.length))
      .map((n) => n.outerHTML.slice(0, 90))""")
    assert nameless == []


@pytest.fixture
def many(tmp_path: Path, gallery: Gallery, driver: Any) -> Callable[[int], Page]:
    """A page of the same records, again and again under other ids."""

    def make(rows: int) -> Page:
        from benchmarks.gallery import written
        from spatial_engine.dataset.dataset import Dataset

        found = written(Dataset.open(gallery.out), rows, tmp_path / "many")
        assert found["records"] == rows
        assert found["folders"]["images"]["files"] == len(list((gallery.page / "images").iterdir()))
        page = Page(driver, (tmp_path / "many/index.html").as_uri())
        page.size(DESK)
        page.open()
        return page

    return make


def test_a_long_list_keeps_few_elements(many: Callable[[int], Page]) -> None:
    page = many(600)
    assert page.run("return document.querySelectorAll('.row').length") < 40
    page.run("list.scroll.scrollTop = list.scroll.scrollHeight")
    last = page.run("return now.list.length - 1")
    page.until(f"return document.getElementById('row-{last}')")
    page.until(f"return document.getElementById('row-{last}').querySelector('.question')")
    assert page.run("return document.querySelectorAll('.row').length") < 40
    assert page.run(f"return document.getElementById('row-{last}').getBoundingClientRect().bottom"
                    " <= innerHeight + 1")  # fmt: skip
