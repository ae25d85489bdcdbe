// Runs the scenarios of one revision and prints one JSON object: per scenario whether it is required, its verdict and
// every check with its status.
//   judge.mjs server REVISION URL        the suite is the client of URL
//   judge.mjs client REVISION COMMAND    the suite is the server, COMMAND the client
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SUITE = join(dirname(fileURLToPath(import.meta.url)), '../node_modules/@modelcontextprotocol/conformance');
const AT_ONCE = 4;
/** From harmless to worst; ids repeat within a scenario, and the worst one stands for all. */
const RANK = ['SKIPPED', 'INFO', 'SUCCESS', 'WARNING', 'FAILURE'];

const [mode, revision, target] = process.argv.slice(2);

/** The scenarios that the revision's requirement file names for this mode. */
function wanted() {
  const scenarios = [];
  let section;
  let unscored;
  for (const line of readFileSync(join(SUITE, 'requirements', `${revision}.yaml`), 'utf8').split('\n')) {
    const [, heading] = line.match(/^(\w+):$/) ?? [];
    if (heading) section = heading;
    const [, name] = line.match(/^ {2}- ([\w/-]+)$/) ?? [];
    if (name && section === mode) scenarios.push({ name, required: true });
    const [, key, value] = line.match(/^ {2}(?:- | {2})(scenario|leg|reason): (\S+)$/) ?? [];
    if (key === 'scenario') unscored = { name: value };
    if (key === 'leg' && value === mode) scenarios.push({ ...unscored, required: false });
  }
  return scenarios;
}

function run(args) {
  return new Promise((resolve, reject) => {
    const suite = spawn(process.execPath, [join(SUITE, 'dist/index.js'), mode, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [suite.stdout, suite.stderr]) stream.on('data', text => (said += text));
    suite.once('error', reject);
    suite.once('close', () => resolve(said));
  });
}

/** The checks that the suite wrote for each scenario into `folder`. */
function results(folder, prefix) {
  const found = new Map();
  const walk = (path, name) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) walk(join(path, entry.name), name === '' ? entry.name : `${name}/${entry.name}`);
      if (entry.name !== 'checks.json') continue;
      const scenario = name.slice(prefix.length).replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');
      const checks = {};
      for (const { id, status } of JSON.parse(readFileSync(join(path, entry.name), 'utf8'))) {
        if (!(id in checks) || RANK.indexOf(status) > RANK.indexOf(checks[id])) checks[id] = status;
      }
      found.set(scenario, checks);
    }
  };
  walk(folder, '');
  return found;
}

const verdict = checks => {
  if (checks === undefined) return 'not run';
  return Object.values(checks).includes('FAILURE') ? 'fails' : 'passes';
};

async function judge(folder) {
  const scenarios = wanted().filter(({ name }) => !name.startsWith('auth/'));
  let said = '';
  if (mode === 'server') {
    said = await run(['--url', target, '--requirements', revision, '--output-dir', folder]);
  } else {
    const queue = scenarios.map(({ name }) => name);
    const worker = async () => {
      for (let name = queue.shift(); name; name = queue.shift()) {
        said += await run(['--command', target, '--scenario', name, '--spec-version', revision, '--output-dir', folder]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }
  const found = results(folder, mode === 'server' ? 'server-' : '');
  if (found.size === 0) throw new Error(`the suite ran nothing: ${said.slice(-2000)}`);
  return scenarios.map(scenario => {
    const checks = found.get(scenario.name);
    return { ...scenario, verdict: verdict(checks), checks: checks ?? {} };
  });
}

const folder = mkdtempSync(join(tmpdir(), 'cofferdam-conformance-'));
try {
  console.log(JSON.stringify({ mode, revision, scenarios: await judge(folder) }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
