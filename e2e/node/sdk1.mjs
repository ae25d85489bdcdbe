// npm @modelcontextprotocol/sdk 1.x as the client.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { main } from './main.mjs';
import { CAPABILITIES, Peer } from './peer.mjs';

const SCHEMAS = {
  'notifications/message': types.LoggingMessageNotificationSchema,
  'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
  'notifications/resources/list_changed': types.ResourceListChangedNotificationSchema,
  'notifications/prompts/list_changed': types.PromptListChangedNotificationSchema,
  'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
  'sampling/createMessage': types.CreateMessageRequestSchema,
  'elicitation/create': types.ElicitRequestSchema,
  'roots/list': types.ListRootsRequestSchema,
};

/** Runs a tool as a task, as the SDK's experimental interface has it. */
async function runTask(client, name, given) {
  const states = [];
  let created;
  let result;
  const stream = client.experimental.tasks.callToolStream({ name, arguments: given }, types.CallToolResultSchema, { task: { ttl: 60_000 } });
  for await (const message of stream) {
    if (message.type === 'taskCreated') created = message.task;
    if (message.type === 'taskStatus') states.push(message.task.status);
    if (message.type === 'result') result = message.result;
    if (message.type === 'error') throw message.error;
  }
  const { tasks } = await client.experimental.tasks.listTasks();
  if (!tasks.some(task => task.taskId === created.taskId)) throw new Error('the task is not in the list of tasks');
  return { created, states, result };
}

await main(async wish => {
  const client = new Client({ name: 'npm-sdk-1', version: '1.0.0' }, { capabilities: CAPABILITIES });
  const peer = new Peer(client, method => SCHEMAS[method], wish);
  peer.callNow = (name, given, options) => client.callTool({ name, arguments: given }, undefined, options);
  const [command, ...args] = wish.command ?? [];
  const transport = command
    ? new StdioClientTransport({ command, args, env: { ...process.env }, stderr: 'inherit' })
    : new StreamableHTTPClientTransport(new URL(wish.url));
  await client.connect(transport);
  const features = {
    subscribe: uri => client.subscribeResource({ uri }),
    unsubscribe: uri => client.unsubscribeResource({ uri }),
    setLevel: level => client.setLoggingLevel(level),
    task: (name, given) => runTask(client, name, given),
  };
  return { peer, features, revision: transport.protocolVersion ?? client.transport?._protocolVersion ?? types.LATEST_PROTOCOL_VERSION };
});
