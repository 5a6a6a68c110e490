"""Words of the glossary: each has a place of its own there, and where a page emphasises one first it leads there."""

import re
from pathlib import Path

from mkdocs.utils import get_relative_url

ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.*?) \|", re.MULTILINE)
ROWS = ROW.findall((Path(__file__).parents[1] / "glossary.md").read_text(encoding="utf-8"))
# a word, and those that its row explains by the way: the verdicts, the two truths
PLACES = {
    **{word: term.replace(" ", "-") for term, meaning in ROWS for word in re.findall(r"\*([^*]+)\*", meaning)},
    **{form: term.replace(" ", "-") for term, _ in ROWS for form in (term, f"{term}s")},
}
EMPHASISED = re.compile(r"<(em|strong)>([^<]+)</\1>")


def on_page_content(html, page, config, files):
    if page.file.src_uri == "glossary.md":
        return re.sub(
            r"<td><strong>([^<]+)</strong>", lambda m: f'<td id="{PLACES[m[1]]}"><strong>{m[1]}</strong>', html
        )
    seen = set()

    def linked(found):
        place = PLACES.get(found[2].lower())
        if place is None or place in seen:
            return found[0]
        seen.add(place)
        return f'<a href="{get_relative_url("glossary.html", page.url)}#{place}">{found[0]}</a>'

    return EMPHASISED.sub(linked, html)
