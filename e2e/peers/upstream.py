"""An MCP server over HTTP with a ledger: each effect is one line, synced before the answer is made.

`append` writes, `pay` honours an idempotency key, `drop` is destructive, `list_effects` reads. A fault that is set with
`POST /fault` strikes every later call of a tool that changes something, until it is cleared.
"""

import argparse
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STRING = {"type": "string"}


def schema(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


WRITES = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False}
DESTROYS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False}
TOOLS = [
    {"name": "append", "description": "Appends an entry.", "annotations": WRITES, "inputSchema": schema(intent=STRING)},
    {
        "name": "pay",
        "description": "Pays. Honours an idempotency key.",
        "annotations": WRITES,
        "inputSchema": {
            "type": "object",
            "properties": {"intent": STRING, "idempotency_key": STRING},
            "required": ["intent"],
        },
    },
    {"name": "drop", "description": "Drops something.", "annotations": DESTROYS, "inputSchema": schema(intent=STRING)},
    {
        "name": "list_effects",
        "description": "Lists what was done.",
        "annotations": {"readOnlyHint": True},
        "inputSchema": schema(),
    },
]


class World:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.path = path
        self.effects = []
        if os.path.exists(path):
            with open(path) as lines:
                self.effects = [json.loads(line) for line in lines]
        self.fault = None

    def effect(self, tool, args):
        """Whether it is a new one: a key that was honoured before has no second effect."""
        with self.lock:
            key = args.get("idempotency_key")
            if tool == "pay" and key and any(one["key"] == key for one in self.effects):
                return False
            one = {"tool": tool, "intent": args.get("intent"), "key": key, "at": time.time()}
            with open(self.path, "a") as ledger:
                ledger.write(json.dumps(one) + "\n")
                ledger.flush()
                os.fsync(ledger.fileno())
            self.effects.append(one)
            return True

    def strikes(self, args):
        """The fault of this call, if there is one."""
        with self.lock:
            fault = self.fault
            if not fault or not args.get("intent", "").endswith(fault.get("intent", "")):
                return {}
            if fault.get("once"):
                self.fault = None
            return fault


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(405, {})

    def do_DELETE(self):
        self.answer(200, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path == "/fault":
            self.world.fault = body or None
            return self.answer(200, {})
        if "id" not in body:
            return self.answer(202, None)
        method, params = body.get("method"), body.get("params", {})
        if method == "initialize":
            return self.result(body, {
                "protocolVersion": params.get("protocolVersion", "2025-06-18"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "ledger", "version": "1"},
            })
        if method == "ping":
            return self.result(body, {})
        if method == "tools/list":
            return self.result(body, {"tools": TOOLS})
        if method == "tools/call":
            return self.call(body, params["name"], params.get("arguments") or {})
        return self.error(body, -32601, "no such method")

    def call(self, body, tool, args):
        if tool == "list_effects":
            return self.done(body, {"effects": self.world.effects})
        if tool not in {"append", "pay", "drop"}:
            return self.error(body, -32602, "no such tool")
        fault = self.world.strikes(args)
        kind = fault.get("kind")
        if kind == "503":
            return self.answer(503, {"error": "try later"})
        self.world.effect(tool, args)
        if kind == "effect_503":
            return self.answer(503, {"error": "try later"})
        if kind == "effect_close":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        if kind == "effect_slow":
            time.sleep(fault["seconds"])
        if kind == "effect_32603":
            return self.error(body, -32603, "internal error")
        return self.done(body, {"ok": True})

    def done(self, body, value):
        self.result(body, {"content": [{"type": "text", "text": json.dumps(value)}], "structuredContent": value})

    def result(self, body, result):
        self.answer(200, {"jsonrpc": "2.0", "id": body["id"], "result": result})

    def error(self, body, code, message):
        self.answer(200, {"jsonrpc": "2.0", "id": body["id"], "error": {"code": code, "message": message}})

    def answer(self, status, value):
        data = b"" if value is None else json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # whoever asked has left


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    Handler.world = World(args.ledger)
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
