// The server that the conformance suite judges, directly and through the gateway: every tool, resource and prompt that
// a server scenario calls by name, on @modelcontextprotocol/server 2.x. Revisions with sessions and the stateless
// 2026-07-28 share one address. Prints one line of JSON with its address, then serves until it is killed.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport, localhostHostValidation, localhostOriginValidation, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler, createRequestStateCodec, isLegacyRequest } from '@modelcontextprotocol/server';
import { eventStore } from './events.mjs';
import { registerPrompts } from './prompts.mjs';
import { registerResources } from './resources.mjs';
import { registerRounds } from './rounds.mjs';
import { registerTools } from './tools.mjs';

const MAX_SESSIONS = 4096;

const stateCodec = createRequestStateCodec({ key: randomUUID() + randomUUID() });

/** One server object: per session for the older revisions, per request for the stateless one. */
function build(changes) {
  const server = new McpServer(
    { name: 'conformance-fixture', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: stateCodec.verify },
    },
  );
  registerTools(server, changes);
  registerRounds(server, stateCodec);
  registerResources(server);
  registerPrompts(server);
  return server;
}

const stateless = createMcpHandler(
  () => build({ tools: () => stateless.notify.toolsChanged(), prompts: () => stateless.notify.promptsChanged() }),
  { legacy: 'reject' },
);
const serveStateless = toNodeHandler(stateless);

const sessions = new Map();

async function openSession() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: eventStore(),
    retryInterval: 500,
    onsessioninitialized: id => {
      if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value);
      sessions.set(id, transport);
    },
    onsessionclosed: id => sessions.delete(id),
  });
  const server = build({ tools: () => server.sendToolListChanged(), prompts: () => server.sendPromptListChanged() });
  await server.connect(transport);
  return transport;
}

async function serveSession(request, response, body) {
  const id = request.headers['mcp-session-id'];
  const open = id === undefined ? undefined : sessions.get(id);
  if (open) return open.handleRequest(request, response, body);
  if (id === undefined && body?.method === 'initialize') return (await openSession()).handleRequest(request, response, body);
  return id === undefined ? refuse(response, 400, -32000, 'Bad Request: no session') : refuse(response, 404, -32001, 'Session not found');
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function refuse(response, status, code, message) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }));
}

const hostAllowed = localhostHostValidation();
const originAllowed = localhostOriginValidation();

async function serve(request, response) {
  if (!hostAllowed(request, response) || !originAllowed(request, response)) return;
  let body;
  try {
    if (request.method === 'POST') body = await readJson(request);
  } catch {
    return refuse(response, 400, -32700, 'Parse error');
  }
  const older = await isLegacyRequest(await toWebRequest(request, body), body);
  await (older ? serveSession : serveStateless)(request, response, body);
}

const http = createServer((request, response) => {
  serve(request, response).catch(error => {
    console.error(error);
    if (!response.headersSent) refuse(response, 500, -32603, 'Internal error');
  });
});

http.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${http.address().port}/mcp` }));
});
