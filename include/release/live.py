"""What the running model server says: which version it serves, and what that version answers to the probe rows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from include.errors import ReleaseError
from include.registry.bundles import Bundle
from include.settings import Settings
from include.spool_format import PROBE_HEADER

TOLERANCE = 1e-5
_POLL_SECONDS = 0.1
_REFUSED = (401, 403)


class LiveServer:
    """The model server of this deployment, seen over HTTP; use as a context manager.

    Raises
    ------
    ReleaseError : from every method, where the server does not do what was asked in time; says what it did last.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        settings = Settings.from_environment()
        self.url = (url or settings.require("serving_url")).rstrip("/")
        token = token or settings.serving_token
        headers = {PROBE_HEADER: "1", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=httpx.Timeout(10.0, connect=2.0))

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def wait_for(self, model: str, version: int | None, digest: str | None, seconds: float) -> float:
        """Wait until the server serves exactly this version and bundle (``None``: no version); seconds waited."""
        began = time.monotonic()
        while True:
            serves, said = self._serves(model, version, digest)
            waited = time.monotonic() - began
            if serves:
                return waited
            if waited >= seconds:
                wanted = "it no longer serves this model" if version is None else f"it serves version {version}"
                raise ReleaseError(
                    f"the model server at {self.url} did not say within {seconds:.0f} s that {wanted}: {said}"
                )
            time.sleep(min(_POLL_SECONDS, seconds - waited))

    def compare(self, bundle: Bundle, version: int, seconds: float) -> float:
        """Score the bundle's probe rows over HTTP; the largest difference from their packaged scores."""
        probe, schema = bundle.json("probe.json"), bundle.json("input_schema.json")
        answer = self._predict(bundle.model, probe["rows"], seconds)
        who = (answer.get("model"), answer.get("version"), answer.get("digest"))
        if who != (bundle.model, version, bundle.digest):
            raise ReleaseError(f"the model server answered as {who}, not as version {version} ({bundle.digest[:12]}).")
        predictions = answer.get("predictions") or []
        if len(predictions) != len(probe["scores"]):
            raise ReleaseError(
                f"the model server gave {len(predictions)} answers to {len(probe['scores'])} probe rows."
            )
        worst, scale = 0.0, float(probe.get("scale", 1.0))
        for at, (got, want) in enumerate(zip(predictions, probe["scores"], strict=True)):
            difference = _difference(got, want, schema.get("classes") or [], scale)
            if not difference <= TOLERANCE:
                raise ReleaseError(
                    f"the model server answers {got} to probe row {at}; packaged with the version: {want}."
                )
            worst = max(worst, difference)
        return worst

    def _serves(self, model: str, version: int | None, digest: str | None) -> tuple[bool, str]:
        """Whether the server serves this, and what it said."""
        try:
            answer = self._client.get(f"/models/{model}")
        except httpx.HTTPError as error:
            return False, f"it does not answer ({type(error).__name__}: {error})"
        if answer.status_code in _REFUSED:
            raise ReleaseError(_refused(self.url, answer.status_code))
        if answer.status_code == 404:
            return version is None, "it serves no such model"
        body = _json(answer)
        if not isinstance(body, Mapping) or "version" not in body:  # a known model that is not served: 503 and a body
            return False, f"it answered HTTP {answer.status_code}: {answer.text[:200]}"
        found = (body.get("version"), body.get("digest"))
        said = "it serves nothing" if found[0] is None else f"it serves version {found[0]} ({str(found[1])[:12]})"
        stuck = body.get("pending_error")
        return found == (version, digest), f"{said}; what stands in the way: {stuck}" if stuck else said

    def _predict(self, model: str, rows: Sequence[Mapping[str, Any]], seconds: float) -> Mapping[str, Any]:
        """One request; tried again while the server is away or busy."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self._client.post(f"/models/{model}/predict", json={"rows": list(rows)})
            except httpx.HTTPError as error:
                said = f"it does not answer ({type(error).__name__}: {error})"
            else:
                if answer.status_code in _REFUSED:
                    raise ReleaseError(_refused(self.url, answer.status_code))
                body = _json(answer)
                if answer.status_code == 200 and isinstance(body, Mapping):
                    return body
                said = f"HTTP {answer.status_code}: {answer.text[:300]}"
                if answer.status_code < 500 and answer.status_code != 429:
                    raise ReleaseError(f"the model server refused the probe rows of {model}: {said}")
            if time.monotonic() >= deadline:
                raise ReleaseError(f"the model server at {self.url} did not score the probe rows of {model}: {said}")
            time.sleep(_POLL_SECONDS)


def _difference(got: Mapping[str, Any], want: Any, classes: Sequence[Any], scale: float = 1.0) -> float:
    """Largest difference of one answer from its packaged score; infinite where they don't fit.

    Relative to the score or to ``scale``, whichever is larger.
    """
    if isinstance(want, list):
        want = dict(zip(map(str, classes), want, strict=False))
    given: Any = got.get("scores") if isinstance(want, Mapping) else {"score": got.get("score")}
    expected: Mapping[str, Any] = want if isinstance(want, Mapping) else {"score": want}
    if not isinstance(given, Mapping) or given.keys() != expected.keys() or not expected:
        return math.inf
    try:
        pairs = [(float(given[name]), float(value)) for name, value in expected.items()]
    except (TypeError, ValueError):
        return math.inf
    gaps = [abs(one - other) / max(scale, abs(other)) for one, other in pairs]
    return max(gaps) if all(map(math.isfinite, gaps)) else math.inf


def _refused(url: str, status: int) -> str:
    return (
        f"the model server at {url} refused our token (HTTP {status}): it was started with another "
        f"PERENNIAL_SERVING_TOKEN than this process has."
    )


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
