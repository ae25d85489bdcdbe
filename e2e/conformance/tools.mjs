// Tools that answer, stream, log, fail, or change what the server offers.
import { fromJsonSchema } from '@modelcontextprotocol/server';
import { PNG, WAV, object, pause, says, takes, text } from './samples.mjs';

const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const audio = { type: 'audio', data: WAV, mimeType: 'audio/wav' };
const resource = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

/** Keywords of JSON Schema 2020-12 that a hop which models schemas would lose. */
const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

/** More keywords and numbers that must come through as they are; no scenario asks for them, our own test does. */
const ODD_SCHEMA = {
  type: 'object',
  properties: {
    ratio: { type: 'number', exclusiveMinimum: 0, maximum: 1e3, multipleOf: 0.25, default: 1.0 },
    huge: { type: 'integer', maximum: 9007199254740991, examples: [0, -0.0] },
    tags: { type: 'array', prefixItems: [{ type: 'string' }], items: false, uniqueItems: true, minContains: 1, contains: {} },
    pattern: { type: 'string', pattern: '^[\\w-]+\\u00e9$', format: 'hostname', contentEncoding: 'base64' },
  },
  patternProperties: { '^x-': true },
  propertyNames: { maxLength: 40 },
  dependentRequired: { ratio: ['huge'] },
  dependentSchemas: { tags: { minProperties: 2 } },
  unevaluatedProperties: false,
  'x-vendor': { nested: [null, true, '\u2028'] },
};

function answers(server) {
  const add = (name, description, result) => server.registerTool(name, { description }, async () => result);
  add('test_simple_text', 'Answers with text', says('This is a simple text response for testing.'));
  add('test_image_content', 'Answers with a picture', { content: [image] });
  add('test_audio_content', 'Answers with sound', { content: [audio] });
  add('test_embedded_resource', 'Answers with a resource', {
    content: [resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  });
  add('test_multiple_content_types', 'Answers with text, a picture and a resource', {
    content: [
      text('Multiple content types test:'),
      image,
      resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  });
  server.registerTool('test_error_handling', { description: 'Fails on purpose' }, async () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
}

function streams(server) {
  server.registerTool(
    'test_tool_with_logging',
    { description: 'Logs three times while it works', inputSchema: takes({}) },
    async (_arguments, context) => {
      for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await context.mcpReq.log('info', line);
        await pause(20);
      }
      return says('Tool with logging executed successfully');
    },
  );
  server.registerTool('test_logging_tool', { description: 'Logs once' }, async context => {
    await context.mcpReq.log('info', 'one line');
    return says('logged');
  });
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports its progress three times', inputSchema: takes({}) },
    async (_arguments, context) => {
      const progressToken = context.mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) {
          const params = { progressToken, progress, total: 100, message: `step ${progress} of 100` };
          await context.mcpReq.notify({ method: 'notifications/progress', params });
        }
        await pause(20);
      }
      return says(String(progressToken));
    },
  );
  server.registerTool('test_reconnection', { description: 'Closes its stream before it answers' }, async context => {
    context.http?.closeSSE?.();
    await pause(100);
    return says('the answer came after the stream was resumed');
  });
}

function changes(server, changed) {
  server.registerTool('test_trigger_tool_change', { description: 'Says that the tools have changed' }, async () => {
    changed.tools();
    return says('tools changed');
  });
  server.registerTool('test_trigger_prompt_change', { description: 'Says that the prompts have changed' }, async () => {
    changed.prompts();
    return says('prompts changed');
  });
}

/** @param changed what to call when the lists of tools or prompts are to be announced as changed */
export function registerTools(server, changed) {
  answers(server);
  streams(server);
  changes(server, changed);
  server.registerTool(
    'test_mirrored_parameter',
    {
      description: 'Has a parameter that clients of the stateless revision mirror in a header',
      inputSchema: takes({ region: { type: 'string', 'x-mcp-header': 'Region' } }),
    },
    async ({ region }) => says(`region ${region}`),
  );
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(SCHEMA_2020_12) },
    async given => says(JSON.stringify(given)),
  );
  server.registerTool(
    'odd_schema',
    {
      title: 'Odd schema',
      description: 'A schema full of keywords that are seldom seen',
      inputSchema: fromJsonSchema(ODD_SCHEMA),
      outputSchema: fromJsonSchema(object({ seen: { type: 'object' } })),
      annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: false },
      _meta: { 'example.com/vendor': { kept: [1.0, '1.0'] } },
    },
    async given => ({ content: [text(JSON.stringify({ seen: given }))], structuredContent: { seen: given } }),
  );
}
