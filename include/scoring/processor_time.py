"""How much processor time a call takes: a figure that stays the same while other processes keep the machine busy."""

from __future__ import annotations

import time
from collections.abc import Callable

WARM_UP, BATCHES, CALLS = 5, 5, 20


def milliseconds(call: Callable[[int], object]) -> float:
    """Processor time of the calling thread for one call, in milliseconds: the mean of the fastest of `BATCHES` batches.

    A wall clock would count the time in which other processes run. The fastest batch is the one that was disturbed
    least by other processes. Time that a call waits, for a disk or a network, is not counted, and neither
    is work in other threads: onnxruntime works in the calling thread while ``intra_op_num_threads`` is 1.

    Parameters
    ----------
    call : called with 0, 1, 2, ...; the same numbers in each batch, so that all batches do the same work.
    """
    for at in range(WARM_UP):
        call(at)
    batches = []
    for _ in range(BATCHES):
        began = time.thread_time()
        for at in range(CALLS):
            call(at)
        batches.append(time.thread_time() - began)
    return 1000 * min(batches) / CALLS
