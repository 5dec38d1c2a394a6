import time

from include.data import monitoring
from include.data.lake import Lake
from include.monitoring import arrival
from include.monitoring.challengers import TwinsOfTheLedger
from include.monitoring.measuring import Measuring
from include.registry.bundles import BundleStore
from include.registry.in_service import InService
from include.registry.ledger import Ledger
from tests.monitoring import championed


def test_dev(home, toy):
    lake = Lake.of(toy)
    for key in ("2026-05-13", "2026-05-14", "2026-04-20"):
        t = time.perf_counter()
        ins = InService.of("toy")
        m = Measuring(
            toy,
            lake,
            BundleStore.default(),
            ins,
            [TwinsOfTheLedger(toy, BundleStore.default(), Ledger.default())],
            championed.night_after(key, toy),
        )
        f = arrival.facts(toy, lake, m.days, key, ins)
        found = m.measure(key, f)
        print("seconds", time.perf_counter() - t)
        for one in found.rows:
            print(
                one.kind.value,
                one.version,
                one.slice,
                one.source,
                one.rows,
                one.days,
                one.low,
                one.high,
                one.promise,
                one.baseline,
                one.importance,
                one.result.subject,
                one.result.measure,
                one.result.value,
                one.result.state.value,
                one.result.sentence,
            )
        monitoring.write(lake, found.parts, "x")
        print(m.outdated("2026-05-14", 60))
