// A stdio server whose mutations take effect and then end the process before the answer. The last argument is the file
// that its effects are appended to.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { McpServer, fromJsonSchema } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const file = process.argv.at(-1);
const line = { type: 'object', properties: { line: { type: 'string' } }, required: ['line'] };
const lines = { type: 'object', properties: { lines: { type: 'array', items: { type: 'string' } } }, required: ['lines'] };

serveStdio(() => {
  const server = new McpServer({ name: 'dies', version: '1.0.0' });
  const appends = (name, outputSchema) =>
    server.registerTool(name, { description: 'Appends a line', inputSchema: fromJsonSchema(line), outputSchema }, async given => {
      appendFileSync(file, `${given.line}\n`);
      process.exit(1);
    });
  appends('append');
  appends('append_typed', fromJsonSchema(line));
  const config = { description: 'Lists the lines', outputSchema: fromJsonSchema(lines), annotations: { readOnlyHint: true } };
  server.registerTool('list', config, async () => {
    const found = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
    return { content: [{ type: 'text', text: JSON.stringify({ lines: found }) }], structuredContent: { lines: found } };
  });
  return server;
});
