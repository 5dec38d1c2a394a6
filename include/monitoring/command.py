"""Several days monitored one after the other, without Airflow: what `make monitor` does."""

from __future__ import annotations

from include import catalog
from include.data.lake import Lake
from include.errors import ConfigurationError, NotReady
from include.monitoring import run
from include.partitions import keys_between, partition, utc_now


def monitor_days(name: str | None, first: str | None, last: str | None) -> int:
    """Monitor days, oldest first, and print the result of each; the exit status: 1 if a day could not be monitored.

    Parameters
    ----------
    name : of the model; None or empty: the only one. ``last`` : None or empty: the newest published day. ``first`` :
        None or empty: only the last one.

    Raises
    ------
    ConfigurationError : no such model, or a day that is none.
    NotReady : no day is published yet.
    TransientError : the ledger did not answer.
    """
    model = catalog.chosen(name or None, "monitor")
    newest = max(Lake.of(model).published(), default=None)
    if newest is None:
        raise NotReady(f"no day of {model.name} is published yet: run {model.name}_load first.")
    end = partition(last or newest, model.timezone).key
    begin = partition(first or end, model.timezone).key
    if begin > end:
        raise ConfigurationError(f"FIRST is {begin}, and must not be after LAST ({end}).")
    missing = 0
    for key in keys_between(begin, end):
        try:
            found = run.monitor(model, key, None, utc_now())
        except NotReady as reason:
            missing += 1
            print(f"SKIPPED {key}: {reason}", flush=True)
            continue
        print(found.note, flush=True)
        if key == end:
            print("\n".join(f"  {line}" for line in found.lines), flush=True)
    return 1 if missing else 0
