// Puts a gateway in front of the suite's server and drives it with the plain client, so that what the suite judges is
// the gateway's upstream side. COFFERDAM_BIN names the binary; the last argument is the server's address.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { play } from './client.mjs';

const READY_WAIT_MS = 15_000;

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

async function ready(address, gateway) {
  const until = Date.now() + READY_WAIT_MS;
  while (Date.now() < until && gateway.exitCode === null) {
    const answer = await fetch(`${address}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  throw new Error(`the gateway is not ready at ${address}`);
}

const folder = mkdtempSync(join(tmpdir(), 'cofferdam-client-mode-'));
const port = await freePort();
const policy = join(folder, 'cofferdam.yaml');
writeFileSync(
  policy,
  [
    `listen: 127.0.0.1:${port}`,
    `journal: { path: ${JSON.stringify(join(folder, 'journal'))} }`,
    'upstreams:',
    `  suite: { mcp: { url: ${JSON.stringify(process.argv.at(-1))} } }`,
    '',
  ].join('\n'),
);
const gateway = spawn(process.env.COFFERDAM_BIN, ['up', '--config', policy], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
try {
  await ready(`http://127.0.0.1:${port}`, gateway);
  await play(`http://127.0.0.1:${port}/mcp/suite`);
} finally {
  gateway.kill('SIGKILL');
  await new Promise(resolve => (gateway.exitCode === null && gateway.signalCode === null ? gateway.once('exit', resolve) : resolve()));
  rmSync(folder, { recursive: true, force: true });
}
