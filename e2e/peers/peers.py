"""Runs each peer on the kill fixture and on an upstream that commits, then fails to say so, and writes docs/peers.md.

`bash e2e/peers/run.sh` installs what it needs and calls this. Every figure of the page is counted in a ledger.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

from tool import Connection, Failed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NODE = HERE / "node_modules" / "node" / "bin" / "node"
RESTATE = HERE / "node_modules" / ".bin" / "restate-server"
WAIT = 120.0

POLICY = """listen: 127.0.0.1:{port}
journal: {{ path: {journal} }}
upstreams:
  ledger: {{ mcp: {{ url: "{url}/mcp" }} }}
defaults:
  timeouts: {{ step: {timeout}s, attempt: {timeout}s }}
  quiescence: 500ms
  absent_spacing: 200ms
  probe_wait: 5s
tools:
  - {{ match: ledger.list_effects, effect: read }}
  - match: ledger.append
    effect: write
    readback: {readback}
  - {{ match: ledger.pay, effect: keyed, key: {{ argument: idempotency_key, window: 24h }} }}
  - match: ledger.drop
    effect: destructive
    {drop}
"""
READBACK = """
      read: ledger.list_effects
      args: '{}'
      expect: 'read.effects.exists(one, one.intent == args.intent)'
      absent: '!read.effects.exists(one, one.intent == args.intent)'
      strength: exact"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, wait=WAIT):
    end = time.monotonic() + wait
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.005)


def post(url, body, method="POST"):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return answer.read()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    def __init__(self, command, log, env=None, cwd=None):
        self.log = open(log, "ab")
        self.child = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=self.log, env=env, cwd=cwd,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )

    def kill(self):
        """SIGKILL for it and for what it started, and its end."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def drain(self):
        """Reads what it writes, so that it never waits for us."""
        threading.Thread(target=lambda: shutil.copyfileobj(self.child.stdout, self.log), daemon=True).start()
        return self


class Stage:
    """A ledger, perhaps a gateway before it, and the files of one case."""

    def __init__(self, options, timeout=10, drop_readback=True):
        self.directory = Path(tempfile.mkdtemp(prefix="peers-"))
        self.options = options
        self.ledger = self.directory / "ledger"
        self.upstream = Process(
            [sys.executable, HERE / "upstream.py", "--ledger", self.ledger], self.directory / "upstream.log",
        )
        self.url = self.upstream.child.stdout.readline().decode().strip()
        self.others = []
        self.gateway = None
        self.port = free_port()
        self.timeout, self.drop_readback = timeout, drop_readback

    def start_gateway(self):
        policy = self.directory / "cofferdam.yaml"
        drop = f"readback: {READBACK}" if self.drop_readback else "repeat: notice"
        policy.write_text(POLICY.format(
            port=self.port, journal=self.directory / "journal", url=self.url, timeout=self.timeout,
            readback=READBACK, drop=drop,
        ))
        self.gateway = Process(
            [self.options.cofferdam, "up", "--config", policy], self.directory / "gateway.log", cwd=self.directory,
        ).drain()
        until(lambda: ready(self.port), "the gateway")

    def add(self, process):
        self.others.append(process)
        return process

    def tool_url(self, through):
        return f"http://127.0.0.1:{self.port}/mcp/ledger" if through else f"{self.url}/mcp"

    def fault(self, fault):
        post(f"{self.url}/fault", fault)

    def effects(self):
        if not self.ledger.exists():
            return []
        return [json.loads(line)["intent"] for line in self.ledger.read_text().splitlines()]

    def close(self):
        for process in [*self.others, self.gateway, self.upstream]:
            if process:
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


# The kill fixture.

COLUMNS = ["default", "key", "through", "both"]


class PythonEngine:
    """A worker that is one process: started, killed, started again."""

    def __init__(self, name, script, extra=None):
        self.name, self.script, self.extra = name, script, extra or {}

    def start(self, stage, env):
        environment = {**os.environ, **env, **self.extra, "PYTHONUNBUFFERED": "1"}
        return stage.add(Process([sys.executable, HERE / self.script], stage.directory / "worker.log", environment))

    def lives(self, stage, env, strike):
        first = self.start(stage, {**env, "PEER_LIFE": "1"})
        strike(first)
        second = self.start(stage, {**env, "PEER_LIFE": "2", "PEER_DIES": "0"})
        out, _ = second.child.communicate(timeout=WAIT)
        lines = [line for line in out.decode().splitlines() if line.startswith("{")]
        return json.loads(lines[-1])["status"] if lines else f"ended with {second.child.returncode}"


class Restate:
    name = "Restate"

    def lives(self, stage, env, strike):
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
        command = [NODE, RESTATE, "--no-logo", "--base-dir", stage.directory / "restate", "--node-name", "one"]
        stage.add(Process(command, stage.directory / "restate.log", environment, cwd=stage.directory)).drain()

        def start(dies):
            worker = {**os.environ, **env, "PEER_PORT": str(service), "PEER_DIES": dies}
            process = Process([NODE, HERE / "engine_restate.mjs"], stage.directory / "worker.log", worker)
            stage.add(process).drain()
            until(lambda: listens(service), "the service")
            return process

        first = start(env.get("PEER_DIES", "0"))
        until(lambda: healthy(f"http://127.0.0.1:{admin}/health"), "the admin side of Restate")
        deployment = {"uri": f"http://127.0.0.1:{service}", "force": True}
        until(lambda: accepted(f"http://127.0.0.1:{admin}/deployments", deployment), "the deployment")
        call = f"http://127.0.0.1:{ingress}/three/one"
        until(lambda: accepted(f"{call}/run/send", {}), "the invocation")
        strike(first)
        start("0")
        attach = f"http://127.0.0.1:{ingress}/restate/workflow/three/one/attach"
        return "SUCCESS" if answered(attach) == [0, 1, 2] else "something else"


def healthy(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def accepted(url, body):
    try:
        post(url, body)
        return True
    except OSError:
        return False


def answered(url):
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        return json.loads(answer.read())


def engines():
    found = [
        PythonEngine(f"DBOS {version('dbos')}, SQLite", "engine_dbos.py"),
        PythonEngine(
            f'LangGraph {version("langgraph")}, `durability="sync"`', "engine_langgraph.py",
            {"PEER_DURABILITY": "sync"},
        ),
        PythonEngine(f"LangGraph {version('langgraph')}, its default", "engine_langgraph.py"),
    ]
    if NODE.exists():
        server = json.loads((HERE / "node_modules/@restatedev/restate-server/package.json").read_text())["version"]
        sdk = json.loads((HERE / "node_modules/@restatedev/restate-sdk/package.json").read_text())["version"]
        restate = Restate()
        restate.name = f"Restate {server}, SDK {sdk}"
        found.append(restate)
    return found


def kill_fixture(options, engine, column):
    """The effects in the ledger, by number, and what the engine reports in the end."""
    stage = Stage(options)
    try:
        through = column in {"through", "both"}
        if through:
            stage.start_gateway()
        env = {"PEER_URL": stage.tool_url(through), "PEER_STATE": str(stage.directory), "PEER_DIES": "1"}
        env["PEER_KEY"] = {"key": "argument", "through": "meta", "both": "meta"}.get(column, "")
        if column == "both":
            env["PEER_DIES"] = "0"
            stage.fault({"kind": "effect_slow", "seconds": 30, "intent": "/1", "once": True})

        def strike(worker):
            if column == "both":
                until(lambda: len(stage.effects()) == 2, "effect 1")
                stage.gateway.kill()
                worker.kill()
                stage.start_gateway()
            else:
                until(lambda: worker.child.poll() is not None, "the worker to kill itself")
                if worker.child.returncode != -signal.SIGKILL:
                    raise SystemExit(f"{engine.name}: the worker ended with {worker.child.returncode}: "
                                     + (stage.directory / "worker.log").read_text()[-2000:])

        status = engine.lives(stage, env, strike)
        return [intent.rsplit("/", 1)[1] for intent in stage.effects()], status
    finally:
        stage.close()


# "Commits, then fails to say so".

FAULTS = [
    ("503, no effect", {"kind": "503"}),
    ("effect, then 503", {"kind": "effect_503"}),
    ("effect, then the connection closes", {"kind": "effect_close"}),
    ("effect, then slower than the timeout (2 s)", {"kind": "effect_slow", "seconds": 6}),
    ("effect, then -32603", {"kind": "effect_32603"}),
    ("effect, then the gateway is killed; the agent calls again", "kill"),
]
TIMEOUT = 2

MCP_PROXY = """[proxy]
name = "peer"
version = "1"
separator = "__"
[proxy.listen]
host = "127.0.0.1"
port = {port}
[[backends]]
name = "ledger"
transport = "http"
url = "{url}/mcp"
[backends.timeout]
seconds = {timeout}
[backends.retry]
max_retries = 3
initial_backoff_ms = 100
"""


class Direct:
    name = "no gateway"

    def start(self, stage):
        return None

    def url(self, stage):
        return stage.tool_url(False)

    tool = "drop"


class FastMcp:
    tool = "drop"

    def __init__(self):
        self.name = f"FastMCP {version('fastmcp')} with `RetryMiddleware`"
        self.port = free_port()

    def start(self, stage):
        env = {**os.environ, "PEER_URL": f"{stage.url}/mcp", "PEER_PORT": str(self.port), "PEER_TIMEOUT": str(TIMEOUT)}
        process = Process([sys.executable, HERE / "gateway_fastmcp.py"], stage.directory / "fastmcp.log", env).drain()
        until(lambda: listens(self.port), "FastMCP")
        return stage.add(process)

    def url(self, stage):
        return f"http://127.0.0.1:{self.port}/mcp"


class McpProxy:
    name = "mcp-proxy 0.6.0 with `[backends.retry]`"
    tool = "ledger__drop"

    def __init__(self, binary):
        self.binary, self.port = binary, free_port()

    def start(self, stage):
        config = stage.directory / "proxy.toml"
        config.write_text(MCP_PROXY.format(port=self.port, url=stage.url, timeout=TIMEOUT))
        process = Process([self.binary, "--config", config], stage.directory / "mcp-proxy.log").drain()
        until(lambda: listens(self.port), "mcp-proxy")
        return stage.add(process)

    def url(self, stage):
        return f"http://127.0.0.1:{self.port}/"


class Cofferdam:
    tool = "drop"

    def __init__(self, readback):
        self.readback = readback
        self.name = "Cofferdam, a read-back named" if readback else "Cofferdam, nothing to read it back with"

    def start(self, stage):
        stage.start_gateway()
        return stage.gateway

    def url(self, stage):
        return stage.tool_url(True)


def gateways(options):
    found = [Direct(), FastMcp()]
    if options.mcp_proxy:
        found.append(McpProxy(options.mcp_proxy))
    return [*found, Cofferdam(False), Cofferdam(True)]


def conformance(options, peer, fault):
    """Effects in the ledger of one destructive call, and what the caller was told."""
    stage = Stage(options, timeout=TIMEOUT, drop_readback=getattr(peer, "readback", True))
    try:
        process = peer.start(stage)
        if fault == "kill" and process is None:
            return None
        if fault == "kill":
            stage.fault({"kind": "effect_slow", "seconds": 1.5, "once": True})
        else:
            stage.fault(fault)
        told = []

        def call():
            try:
                Connection(peer.url(stage)).call(peer.tool, {"intent": "it"})
                told.append("done")
            except Failed as failed:
                told.append({"yes": "done", "no": "not done"}.get(failed.executed, said(peer, failed)))
            except (OSError, http.client.HTTPException) as error:
                told.append(str(error) if str(error).startswith("HTTP ") else "no answer")

        caller = threading.Thread(target=call)
        caller.start()
        if fault == "kill":
            until(lambda: stage.effects(), "the effect")
            process.kill()
            caller.join()
            if isinstance(peer, McpProxy | FastMcp):
                peer.port = free_port()
            peer.start(stage)
            told.clear()
            call()
        caller.join()
        time.sleep(0.5)
        return len(stage.effects()), told[-1]
    finally:
        stage.close()


def said(peer, failed):
    return "not known" if isinstance(peer, Cofferdam) else "an error"


# The page.


def write_part(name, text):
    page = ROOT / "docs" / "peers.md"
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text()
    before, rest = old.split(begin, 1)
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def kill_table(options):
    heads = ["as its guide begins", "a key to an upstream that honours it", "Cofferdam in front of the tool",
             "the same, Cofferdam killed with the worker"]
    rows = ["| engine | " + " | ".join(heads) + " | it reports |", "|---|" + "---|" * (len(heads) + 1)]
    for engine in engines():
        cells, reports = [], set()
        for column in COLUMNS:
            seen = set()
            for _ in range(options.times):
                effects, status = kill_fixture(options, engine, column)
                seen.add(" ".join(effects))
                reports.add(status.lower())
                print(f"{engine.name}, {column}: {' '.join(effects)}, {status}", file=sys.stderr, flush=True)
            cells.append(" or ".join(f"`{one}`" for one in sorted(seen)))
        rows.append(f"| {engine.name} | " + " | ".join(cells) + f" | {', '.join(sorted(reports))} |")
    return "\n".join([*rows, "", f"Each cell was run {options.times} times, each with a state of its own."])


def conformance_table(options):
    peers = gateways(options)
    rows = ["| what goes wrong | " + " | ".join(peer.name for peer in peers) + " |", "|---|" + "---|" * len(peers)]
    for name, fault in FAULTS:
        cells = []
        for peer in peers:
            found = conformance(options, peer, fault)
            cells.append("–" if found is None else f"{found[0]}, {found[1]}")
            print(f"{name}, {peer.name}: {found}", file=sys.stderr, flush=True)
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cofferdam", default=str(ROOT / "target" / "release" / "cofferdam"))
    parser.add_argument("--mcp-proxy", default=shutil.which("mcp-proxy"))
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--only", choices=["kills", "retries"])
    parser.add_argument("--print", action="store_true", help="print the tables and write nothing")
    options = parser.parse_args()
    parts = {"kills": kill_table, "retries": conformance_table}
    for name, table in parts.items():
        if options.only in {None, name}:
            text = table(options)
            if options.print:
                print(text)
            else:
                write_part(name, text)
    print(f"Python {platform.python_version()}", file=sys.stderr)


if __name__ == "__main__":
    main()
