"""The search of the site needs no network: the worker that it is run in from a file comes along.

The plug-in `offline` of Material has it loaded from another server; here it is a file of the site.
"""

from pathlib import Path

from mkdocs.utils import get_relative_url

SHIM = Path(__file__).with_name("iframe-worker.js")
ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
HERE = "assets/javascripts/iframe-worker.js"


def on_post_page(output, page, config):
    return output.replace(ELSEWHERE, get_relative_url(HERE, page.url))


def on_post_template(output, template_name, config):
    return output.replace(ELSEWHERE, HERE) if template_name.endswith(".html") else output


def on_post_build(config):
    (Path(config.site_dir) / HERE).write_text(SHIM.read_text(encoding="utf-8"), encoding="utf-8")
