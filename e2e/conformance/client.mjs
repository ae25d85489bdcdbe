// A plain client that the suite's client mode drives: it does what a scenario needs and knows of no gateway. Its last
// argument is the server's address; the scenario and the revision come in the suite's environment variables.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const STATELESS = '2026-07-28';

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

const call = (client, name, given = {}) => client.callTool({ name, arguments: given });

/** The smallest arguments that the schema's required members allow. */
function smallest(schema) {
  const samples = { string: 'x', number: 1, integer: 1, boolean: true, object: {}, array: [], null: null };
  return Object.fromEntries((schema.required ?? []).map(key => [key, samples[schema.properties[key].type] ?? 'x']));
}

/** What a scenario wants beyond connecting and listing tools. */
const scripts = {
  initialize: async () => {},
  tools_call: client => call(client, 'add_numbers', { a: 5, b: 3 }),
  'elicitation-sep1034-client-defaults': client => call(client, 'test_client_elicitation_defaults'),
  'sse-retry': client => call(client, 'test_reconnection'),
  'request-metadata': async () => {},
  'json-schema-ref-no-deref': async () => {},
  'sep-2322-client-request-state': async client => {
    await call(client, 'test_mrtr_echo_state');
    await call(client, 'test_mrtr_unrelated');
    await call(client, 'test_mrtr_no_state');
    await call(client, 'test_mrtr_no_result_type').catch(() => {});
  },
  'http-standard-headers': async (client, tools) => {
    for (const tool of tools) await call(client, tool.name);
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },
  'http-custom-headers': async client => {
    for (const { name, arguments: given } of context.toolCalls) await call(client, name, given);
  },
  'http-invalid-tool-headers': async (client, tools) => {
    for (const tool of tools) await call(client, tool.name, smallest(tool.inputSchema));
  },
  'json-schema-2020-12-preservation': async (client, tools) => {
    const { inputSchema: schema } = tools.find(tool => tool.name === 'json_schema_2020_12_tool');
    await call(client, 'json_schema_echo', { schema });
  },
};

export async function play(url) {
  const client = new Client(
    { name: 'conformance-client', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: { applyDefaults: true } } },
      versionNegotiation: { mode: revision === STATELESS ? { pin: STATELESS } : 'legacy' },
    },
  );
  const confirms = scenario === 'sep-2322-client-request-state';
  client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: confirms ? { confirmed: true } : {} }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  // The gateway's own tool is not the scenario's.
  const tools = (await client.listTools()).tools.filter(tool => !tool.name.startsWith('cofferdam__'));
  await scripts[scenario](client, tools);
  await client.close();
}

if (import.meta.url === `file://${process.argv[1]}`) await play(process.argv.at(-1));
