// One run of one client against one server: what to do comes as JSON in the last argument, what was found goes to stdout
// as one line of JSON.
//   { server: 'everything'|'filesystem'|'memory'|'lost', url | command, prefix, mode, folder, pace }
import { Checks } from './checks.mjs';
import { everything } from './everything.mjs';
import { filesystem } from './filesystem.mjs';
import { lost } from './lost.mjs';
import { memory } from './memory.mjs';

/** @param connect makes a connected peer and says which features its client has */
export async function main(connect) {
  const wish = JSON.parse(process.argv.at(-1));
  const checks = new Checks();
  let report = {};
  await checks.run('connects', async () => {
    const { peer, features, revision } = await connect(wish);
    report = { peer, features, revision };
  });
  const { peer, features, revision } = report;
  if (peer) {
    await { everything, filesystem, memory, lost }[wish.server](peer, checks, wish.server === 'everything' ? features : wish);
    await checks.run('closes', () => peer.client.close());
  }
  console.log(JSON.stringify({ revision, checks: checks.found, asked: peer?.asked, results: peer?.results }));
  process.exit(0);
}
