// Steps that do nothing, one after the other, each journaled by the server before the next one.
import * as restate from "@restatedev/restate-sdk";

const steps = restate.service({
  name: "steps",
  handlers: {
    run: async (ctx, count) => {
      let sum = 0;
      for (let number = 0; number < count; number++) sum += await ctx.run(`step-${number}`, () => number);
      return sum;
    },
  },
});

restate.serve({ services: [steps], port: Number(process.env.PEER_PORT) });
