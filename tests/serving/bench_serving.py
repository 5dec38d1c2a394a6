"""Latency and throughput of one-row predictions, compared with a no-op of the same server. Run it with python.

The no-op is `/health/live` (FastAPI's routing), and a bare ASGI answer under the same uvicorn (the stricter one).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from load_client import request_bytes, run  # noqa: E402
from server_kit import Releases, Server, row  # noqa: E402

BARE = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        head = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"{}"})
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
"""


def main(files: dict[str, bytes], seconds: float = 2.0) -> None:
    home = Path(tempfile.mkdtemp(prefix="perennial-bench-"))
    Releases(home / "bundles").put("parcels", files, 1, 1)
    server = Server(home)
    started = time.perf_counter()
    server.start()
    print(f"ready after {time.perf_counter() - started:.2f} s")
    bare = subprocess.Popen([sys.executable, "-c", BARE, str(server.port + 1)])
    time.sleep(1.5)
    predict = request_bytes("/models/parcels/predict", json.dumps({"rows": [row()]}).encode())
    try:
        for connections in (1, 8, 32):
            for name, port, request in (
                ("predict", server.port, predict),
                ("no-op /health/live", server.port, request_bytes("/health/live")),
                ("bare ASGI no-op", server.port + 1, request_bytes("/")),
            ):
                run(port, request, connections, 0.3)
                load = run(port, request, connections, seconds)
                p50, p99 = (1e3 * load.percentile(share) for share in (0.5, 0.99))
                print(f"{connections:3d} connections {name:20s} {load.rate:7.0f}/s  p50 {p50:.2f} ms  p99 {p99:.2f} ms")
                assert not load.failures, load.failures[:3]
        for rows in (100, 1000, 10_000):
            body = json.dumps({"rows": [row()] * rows}).encode()
            load = run(server.port, request_bytes("/models/parcels/predict", body), 1, seconds)
            print(
                f"{rows:6d} rows in one request: p50 {1e3 * load.percentile(0.5):.1f} ms, {rows * load.rate:.0f} rows/s"
            )
        for name in ("accepted", "dropped", "written", "synced"):
            print(f"spool {name}: {server.metric(f'perennial_serving_spool_{name}_rows_total'):.0f}")
    finally:
        bare.terminate()
        started = time.perf_counter()
        print(f"stopped with {server.stop()} after {time.perf_counter() - started:.2f} s")
        bare.wait()


if __name__ == "__main__":
    import conftest

    main(conftest.trained_files.__wrapped__())
