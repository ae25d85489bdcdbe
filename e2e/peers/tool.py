"""One call of an MCP tool over HTTP, with nothing but the standard library, and what came of it."""

import http.client
import json
import os
import signal
import urllib.parse
import uuid

REVISION = "2025-06-18"


class Failed(Exception):
    """The tool, or the gateway before it, says that it was not done or that this is not known."""

    def __init__(self, text, executed="unknown"):
        super().__init__(text)
        self.executed = executed


class Connection:
    def __init__(self, url, timeout=60.0):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self.session = None
        answer = self.post("initialize", {
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": {"name": "peer", "version": "1"},
        })
        if "result" not in answer:
            raise Failed(f"no handshake: {answer}", "no")
        self.post("notifications/initialized", None, notify=True)

    def post(self, method, params, notify=False):
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if not notify:
            message["id"] = uuid.uuid4().hex
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": REVISION,
        }
        if self.session:
            headers["mcp-session-id"] = self.session
        self.http.request("POST", self.path, json.dumps(message), headers)
        response = self.http.getresponse()
        self.session = response.getheader("mcp-session-id") or self.session
        if "text/event-stream" in (response.getheader("content-type") or ""):
            try:
                return self.stream(response, message.get("id"))
            finally:
                self.http.close()  # the end of the stream is not waited for
        body = response.read()
        if notify:
            return {}
        if response.status != 200:
            raise OSError(f"HTTP {response.status}")
        return json.loads(body)

    @staticmethod
    def stream(response, wanted):
        for line in response:
            if line.startswith(b"data:"):
                event = json.loads(line[5:] or b"{}") if line[5:].strip() else {}
                if event.get("id") == wanted:
                    return event
        raise ConnectionResetError("the stream ended without an answer")

    def call(self, tool, args, meta=None):
        params = {"name": tool, "arguments": args}
        if meta:
            params["_meta"] = meta
        answer = self.post("tools/call", params)
        if "error" in answer:
            raise Failed(f"{answer['error']['code']} {answer['error']['message']}")
        result = answer["result"]
        guard = (result.get("_meta") or {}).get("cofferdam/guard") or {}
        executed = guard.get("executed")
        if executed == "yes" or not result.get("isError"):
            return result
        text = " ".join(item.get("text", "") for item in result.get("content", []))
        raise Failed(text, executed or "unknown")


def effect(intent, number, step):
    """The effect of one step of a workflow; `step` names it over restarts. The first life ends right after effect 1."""
    args, meta = {"intent": f"{intent}/{number}"}, {}
    name = "append"
    if os.environ.get("PEER_KEY") == "argument":
        name, args["idempotency_key"] = "pay", step
    if os.environ.get("PEER_KEY") == "meta":
        meta["cofferdam/idempotency-key"] = step
    Connection(os.environ["PEER_URL"]).call(name, args, meta)
    if os.environ.get("PEER_DIES") == "1" and number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
