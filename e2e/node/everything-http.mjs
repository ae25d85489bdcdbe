// server-everything over streamable HTTP on a free port; the first line on stdout is `{"url": …}`.
import { createServer } from 'node:net';

const port = await new Promise(resolve => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
process.env.PORT = String(port);
process.argv[2] = 'streamableHttp';
console.log = console.error;
await import(new URL('../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url));
const url = `http://127.0.0.1:${port}/mcp`;
while (!(await fetch(url).catch(() => undefined))) await new Promise(resolve => setTimeout(resolve, 20));
process.stdout.write(`${JSON.stringify({ url })}\n`);
