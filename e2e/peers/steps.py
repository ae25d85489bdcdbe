"""How many durable steps a second DBOS and Restate take, each with steps that do nothing. Prints a line of JSON for each.

`bench stores` calls it. A step is one function whose result is journaled before the next one runs. Callers are workflows
that are under way at once; each makes its steps one after the other. What is measured runs on core 0, callers on core 1.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

from peers import HERE, NODE, RESTATE, accepted, free_port, healthy, listens, until

MEASURED, RIG = "0", "1"
# About three seconds for each.
STEPS = {1: 1500, 16: 300, 64: 120}


def tell(system, callers, steps, seconds):
    line = {"system": system, "callers": callers, "steps": steps, "seconds": seconds}
    print(json.dumps(line), flush=True)


def dbos(url, callers):
    """In a process of its own: it is a library of the caller."""
    from dbos import DBOS

    DBOS(config={
        "name": "steps",
        "system_database_url": url,
        "run_admin_server": False,
        "application_version": "1",
        "executor_id": "local",
        "max_executor_threads": 80,
        "sys_db_pool_size": 40,
        "log_level": "ERROR",
    })

    @DBOS.step()
    def nothing(number):
        return number

    @DBOS.workflow()
    def steps(count):
        return sum(nothing(number) for number in range(count))

    DBOS.launch()
    DBOS.start_workflow(steps, 5).get_result()
    began = time.monotonic()
    handles = [DBOS.start_workflow(steps, STEPS[callers]) for _ in range(callers)]
    for handle in handles:
        handle.get_result()
    tell(f"DBOS {version('dbos')} over Postgres", callers, callers * STEPS[callers], time.monotonic() - began)
    os._exit(0)


def restate(folder, callers):
    ingress, admin, service = free_port(), free_port(), free_port()
    environment = {
        **os.environ,
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    base = Path(mkdtemp(dir=folder))
    server = [NODE, RESTATE, "--no-logo", "--base-dir", base / "restate", "--node-name", "one"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": base}
    children = [
        subprocess.Popen(["taskset", "-c", MEASURED, *server], env=environment, **quiet),
        subprocess.Popen(
            ["taskset", "-c", RIG, NODE, HERE / "steps_restate.mjs"],
            env={**os.environ, "PEER_PORT": str(service)}, **quiet,
        ),
    ]
    try:
        until(lambda: listens(service), "the service")
        until(lambda: healthy(f"http://127.0.0.1:{admin}/health"), "the admin side of Restate")
        until(lambda: accepted(f"http://127.0.0.1:{admin}/deployments", {"uri": f"http://127.0.0.1:{service}"}),
              "the deployment")

        def call(count):
            request = urllib.request.Request(
                f"http://127.0.0.1:{ingress}/steps/run", json.dumps(count).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())

        until(lambda: call(5) == 10, "the first invocation")
        count = STEPS[callers]
        began = time.monotonic()
        with ThreadPoolExecutor(callers) as pool:
            results = list(pool.map(call, [count] * callers))
        seconds = time.monotonic() - began
        assert results == [count * (count - 1) // 2] * callers, results
        package = HERE / "node_modules/@restatedev/restate-server/package.json"
        tell(f"Restate {json.loads(package.read_text())['version']}", callers, callers * count, seconds)
    finally:
        for child in children:
            # The server is started through node: its own child ends with it.
            child.terminate()
        for child in children:
            child.wait(timeout=60)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--postgres", help="where DBOS keeps its tables")
    arguments.add_argument("--folder", default=".", help="the disk that Restate writes to")
    arguments.add_argument("--callers", type=int, default=64, choices=STEPS)
    arguments.add_argument("--only", choices=["dbos", "restate"])
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.inside:
        return dbos(given.postgres, given.callers)
    if given.only != "restate" and given.postgres:
        again = [sys.executable, __file__, "--inside", "--postgres", given.postgres, "--callers", str(given.callers)]
        subprocess.run(["taskset", "-c", MEASURED, *again], check=True, timeout=300)
    if given.only != "dbos" and NODE.exists():
        restate(given.folder, given.callers)


if __name__ == "__main__":
    main()
