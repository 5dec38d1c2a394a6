"""What the running model server reports: which version it serves, and what that version answers to the probe rows."""

from __future__ import annotations

import time
from enum import StrEnum

import httpx
import msgspec
from msgspec import UNSET

from include.errors import ReleaseError
from include.registry.bundles import Bundle
from include.scoring.documents import Probe
from include.scoring.messages import ModelStatus, Predictions
from include.scoring.record import PROBE_HEADER
from include.settings import Settings

_POLL_SECONDS = 0.1
_REFUSED = (401, 403)


class Sign(StrEnum):
    """What one look at the server shows about a version that it should serve."""

    SERVES = "serves"
    FAILED = "failed"
    AWAY = "away"
    BUSY = "busy"


PATIENCE = {Sign.FAILED: 1, Sign.AWAY: 3, Sign.BUSY: 10}
"""The multiple of ``release.verify_timeout`` that each sign may add up to before verification fails.

* *failed*: the server reports that it cannot serve this bundle. It tries again every 5 s, so a transient error passes.
* *away*: nothing accepts connections. A restart takes seconds, on a busy machine a minute; a version that makes the
  server crash looks the same, and is an outage, so the time is not extended further.
* *busy*: the server lives, and has not taken the version over yet. Clients get answers by the old version meanwhile,
  and a slow machine is not evidence against the version. The limit exists for a server that follows another store.
"""
LONGEST_LOOK = 12.0
"""Seconds that one look counts at most, a request's timeouts included: while this process did not run (a suspended or
overloaded machine), the server did not run either."""


class Patience:
    """Adds up the time by `Sign`, and reports when the time for one is over.

    Parameters
    ----------
    seconds : the model's ``release.verify_timeout``.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent = dict.fromkeys(Sign, 0.0)
        self._before = time.monotonic()

    def over(self, sign: Sign) -> bool:
        """Count the time since the last call for this sign; whether it exceeded the allowed time."""
        now = time.monotonic()
        self._spent[sign] += min(now - self._before, LONGEST_LOOK)
        self._before = now
        return self._spent[sign] >= PATIENCE[sign] * self._seconds

    def pause(self) -> None:
        """Wait until the next look."""
        time.sleep(min(_POLL_SECONDS, self._seconds))


class LiveServer:
    """The model server of this deployment, seen over HTTP; use as a context manager.

    Raises
    ------
    ReleaseError : from every method, if the server does not do as expected in time; reports what it did last.
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
        """Wait until the server serves exactly this version and bundle (``None``: no version); seconds waited.

        Parameters
        ----------
        seconds : ``release.verify_timeout``; `PATIENCE` explains how it counts.
        """
        began, patience = time.monotonic(), Patience(seconds)
        while True:
            sign, said = self._serves(model, version, digest)
            if sign is Sign.SERVES:
                return time.monotonic() - began
            if patience.over(sign):
                wanted = "it no longer serves this model" if version is None else f"it serves version {version}"
                raise ReleaseError(
                    f"the model server at {self.url} did not report within {PATIENCE[sign] * seconds:.0f} s that "
                    f"{wanted}: {said}"
                )
            patience.pause()

    def compare(self, bundle: Bundle, version: int, seconds: float) -> float:
        """Score the bundle's probe rows over HTTP; the largest difference from their packaged scores."""
        probe = Probe.of(bundle)
        answer = self._predict(bundle.model, probe, seconds)
        who = (answer.model, answer.version, answer.digest)
        if who != (bundle.model, version, bundle.digest):
            raise ReleaseError(f"the model server answered as {who}, not as version {version} ({bundle.digest[:12]}).")
        return probe.difference(answer.predictions, "the model server")

    def _serves(self, model: str, version: int | None, digest: str | None) -> tuple[Sign, str]:
        """Whether the server serves this, and what it reported."""
        try:
            answer = self._client.get(f"/models/{model}")
        except httpx.HTTPError as error:
            return _silent(error), f"it does not answer ({type(error).__name__}: {error})"
        if answer.status_code in _REFUSED:
            raise ReleaseError(_refused(self.url, answer.status_code))
        if answer.status_code == 404:
            return Sign.SERVES if version is None else Sign.BUSY, "it does not serve this model"
        try:
            found = msgspec.json.decode(answer.content, type=ModelStatus)  # of a model that is not served: with a 503
        except ValueError:
            return Sign.BUSY, f"it answered HTTP {answer.status_code}: {answer.text[:200]}"
        said = "it serves nothing"
        if found.version is not None:
            said = f"it serves version {found.version} ({str(found.digest)[:12]})"
        if (found.version, found.digest) == (version, digest):
            return Sign.SERVES, said
        if not found.pending_error:
            return Sign.BUSY, said
        # a server of an older release does not report which bundle its error is about
        failed = digest is not None and found.pending_digest in (digest, UNSET)
        return Sign.FAILED if failed else Sign.BUSY, f"{said}; reason: {found.pending_error}"

    def _predict(self, model: str, probe: Probe, seconds: float) -> Predictions:
        """One request; tried again while the server is away or busy."""
        patience = Patience(seconds)
        while True:
            try:
                answer = self._client.post(f"/models/{model}/predict", json={"rows": probe.rows})
            except httpx.HTTPError as error:
                sign, said = _silent(error), f"it does not answer ({type(error).__name__}: {error})"
            else:
                if answer.status_code in _REFUSED:
                    raise ReleaseError(_refused(self.url, answer.status_code))
                if answer.status_code == 200:
                    return _predictions(answer)
                said = f"HTTP {answer.status_code}: {answer.text[:300]}"
                if answer.status_code < 500 and answer.status_code != 429:
                    raise ReleaseError(f"the model server refused the probe rows of {model}: {said}")
                sign = Sign.FAILED if answer.status_code == 500 else Sign.BUSY
            if patience.over(sign):
                raise ReleaseError(f"the model server at {self.url} did not score the probe rows of {model}: {said}")
            patience.pause()


def _silent(error: httpx.HTTPError) -> Sign:
    """The sign of a request without an answer: a timeout means that the server (or the machine) is busy."""
    return Sign.BUSY if isinstance(error, httpx.TimeoutException) else Sign.AWAY


def _predictions(answer: httpx.Response) -> Predictions:
    try:
        return msgspec.json.decode(answer.content, type=Predictions)
    except ValueError as error:
        raise ReleaseError(
            f"the model server answers the probe rows with something other than predictions ({error}): "
            f"{answer.text[:300]}"
        ) from error


def _refused(url: str, status: int) -> str:
    return (
        f"the model server at {url} refused the token (HTTP {status}): it was started with another "
        f"PERENNIAL_SERVING_TOKEN than this process has."
    )
