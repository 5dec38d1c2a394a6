"""The documentation pages: their content without a token, and Swagger UI in a real Chromium without internet access."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from server_kit import COLUMNS, Releases, Server, constant_files, row

TOKEN = "s3cret-of-the-test"
NAMES = ("parcels", *(c["name"] for c in COLUMNS))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
no_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("PERENNIAL_REQUIRE_BROWSER"), reason="no Chromium on this machine"
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("guarded")
    Releases(home / "bundles").put("parcels", constant_files("parcels", 0.25), 1, 1)
    server = Server(home, TOKEN).start()
    yield server
    server.stop()


def without_token(server: Server, path: str) -> tuple[int, str, dict[str, str]]:
    status, answer, headers = server.request("GET", path, headers={"Authorization": ""})
    return status, answer if isinstance(answer, str) else json.dumps(answer), headers


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 307), ("/docs", 200), ("/openapi.json", 401), ("/redoc", 404), ("/models", 401), ("/metrics", 401),
     ("/models/parcels", 401), ("/models/parcel", 401), ("/health/live", 200), ("/health/ready", 200),
     ("/docs/assets/page.js", 200), ("/docs/assets/nothing.js", 404), ("/docs/assets/../../app.py", 404),
     ("/docs/assets/%2e%2e/app.py", 404)],
)  # fmt: skip
def test_no_page_names_a_model_or_a_column_without_the_token(guarded: Server, path: str, status: int) -> None:
    got, text, _ = without_token(guarded, path)
    assert got == status
    if not path.startswith("/models/"):  # these repeat only the requested path
        assert [name for name in NAMES if f'"{name}"' in text or f"{name}_row" in text] == []
    assert TOKEN not in text
    if path == "/health/ready":
        assert json.loads(text) == {"status": "ready"}
        assert guarded.get(path)[1] == {"status": "ready", "serving": ["parcels"], "not_serving": {}}


def test_the_first_page_leads_to_the_documentation(guarded: Server) -> None:
    assert without_token(guarded, "/")[2]["location"] == "docs"
    _, page, headers = without_token(guarded, "/docs")
    assert 'data-token-required="true"' in page
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"] and "//" not in page
    etag = without_token(guarded, "/docs/assets/swagger-ui-bundle.js")[2]["etag"]
    again = guarded.request("GET", "/docs/assets/swagger-ui-bundle.js", headers={"If-None-Match": etag})
    assert again[0] == 304


def test_examples_are_made_from_types_not_from_data(guarded: Server) -> None:
    document = guarded.get("/openapi.json")[1]
    text = json.dumps(document) + json.dumps(guarded.get("/models/parcels")[1])
    data = [value for value in row().values() if isinstance(value, str | float) and len(str(value)) > 2]
    assert data and [value for value in data if json.dumps(value) in text] == []
    post = document["paths"]["/models/parcels/predict"]["post"]
    (example,) = post["requestBody"]["content"]["application/json"]["example"]["rows"]
    assert guarded.get("/models/parcels")[1]["example"] == {"rows": [example]}
    assert set(example) == {c["name"] for c in COLUMNS}
    assert abs((datetime.fromisoformat(example["scheduled"]) - datetime.now().astimezone()).days) <= 2
    assert guarded.predict("parcels", example)[0] == 200


def test_integers_have_the_bounds_of_the_contract(guarded: Server) -> None:
    properties = guarded.get("/openapi.json")[1]["components"]["schemas"]["parcels_row"]["properties"]
    low, high = properties["parcel"]["minimum"], properties["parcel"]["maximum"]
    assert [guarded.predict("parcels", row(parcel=n))[0] for n in (low, high)] == [200, 200]
    assert [guarded.predict("parcels", row(parcel=n))[0] for n in (low - 1, high + 1)] == [422, 422]
    assert properties["seats"]["type"] == ["integer", "null"] and properties["seats"]["maximum"] == high
    assert properties["updated"] == {"type": ["string", "null"], "format": "date-time"}


def test_the_documented_limits_are_enforced(guarded: Server) -> None:
    schemas = guarded.get("/openapi.json")[1]["components"]["schemas"]
    most = schemas["parcels_rows"]["properties"]["rows"]
    assert (most["minItems"], most["items"]) == (1, {"$ref": "#/components/schemas/parcels_row"})
    assert guarded.predict("parcels", *[row()] * most["maxItems"])[0] == 200
    status, answer = guarded.predict("parcels", *[row()] * (most["maxItems"] + 1))
    assert status == 422 and f"at most {most['maxItems']} are accepted" in answer["detail"][0]["problem"]
    assert schemas["parcels_rows"]["additionalProperties"] is False
    assert schemas["parcels_row"]["properties"]["distance"] == {
        "type": ["number", "null"], "minimum": -1e32, "maximum": 1e32,
    }  # fmt: skip


def test_all_routes_declare_their_answers(guarded: Server) -> None:
    document = guarded.get("/openapi.json")[1]
    operations = {(p, verb): o for p, verbs in document["paths"].items() for verb, o in verbs.items()}
    assert ("/openapi.json", "get") in operations and ("/models/{name}/predict", "post") in operations
    for (path, _), operation in operations.items():
        declared = set(operation["responses"])
        assert {"200", "400", "405", "408", "413", "431", "500", "503"} <= declared
        assert ("401" in declared) == (not path.startswith("/health")) == ("security" in operation)
        if path.endswith("/predict"):
            assert {"404", "415", "422"} <= declared
        for status, response in operation["responses"].items():
            (kind,) = response["content"]
            assert kind == ("text/plain" if (path, status) == ("/metrics", "200") else "application/json")
            assert response["description"]
    assert "ValidationError" not in document["components"]["schemas"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "PERENNIAL_REQUIRE_BROWSER is set, but there is no Chromium"
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield made
        made.close()


class Visit:
    """A page in its own browser context. Other hosts are blocked; requests to them and console errors are recorded."""

    def __init__(self, browser: Any, server: Server) -> None:
        self.own, self.others, self.problems = f"127.0.0.1:{server.port}", list[str](), list[str]()
        self.page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
        self.page.route("**/*", self._route)
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(f"http://{self.own}/")

    def _route(self, route: Any) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("data", "blob") or address.netloc == self.own:
            route.continue_()
        else:
            self.others.append(route.request.url)
            route.abort()

    def picture(self, name: str) -> None:
        folder = os.environ.get("PERENNIAL_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def try_it_out(self) -> dict[str, Any]:
        """Open the model's operation, send its example and read the answer on the page."""
        operation = self.page.locator(".opblock", has=self.page.get_by_text("Predict with parcels (version 1)"))
        operation.locator(".opblock-summary").click()
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response").first
        answer.get_by_text("200", exact=True).first.wait_for()
        answer.scroll_into_view_if_needed()
        found = json.loads(answer.locator(".microlight, pre code").first.inner_text())
        assert isinstance(found, dict)
        return found


@pytest.mark.browser
@no_chromium
def test_swagger_ui_works_without_the_internet(guarded: Server, browser: Any) -> None:
    visit = Visit(browser, guarded)
    visit.page.get_by_role("heading", name="This server asks for a token").wait_for()
    visit.picture("docs-token")
    visit.page.get_by_label("Token").fill(TOKEN)
    visit.page.get_by_role("button", name="Show the models").click()
    visit.page.get_by_text("Predict with parcels (version 1)").wait_for()
    visit.picture("docs")
    answer = visit.try_it_out()
    visit.picture("docs-answer")
    assert answer["model"] == "parcels" and answer["predictions"] == [{"score": 0.25}]
    visit.page.reload()  # the token is still in the tab
    visit.page.get_by_text("Predict with parcels (version 1)").wait_for()
    assert visit.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    assert visit.others == [] and visit.problems == []
    visit.page.get_by_role("button", name="Forget the token").click()
    visit.page.get_by_role("heading", name="This server asks for a token").wait_for()
    assert visit.page.evaluate("sessionStorage.length") == 0
    visit.page.get_by_label("Token").fill("wrong")
    visit.page.get_by_role("button", name="Show the models").click()
    visit.page.get_by_text("This is not the token of this server.").wait_for()
    assert visit.page.evaluate("sessionStorage.length") == 0
    assert visit.others == []


@pytest.mark.browser
@no_chromium
def test_a_server_without_a_token_shows_its_models_at_once(releases: Releases, server: Server, browser: Any) -> None:
    releases.put("parcels", constant_files("parcels", 0.75), 1, 1)
    visit = Visit(browser, server.start())
    assert visit.try_it_out()["predictions"] == [{"score": 0.75}]
    assert not visit.page.get_by_role("button", name="Forget the token").is_visible()
    assert visit.others == [] and visit.problems == []
