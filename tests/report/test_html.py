"""Tables for notebooks: whole, small, and every name as it is."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import steepest
from steepest.report.html import MOST_ROWS, explanation_html, fit_html
from steepest.report.text import Row

X = np.linspace(0.0, 2.0, 12)
Y = 3 * np.exp(-X) + np.sin(7 * X)
HOSTILE = [
    "<script>alert(1)</script>", "$x$", "$$x$$", r"\(x\)", r"x\)<img src=x onerror=alert(1)>\(", '" onload="alert(1)',
    "a & b", "</code></div><b>", "&lt;i&gt;", r"\begin{align}",
]  # fmt: skip
TAGS = {"div", "span", "code", "table", "tr", "th", "td", "br", "details", "summary", "pre"}


class Page(HTMLParser):
    """Reads HTML: the tags, their attributes, the text in `<code>` and the text outside it; every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()
        self.code, self.outside, self.math = "", "", ""
        self.typeset = False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.typeset = "mathjax_process" in (dict(attrs).get("class") or "")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.typeset = False

    def handle_data(self, data: str) -> None:
        if self.typeset:
            self.math += data
        elif {"code", "pre"} & set(self.open):
            self.code += data + "\n"
        else:
            self.outside += data


def page(answer: steepest.Fit | steepest.Explanation) -> Page:
    html = answer._repr_html_()
    read = Page(html)
    assert read.tags <= TAGS
    assert read.attributes <= {"class", "style", "colspan"}
    assert "http" not in html, "nothing is loaded from elsewhere"
    return read


def test_a_fit_shows_formula_status_values_errors_intervals_and_facts() -> None:
    fit = steepest.fit("y = a*exp(-b*x) + c", {"x": X, "y": Y}, fixed={"c": 0})
    read = page(fit)
    assert read.code.splitlines()[:2] == [fit.formula, fit.message.removeprefix("converged: ")]
    assert "converged" in read.outside
    cells = read.outside + read.code
    for shown in (f"{fit.errors['a']:.3g}", " to ", "fixed", "95 % interval", "method: gauss-newton", "12 rows"):
        assert shown in cells


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_text(name: str) -> None:
    data = {name: X, "y": Y}
    read = page(steepest.fit(f"y = a*`{name}` + b", data))
    assert f"y = a*`{name}` + b" in read.code
    assert name not in read.outside
    read = page(steepest.explain(f"y = a*`{name}`**2 + `{name}b`*3", data))
    assert f"data: y, {name}" in read.code
    assert name not in read.outside


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_does_not_end_its_formula(name: str) -> None:
    read = page(steepest.explain(f"`{name}`**3 + a*`{name}`"))
    assert len(re.findall(r"\\\(", read.math)) == len(re.findall(r"\\\)", read.math)) == 2
    assert re.fullmatch(r"\\\(((?!\\\(|\\\)).)*\\\)\\\(((?!\\\(|\\\)).)*\\\)", read.math)
    assert not re.search(r"(?<!\\)\$", read.math), "a dollar is escaped"


def test_only_text_is_hidden_from_mathjax_and_only_derivatives_are_typeset() -> None:
    html = steepest.explain("y = a*exp(-b*x)")._repr_html_()
    assert html.startswith('<div class="tex2jax_ignore mathjax_ignore"')
    assert html.count("mathjax_process") == html.count(r"\(") == 3
    assert r"\(" not in page(steepest.fit("y = a*x", {"x": X, "y": Y})).outside


def test_a_long_table_says_what_it_leaves_out() -> None:
    table = [Row(f"B[{j}]", float(j)) for j in range(1234)]
    html = fit_html(
        {
            "formula": "y = X @ B", "status": "stopped", "message": "stopped: ran 3 steps", "loss": 1.0, "rms": None,
            "loss_name": "squares", "rss": None, "method": "gd", "steps": 3, "passes": 3.0, "seconds": 0.1,
        },
        table, [],
    )  # fmt: skip
    assert html.count("<tr>") == 1 + MOST_ROWS + 1
    assert "and 1,184 more" in html
    assert "ran 3 steps" in html
    assert "stopped: ran" not in html, "the status is said once"


def test_a_long_derivative_is_not_typeset() -> None:
    html = explanation_html("f", {"a": "variable"}, "the function", "", {"a": ("x", "y" * 1000)}, False, [], ["1"])
    assert "yyy" not in html


@pytest.mark.parametrize("status", ["converged", "stopped", "diverged", "unidentifiable", "interrupted"])
def test_every_status_is_a_coloured_word(status: str) -> None:
    fit = {
        "formula": "x**2", "status": status, "message": f"{status} after 7 steps", "loss": 1.0, "rms": None,
        "loss_name": "the function", "rss": None, "method": "gd", "steps": 3, "passes": 3.0, "seconds": 0.1,
    }  # fmt: skip
    assert re.search(rf"background:#\w+;color:#fff[^>]*>{status}</span>", fit_html(fit, [], []))
