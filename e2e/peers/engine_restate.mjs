// Three effects in a row as `ctx.run` steps of a Restate workflow; the server runs it again when the service is back.
import * as restate from "@restatedev/restate-sdk";

const { PEER_URL, PEER_KEY, PEER_DIES, PEER_PORT } = process.env;
const NAME = "three-effects";
const REVISION = "2025-06-18";
let session;

async function post(method, params, notify = false) {
  const id = crypto.randomUUID();
  const response = await fetch(PEER_URL, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": REVISION,
      ...(session ? { "mcp-session-id": session } : {}),
    },
    body: JSON.stringify({ jsonrpc: "2.0", method, ...(params ? { params } : {}), ...(notify ? {} : { id }) }),
  });
  session = response.headers.get("mcp-session-id") ?? session;
  const text = await response.text();
  if (notify) return {};
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const lines = (response.headers.get("content-type") ?? "").includes("event-stream")
    ? text.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5))
    : [text];
  const answers = lines.filter((line) => line.trim()).map((line) => JSON.parse(line));
  const answer = answers.find((one) => one.id === id);
  if (!answer) throw new Error("no answer");
  return answer;
}

async function effect(number, step) {
  session = undefined;
  await post("initialize", { protocolVersion: REVISION, capabilities: {}, clientInfo: { name: "peer", version: "1" } });
  await post("notifications/initialized", undefined, true);
  const keyed = PEER_KEY === "argument";
  const answer = await post("tools/call", {
    name: keyed ? "pay" : "append",
    arguments: { intent: `${NAME}/${number}`, ...(keyed ? { idempotency_key: step } : {}) },
    ...(PEER_KEY === "meta" ? { _meta: { "cofferdam/idempotency-key": step } } : {}),
  });
  if (answer.error) throw new Error(JSON.stringify(answer.error));
  const executed = answer.result._meta?.["cofferdam/guard"]?.executed;
  if (answer.result.isError && executed !== "yes") throw new Error(JSON.stringify(answer.result));
  if (PEER_DIES === "1" && number === 1) process.kill(process.pid, "SIGKILL");
  return number;
}

const three = restate.workflow({
  name: "three",
  handlers: {
    run: async (ctx) => {
      const done = [];
      for (let number = 0; number < 3; number++) {
        done.push(await ctx.run(`effect-${number}`, () => effect(number, `${ctx.key}:effect-${number}`)));
      }
      return done;
    },
  },
});

restate.serve({ services: [three], port: Number(PEER_PORT) });
