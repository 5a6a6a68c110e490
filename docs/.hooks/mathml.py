"""Formulas as MathML, which browsers show by themselves: the site needs no script and no network for them."""

import re
from html import unescape

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# environments that the converter knows by another name
NAMES = {"{aligned}": "{align*}", "{gathered}": "{gather*}"}
# characters of a formula in a line of text that certainly has room
LONG = 40
# a column mark or a command that comes out as text was not understood
LEFT = re.compile(r"<m\w+>(?:&(?:amp;)?|\\[A-Za-z]+)</m\w+>")


def mathml(latex, display):
    """A formula as MathML. Raises PluginError for one that the converter does not understand."""
    for name, known in NAMES.items():
        latex = latex.replace(name, known)
    made = convert(latex, display=display)
    if LEFT.search(made):
        raise PluginError(f"a formula does not become MathML ({LEFT.search(made)[0]} is left in it): {latex}")
    return made


def on_page_content(html, **_):
    def formula(found):
        display = "block" if found[1] == "div" else "inline"
        made = mathml(unescape(found[2]).strip(), display)
        if display == "inline" and len(found[2]) <= LONG:
            return made
        # what is wider than a telephone scrolls by itself, and the page does not
        inline = "" if display == "block" else "display:inline-block;max-width:100%;vertical-align:middle;"
        return f'<{found[1]} style="{inline}overflow:auto hidden">{made}</{found[1]}>'

    return FORMULA.sub(formula, html)
