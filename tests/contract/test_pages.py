"""Pages for people: signing in, a job's page and its buttons, the newest jobs, runbooks."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from sqlalchemy import select

from jobresults.accounts.model import revoked_token
from jobresults.alerts import runbooks
from jobresults.alerts.links import JOB_PATH, RUNBOOK_PATH
from jobresults.web.app import ROUTES
from tests.services.api_document import SECURITY_HEADERS
from tests.services.process import eventually
from tests.services.stack import Stack

PASSWORD = "a sentence nobody guesses"
UNKNOWN = "00000000-0000-7000-8000-000000000000"
_FORM = re.compile(r'<form[^>]* action="([^"]+)">(.*?)</form>', re.DOTALL)
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Browser:
    """What somebody sees who has a browser: cookies are kept, redirects are not followed."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.session = stack, requests.Session()
        self.session.headers.update(BROWSER)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        options = {"timeout": 60, "allow_redirects": False, **options}
        return self.session.request(method, self.stack.url + path, **options)

    def sign_in(self, name: str, password: str = PASSWORD, **form: str) -> requests.Response:
        return self.ask("POST", "/sign-in", data={"name": name, "password": password, **form})

    def press(self, path: str, button: str, **changed: str) -> requests.Response:
        """The button of a page, with what its form brings along."""
        page = self.get(path)
        assert page.status_code == 200, page.text
        for action, form in re.findall(
            r'<form[^>]* action="([^"]+)">(.*?)</form>', page.text, re.S
        ):
            if f">{button}</button>" in form:
                fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', form))
                return self.ask("POST", action, data={**fields, **changed})
        raise AssertionError(f"no button {button!r} on {path}")


@pytest.fixture(scope="module")
def name_of() -> Callable[[Stack, str], str]:
    """A person of a role, one for the module."""

    @cache
    def name(stack: Stack, role: str) -> str:
        made = f"{role}-{secrets.token_hex(4)}"
        body = {"name": made, "password": PASSWORD, "role": role}
        response = stack.request("POST", "/user/", key=stack.operator_key, json=body)
        assert response.status_code == 201
        return made

    return name


@pytest.fixture
def browser_of(stack: Stack, name_of: Callable[[Stack, str], str]) -> Callable[[str], Browser]:
    def signed_in(role: str) -> Browser:
        browser = Browser(stack)
        assert browser.sign_in(name_of(stack, role)).status_code == 303
        return browser

    return signed_in


@pytest.fixture
def operator(browser_of: Callable[[str], Browser]) -> Browser:
    return browser_of("operator")


@pytest.fixture
def viewer(browser_of: Callable[[str], Browser]) -> Browser:
    return browser_of("viewer")


def test_who_has_not_signed_in_does_so_and_goes_on(
    stack: Stack, name_of: Callable[[Stack, str], str]
) -> None:
    browser, path = Browser(stack), f"/jobs/{stack.run('echo')}"
    away = browser.get(path)
    assert (away.status_code, away.headers["Location"]) == (303, f"/sign-in?to={path}")
    assert f'name="to" value="{path}"' in browser.get(away.headers["Location"]).text
    there = browser.sign_in(name_of(stack, "viewer"), to=path)
    assert (there.status_code, there.headers["Location"]) == (303, path)
    cookie = there.headers["Set-Cookie"]
    assert cookie.startswith("jobresults=")
    assert "; HttpOnly; Path=/; SameSite=Lax" in cookie
    assert browser.get(path).status_code == 200


@pytest.mark.parametrize("to", ["https://evil.example/jobs", "//evil.example", "/docs", ""])
def test_signing_in_leads_to_pages_of_ours_alone(
    stack: Stack, name_of: Callable[[Stack, str], str], to: str
) -> None:
    assert f'name="to" value="{to}"' not in Browser(stack).get(f"/sign-in?to={to}").text
    there = Browser(stack).sign_in(name_of(stack, "viewer"), to=to)
    assert there.headers["Location"] == "/jobs"


def test_over_tls_the_cookie_is_for_this_host_and_tls_alone(
    stack: Stack, name_of: Callable[[Stack, str], str]
) -> None:
    browser = Browser(stack)
    browser.session.headers["X-Forwarded-Proto"] = "https"
    cookie = browser.sign_in(name_of(stack, "viewer")).headers["Set-Cookie"]
    assert cookie.startswith("__Host-jobresults=")
    assert "; Secure; HttpOnly; Path=/; SameSite=Lax" in cookie
    assert "Domain" not in cookie
    named = {"Cookie": cookie.partition(";")[0].replace("__Host-", "")}
    assert browser.get("/jobs", headers=named).status_code == 303, "anyone's neighbour could set it"


def test_a_wrong_password_is_told_on_the_form(
    stack: Stack, name_of: Callable[[Stack, str], str]
) -> None:
    browser = Browser(stack)
    refused = browser.sign_in(name_of(stack, "viewer"), "a guess", to="/jobs")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert "wrong name or password" in refused.text
    assert "a guess" not in refused.text
    assert not browser.session.cookies
    program = stack.request("POST", "/sign-in", key=None, data={"name": "x", "password": "y"})
    assert (program.status_code, program.json()["code"]) == (401, "unauthenticated")


def test_another_site_cannot_sign_somebody_in(
    stack: Stack, name_of: Callable[[Stack, str], str]
) -> None:
    browser = Browser(stack)
    browser.session.headers["Sec-Fetch-Site"] = "cross-site"
    assert browser.sign_in(name_of(stack, "viewer")).status_code == 403
    assert not browser.session.cookies


def test_signing_out_ends_the_login_wherever_the_cookie_is(operator: Browser) -> None:
    kept = Browser(operator.stack)
    kept.session.cookies.update(operator.session.cookies)
    assert kept.get("/jobs").status_code == 200
    out = operator.press("/jobs", "Sign out")
    assert (out.status_code, out.headers["Location"]) == (303, "/sign-in")
    assert not operator.session.cookies
    # By whichever process, within the 5 s for which the others remember it.
    said = jwt.decode(next(iter(kept.session.cookies)).value, options={"verify_signature": False})
    with operator.stack.ledger.read() as connection:
        revoked = select(revoked_token.c.id).where(revoked_token.c.id == said["jti"])
        assert connection.execute(revoked).scalar_one()


def test_only_pages_take_the_cookie(operator: Browser) -> None:
    job_id = operator.stack.run("echo")
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}"),
        ("GET", f"/get_result?job_id={job_id}"),
        ("POST", f"/v1/jobs/{job_id}/rerun"),
        ("GET", "/user/"),
    ):
        assert operator.ask(method, path).status_code == 401, path


def test_a_failed_job_shows_its_error_to_all_and_its_traceback_to_operators(
    stack: Stack, operator: Browser, viewer: Browser
) -> None:
    customer = f"<i>{secrets.token_hex(4)}"
    path = f"/jobs/{stack.run('fails', {'message': '<script>x</script>'}, customer=customer)}"
    seen = {person: person.get(path) for person in (operator, viewer)}
    for page in seen.values():
        assert page.status_code == 200
        assert page.headers["Cache-Control"] == "no-store"
        assert "ValueError: &lt;script&gt;x&lt;/script&gt;" in page.text
        assert customer not in page.text
        assert customer in unescape(page.text)
        assert "2 of 2" in page.text
        assert not re.search(r"<script|http-equiv| style=", page.text)
    assert "Traceback (most recent call last)" in seen[operator].text
    assert "Traceback" not in seen[viewer].text
    assert "Run again" in seen[operator].text
    assert "Run again" not in seen[viewer].text


def test_a_page_has_one_style_and_nothing_else(stack: Stack, operator: Browser) -> None:
    page = operator.get(f"/jobs/{stack.run('echo')}")
    style = re.findall(r"<style>(.*?)</style>", page.text, re.S)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    policy = page.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "form-action 'self'" in policy
    assert page.headers["Referrer-Policy"] == SECURITY_HEADERS["Referrer-Policy"]


def test_the_log_is_read_on_from_page_to_page(stack: Stack, viewer: Browser) -> None:
    path = f"/jobs/{stack.run('talks', {'lines': 5})}"
    page = viewer.get(f"{path}?limit=3").text
    assert ("line 3<" in page, "line 4<" in page) == (True, False)
    (later,) = re.findall(r'href="([^"]+after=\d+)"', page)
    page = viewer.get(unescape(later)).text
    assert ("line 3<" in page, "line 4<" in page) == (False, True)
    for event in ("submitted", "started", "succeeded"):
        assert f">{event}</td>" in page


def test_a_large_result_is_cut_and_fetched_by_its_link(stack: Stack, viewer: Browser) -> None:
    value = ["<b>", "x" * 70_000]
    path = f"/jobs/{stack.run('echo', {'value': value})}"
    page = viewer.get(path)
    assert "&lt;b&gt;" in page.text
    assert len(page.text) < 80_000
    raw = viewer.get(f"{path}/result")
    assert raw.json() == value
    assert raw.headers["Content-Type"] == "application/json"
    assert raw.headers["Cache-Control"] == "no-store"
    small = viewer.get(f"/jobs/{stack.run('echo', {'value': {'a': [1]}})}").text
    assert unescape(small).count('{\n  "a": [\n    1\n  ]\n}') == 1


def test_a_pending_jobs_page_looks_again_and_its_button_cancels(
    stack: Stack, operator: Browser, gate: Path
) -> None:
    path = f"/jobs/{stack.running(gate)}"
    page = operator.get(path).text
    assert re.search(r'<meta http-equiv="refresh" content="([2-9]|[12]\d|30)">', page)
    assert operator.get(f"{path}/result").status_code == 409
    pressed = operator.press(path, "Cancel")
    assert (pressed.status_code, pressed.headers["Location"]) == (303, path)
    eventually(lambda: ">canceled</span>" in operator.get(path).text, "it is canceled")
    page = operator.get(path).text
    assert "http-equiv" not in page
    assert ">Cancel</button>" not in page
    assert operator.ask("POST", f"{path}/cancel").status_code == 403, "pressed on no page"


def test_the_button_of_a_page_runs_a_job_again_once(stack: Stack, operator: Browser) -> None:
    done = stack.run("echo", {"value": 7})
    once = secrets.token_hex(16)
    first, second = (operator.press(f"/jobs/{done}", "Run again", once=once) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"] != f"/jobs/{done}"
    page = operator.get(first.headers["Location"])
    assert f'href="/jobs/{done}"' in page.text
    other = operator.press(f"/jobs/{done}", "Run again")
    assert other.headers["Location"] != first.headers["Location"]
    assert operator.press(f"/jobs/{done}", "Run again", once="x").status_code == 400


def test_a_foreign_form_changes_nothing(stack: Stack, operator: Browser, viewer: Browser) -> None:
    done, before = stack.run("echo"), stack.count_jobs()
    foreign = re.search(r'name="form_token" value="(\w+)"', viewer.get("/jobs").text)
    assert foreign is not None
    for token in ("", "0" * 64, foreign[1], "ü"):
        form = {"form_token": token}
        assert operator.ask("POST", f"/jobs/{done}/rerun", data=form).status_code == 403
        assert operator.ask("POST", "/sign-out", data=form).status_code == 403
    assert (
        viewer.ask("POST", f"/jobs/{done}/rerun", data={"form_token": foreign[1]}).status_code
        == 403
    )
    assert stack.count_jobs() == before
    assert operator.get("/jobs").status_code == 200


def test_refusals_are_pages_for_people_and_problems_for_programs(
    stack: Stack, operator: Browser
) -> None:
    unknown = operator.get(f"/jobs/{UNKNOWN}")
    assert unknown.status_code == 404
    assert "no such job" in unknown.text
    assert unknown.headers["Content-Type"].startswith("text/html")
    assert unknown.headers["X-Request-ID"] in unknown.text
    malformed = operator.get("/jobs?limit=0")
    assert (malformed.status_code, "limit" in malformed.text) == (400, True)
    program = stack.request("GET", f"/jobs/{UNKNOWN}")
    assert (program.status_code, program.json()["code"]) == (404, "not_found")


def test_the_newest_jobs_are_listed_and_leaved_through(stack: Stack, viewer: Browser) -> None:
    customer = f"c {secrets.token_hex(4)}"
    made = [stack.submit("unserved", customer=customer) for _ in range(3)]
    failed = stack.run("fails_for_good", customer=customer)
    seen: list[str] = []
    path = f"/jobs?q={customer}&state=&limit=2"
    while path:
        page = viewer.get(path).text
        seen += re.findall(r'href="/jobs/([0-9a-f-]{36})"', page)
        older = re.search(r'href="(/jobs\?[^"]*cursor[^"]*)"', page)
        path = unescape(older[1]) if older else ""
    assert seen == [failed, *made[::-1]]
    page = viewer.get(f"/jobs?q={customer}&state=failed").text
    assert re.findall(r'href="/jobs/([0-9a-f-]{36})"', page) == [failed]
    assert "<option selected>failed</option>" in page
    assert "There are none." in viewer.get(f"/jobs?q={secrets.token_hex(8)}").text
    for job_id in made:
        stack.request("POST", f"/v1/jobs/{job_id}/cancel")


def test_every_runbook_is_served_and_leads_only_to_what_is_served(stack: Stack) -> None:
    left, seen = ["index"], set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        page = stack.request("GET", f"/docs/runbooks/{name}", key=None)
        assert page.status_code == 200, name
        assert page.headers["Cache-Control"] == "public, max-age=300"
        assert re.search(r"<title>\w.* · runbook</title>", page.text), name
        (content,) = re.findall(r"<main>(.*)</main>", page.text, re.S)
        assert "<h1>" in content
        assert not re.search(r"<script|&amp;lt;", content), name
        links = re.findall(r'href="([^"]+)"', content)
        left += [link for link in links if not link.startswith("https://")]
    assert seen == (runbooks.names() - {"README"}) | {"index"}
    page = stack.request("GET", "/docs/runbooks/job-failed", key=None).text
    assert '<span class="prompt">$ </span>jobresults get $JOB_ID\n' in page


def test_an_unknown_runbook_is_a_problem(stack: Stack) -> None:
    for name in ("nothing", "README", "..%2Falerts", "job-failed.md"):
        response = stack.request("GET", f"/docs/runbooks/{name}", key=None)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), name


def test_messages_link_to_pages_there_are() -> None:
    paths = {route.path for route in ROUTES if route.method == "GET" and route.is_page}
    assert {f"{JOB_PATH}<job_id>", f"{RUNBOOK_PATH}<page>"} <= paths
