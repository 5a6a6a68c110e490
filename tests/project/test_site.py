"""The site of the documentation: it builds strictly, and from a file and offline it searches and shows formulas."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from odecheck.commands.cli import COMMANDS

pytest.importorskip("mkdocs", reason='the site needs pip install -e ".[docs]"')
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hook_{name}", ROOT / "docs" / ".hooks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_site_builds_strictly_and_no_page_asks_for_another_server(site):
    page = (site / "mathematics" / "snopt.html").read_text()
    assert page.count("<math") > 50
    assert "arithmatex" not in page
    for html in site.rglob("*.html"):
        text = html.read_text()
        assert not re.search(r'(?:src|href)="https?://[^"]+\.(?:js|css)', text), html
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="?https?://', text), html


def test_lines_of_a_formula_are_aligned_and_what_is_not_understood_is_an_error(site):
    text = (site / "mathematics" / "snopt.html").read_text()
    assert "<mtable" in text and "<mi>&amp;</mi>" not in text
    mathml = hook("mathml")
    with pytest.raises(Exception, match="does not become MathML"):
        mathml.mathml(r"\begin{unheardof} a &= b \end{unheardof}", "block")


def test_every_command_has_its_page_and_docstrings_their_tables(site):
    text = (site / "reference" / "commands.html").read_text()
    for command in COMMANDS:
        assert f'id="odecheck-{command.__name__}"' in text, command
    assert "\b" not in text and "--badge FILE" in text
    verifying = (site / "reference" / "verifying.html").read_text()
    prose = re.findall(r"<p>(.*?)</p>", verifying, re.DOTALL)
    assert not [text for text in prose if re.match(r"(Args|Returns|Raises|Attributes):\s*\S", text)]
    assert verifying.count('section-title">Parameters:</span>') > 5


def test_emphasised_words_lead_to_the_glossary(site):
    glossary = (site / "glossary.html").read_text()
    places = set(re.findall(r'<td id="([^"]+)">', glossary))
    linked = {
        place for html in site.rglob("*.html") for place in re.findall(r'glossary\.html#([^"]+)"', html.read_text())
    }
    assert {"verdict", "engine", "bar"} <= linked <= places, linked - places


@pytest.mark.parametrize("page", ["index.html", "howto/ci.html"])
def test_from_a_file_it_searches_without_a_network(site, browser, page):
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    tab = context.new_page()
    said, asked = [], []
    tab.on("console", lambda m: said.append(m.text))
    tab.on("pageerror", lambda e: said.append(str(e)))
    tab.on("request", lambda r: asked.append(r.url))
    tab.goto((site / page).as_uri())
    field = tab.locator("input.md-search__input")
    field.click()
    field.press_sequentially("heavy ball")
    tab.wait_for_selector(".md-search-result__item a", timeout=60_000)
    tab.locator(".md-search-result__item a").first.click()
    tab.wait_for_load_state()
    assert tab.url.startswith(site.as_uri()) and tab.locator("h1").count() == 1
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


@pytest.mark.parametrize("width", [390, 1400])
def test_no_page_is_wider_than_its_window(site, browser, width):
    context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
    tab = context.new_page()
    for page in ("index.html", "mathematics/snopt.html", "reference/commands.html", "howto/conformance.html"):
        tab.goto((site / page).as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page
    context.close()
