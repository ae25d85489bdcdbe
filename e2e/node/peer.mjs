// What the scripts ask of a client, whichever SDK it is made of. `heard` keeps the notifications, `asked` counts what
// the server asked the client, `results` keeps answers for the test to judge.

export class Peer {
  /** @param client an SDK's client that is not yet connected; `spoken` how its handlers are named */
  constructor(client, spoken, { folder, prefix = '', pace = 0 }) {
    this.client = client;
    this.prefix = prefix;
    this.pace = pace;
    this.heard = [];
    this.results = {};
    this.asked = { sampling: 0, elicitation: 0, roots: 0 };
    const hears = method => notification => this.heard.push({ method, params: notification.params });
    for (const method of [
      'notifications/message',
      'notifications/tools/list_changed',
      'notifications/resources/list_changed',
      'notifications/prompts/list_changed',
      'notifications/resources/updated',
    ]) {
      client.setNotificationHandler(spoken(method), hears(method));
    }
    client.setRequestHandler(spoken('sampling/createMessage'), async ({ params }) => {
      this.asked.sampling++;
      const [{ content }] = params.messages;
      const question = Array.isArray(content) ? content[0].text : content.text;
      return { role: 'assistant', model: 'scripted-model', stopReason: 'endTurn', content: { type: 'text', text: `answer to: ${question}` } };
    });
    client.setRequestHandler(spoken('elicitation/create'), async ({ params }) => {
      this.asked.elicitation++;
      const fields = Object.keys(params.requestedSchema.properties);
      const content = fields.includes('name') ? { name: 'Ada', check: true } : { interpretation: 'technical' };
      return { action: 'accept', content };
    });
    client.setRequestHandler(spoken('roots/list'), async () => {
      this.asked.roots++;
      return { roots: [{ uri: `file://${folder}`, name: 'scripted root' }] };
    });
  }

  /** Calls a tool as the SDK does, `pace` milliseconds after what was before. */
  async call(name, given, options) {
    if (this.pace) await new Promise(resolve => setTimeout(resolve, this.pace));
    return this.callNow(name, given, options);
  }

  /** A tool's name at this door. */
  tool(name) {
    return `${this.prefix}${name}`;
  }

  /** The tools without those of other upstreams and of the gateway, with their own names. */
  async tools() {
    const { tools } = await this.client.listTools();
    return tools
      .filter(({ name }) => name.startsWith(this.prefix) && !name.startsWith('cofferdam__'))
      .map(tool => ({ ...tool, name: tool.name.slice(this.prefix.length) }));
  }

  hears(method, matches = () => true) {
    return this.heard.some(note => note.method === method && matches(note.params ?? {}));
  }
}

/** What the client says that it can do. */
export const CAPABILITIES = {
  roots: { listChanged: true },
  sampling: {},
  elicitation: { form: {}, url: {} },
};
