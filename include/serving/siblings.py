"""What the workers of one model server ask each other: any of them answers for all.

Each worker listens on a Unix socket in a folder that only the server's user can enter, so no token is needed. A
question is one line of JSON, its answer all that follows until the end of the connection. A worker that does not answer
in time is reported as such, never left out.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from include.serving.metrics import PREFIX
from include.serving.place import Place
from include.serving.recent import Counted
from include.serving.status import ModelDetails

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a worker has for its answer."""
SILENT = "a worker of this server does not answer, so it is not known what it serves"


class Report(msgspec.Struct, frozen=True):
    """The state of one worker.

    Attributes
    ----------
    ready : whether it has looked at every release record once.
    models : what it serves, and why not.
    """

    ready: bool
    models: list[ModelDetails]


class Question(msgspec.Struct, frozen=True):
    """``state`` (of one model, or of all without the details), ``recent`` or ``metrics``."""

    what: Literal["state", "recent", "metrics"]
    model: str | None = None


_decode_question = msgspec.json.Decoder(Question).decode
_decode_report = msgspec.json.Decoder(Report).decode
_decode_counted = msgspec.json.Decoder(Counted).decode


class Alone:
    """The only process of a server, which has no siblings.

    Parameters
    ----------
    report : the state of this process: of one model, or of all without their details.
    metrics : the metrics of this process, as Prometheus reads them.
    recent : what this process has counted in the last 24 hours.
    """

    def __init__(
        self, report: Callable[[str | None], Report], metrics: Callable[[], bytes], recent: Callable[[], Counted]
    ) -> None:
        self._report, self._metrics, self._recent = report, metrics, recent

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def reports(self, model: str | None = None) -> list[Report | None]:
        """The state of every process by number; ``None`` for one that does not answer.

        Parameters
        ----------
        model : the only model to report, with its details.
        """
        return [self._report(model)]

    async def recent(self) -> list[Counted | None]:
        """What every process has counted, by number; ``None`` for one that does not answer."""
        return [self._recent()]

    async def metrics(self) -> bytes:
        """The metrics of every process; several are distinguished by the label ``worker``."""
        return await asyncio.to_thread(self._metrics)


class Siblings(Alone):
    """The workers of one server, seen from one of them.

    Parameters
    ----------
    place : which of them this is, and the folder of the sockets.
    report, metrics, recent : see `Alone`.
    """

    def __init__(
        self,
        place: Place,
        report: Callable[[str | None], Report],
        metrics: Callable[[], bytes],
        recent: Callable[[], Counted],
    ) -> None:
        super().__init__(report, metrics, recent)
        self._place = place
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answer the others from now on, and let the parent process know that this worker has started."""
        path = self._place.socket(self._place.number)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, str(path))
        os.chmod(path, 0o600)
        self._place.started.touch()

    async def stop(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()

    async def reports(self, model: str | None = None) -> list[Report | None]:
        """Ask the others; see `Alone.reports`."""
        answers = await self._ask_the_others(Question("state", model))
        found = [None if answer is None else _decode_report(answer) for answer in answers]
        found[self._place.number] = self._report(model)
        return found

    async def recent(self) -> list[Counted | None]:
        """Ask the others; see `Alone.recent`."""
        answers = await self._ask_the_others(Question("recent"))
        found = [None if answer is None else _decode_counted(answer) for answer in answers]
        found[self._place.number] = self._recent()
        return found

    async def metrics(self) -> bytes:
        """Ask the others; see `Alone.metrics`."""
        answers = await self._ask_the_others(Question("metrics"))
        answers[self._place.number] = await super().metrics()
        return await asyncio.to_thread(_merged, answers)

    async def _ask_the_others(self, question: Question) -> list[bytes | None]:
        """Their answers by number; ``None`` for one that does not answer, and in the place of this worker."""
        mine = self._place.number
        others = [number for number in range(self._place.count) if number != mine]
        answers: list[bytes | None] = list(await asyncio.gather(*(self._ask(number, question) for number in others)))
        answers.insert(mine, None)
        return answers

    async def _ask(self, number: int, question: Question) -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(str(self._place.socket(number)))
                try:
                    writer.write(msgspec.json.encode(question) + b"\n")
                    return await reader.read() or None
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                question = _decode_question(await reader.readline())
                if question.what == "state":
                    writer.write(msgspec.json.encode(self._report(question.model)))
                elif question.what == "recent":
                    writer.write(msgspec.json.encode(self._recent()))
                else:
                    writer.write(await super().metrics())
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            # for example, this worker did not run for some seconds, and the other one has not waited
            logger.warning("A question of another worker was not answered (%s: %s).", type(error).__name__, error)
        finally:
            writer.close()


def furthest_behind(reports: Sequence[Report | None], released: Callable[[str], bool]) -> dict[str, ModelDetails]:
    """The state of each model in the worker that is furthest behind.

    A release waits for its version, and the removal of a model for its end; both must wait for every worker.

    Parameters
    ----------
    released : whether a model has a release record. If some workers serve a model and others do not, the latter are
        behind if it has one, and the former if it was removed.
    """
    names = sorted({model.model for report in reports if report for model in report.models})
    return {name: _behind([_state_in(report, name) for report in reports], released) for name in names}


def _state_in(report: Report | None, name: str) -> ModelDetails:
    if report is None:
        return unserved(name, SILENT)
    found = next((model for model in report.models if model.model == name), None)
    return found or unserved(name, "a worker of this server has not looked for its release record yet")


def _behind(states: Sequence[ModelDetails], released: Callable[[str], bool]) -> ModelDetails:
    silent = [state for state in states if state.reason == SILENT]
    serving = [state for state in states if state.serving]
    others = [state for state in states if not state.serving]
    if silent:
        return silent[0]
    if others and not (serving and not released(states[0].model)):
        return min(others, key=lambda state: state.pending_error is None)
    return min(serving, key=lambda state: state.epoch or 0)


def unserved(name: str, reason: str) -> ModelDetails:
    """The state of a model that is not served, for this reason."""
    return ModelDetails(
        model=name, serving=False, version=None, digest=None, epoch=None, released_at=None, run_id=None, loaded_at=None,
        source=None, pending_error=None, reason=reason,
    )  # fmt: skip


class _Merged(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _merged(answers: Sequence[bytes | None]) -> bytes:
    """One exposition of those of all workers, each series with the label ``worker``."""
    families: dict[str, Metric] = {}
    up = GaugeMetricFamily(f"{PREFIX}_worker_up", "1 if the worker answers its siblings.", labels=["worker"])
    for number, answer in enumerate(answers):
        up.add_metric([str(number)], 0.0 if answer is None else 1.0)
        for family in text_string_to_metric_families((answer or b"").decode()):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                labels: Mapping[str, str] = {**sample.labels, "worker": str(number)}
                merged.samples.append(sample._replace(labels=dict(labels)))
    return generate_latest(_Merged([*families.values(), up]))
