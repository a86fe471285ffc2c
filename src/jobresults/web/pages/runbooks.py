"""`/docs/runbooks/`: what to do about an alert, to read where its message links to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from typing import Any

from flask import Response
from markupsafe import Markup

from jobresults.alerts import runbooks
from jobresults.errors import NotFound
from jobresults.web.pages import shell

INDEX = "index"
_INDEX_FILE = "README"
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_PAGE = re.compile(r"([\w-]+)\.md")
_PROMPT = re.compile(r"^\$ ", re.MULTILINE)


def page_names() -> list[str]:
    """What can be asked for."""
    return sorted((runbooks.names() - {_INDEX_FILE}) | {INDEX})


def show_runbook(page: str) -> Response:
    """Show what an alert means and what to do about it."""
    if page not in page_names():
        raise NotFound(f"no such runbook; /docs/runbooks/{INDEX} lists all")
    title, content = _rendered(page)
    response = shell.page("runbook.html", title=title, content=content, is_index=page == INDEX)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@cache
def _rendered(page: str) -> tuple[str, Markup]:
    text = runbooks.text(_INDEX_FILE if page == INDEX else page)
    found = _TITLE.search(text)
    title = found[1] if found else page
    rendered = _markdown().render(text)
    return title, Markup(rendered)  # nosec B704  # noqa: S704 - our pages, HTML in them escaped


@cache
def _markdown() -> Any:
    from markdown_it import MarkdownIt  # only for who reads a page

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.core.ruler.push("links", _lead_to_pages)
    made.add_render_rule("fence", _fence)
    return made


def _lead_to_pages(state: Any) -> None:
    """Links from page to page lead to what is served; what is not here stays as words."""
    for token in state.tokens:
        if token.children:
            token.children = list(_leading_somewhere(token.children))


def _leading_somewhere(tokens: Iterable[Any]) -> Iterator[Any]:
    kept = True
    for token in tokens:
        if token.type == "link_open":
            address = _served(str(token.attrGet("href")))
            kept = address is not None
            token.attrSet("href", address or "")
        if kept or token.type not in ("link_open", "link_close"):
            yield token


def _served(address: str) -> str | None:
    if address.startswith(("https://", "http://")):
        return address
    found = _PAGE.fullmatch(address)
    if found is None:
        return None
    return INDEX if found[1] == _INDEX_FILE else found[1]


def _fence(_renderer: Any, tokens: Sequence[Any], place: int, *_rest: Any) -> str:
    """A block of code; prompts are there to see, not to be copied."""
    code = _PROMPT.sub('<span class="prompt">$ </span>', escape(tokens[place].content))
    return f"<pre><code>{code}</code></pre>\n"
