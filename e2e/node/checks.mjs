// Runs named checks one after the other and keeps what each found; a check that throws or hangs is a finding, not an end.

const CHECK_WAIT_MS = 30_000;

export class Checks {
  constructor() {
    this.found = {};
  }

  async run(name, check) {
    const began = Date.now();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end after ${CHECK_WAIT_MS} ms`)), CHECK_WAIT_MS);
    });
    try {
      await Promise.race([check(), late]);
      this.found[name] = 'ok';
    } catch (error) {
      this.found[name] = `${error?.message ?? error}`.slice(0, 600);
    } finally {
      clearTimeout(timer);
    }
    if (process.env.E2E_TIMES) console.error(`${name} ${Date.now() - began} ms`);
  }
}

export function expect(holds, what) {
  if (!holds) throw new Error(typeof what === 'string' ? what : JSON.stringify(what));
}

/** The texts of a result, joined. */
export const textOf = result => result.content.filter(item => item.type === 'text').map(item => item.text).join('\n');

/** Waits until `condition` holds, looking again and again. */
export async function until(condition, what, milliseconds = 15_000) {
  const end = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}
