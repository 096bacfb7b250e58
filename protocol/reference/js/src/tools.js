// Example tools: those that the conformance kit calls. A tool is a function of its arguments and a context.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ToolFailed } from "./work.js";

const taking = (properties) => ({ type: "object", properties, required: Object.keys(properties) });
const PERIOD = 251;

export const tools = {
  echo: {
    description: "Return the value.",
    input_schema: taking({ value: {} }),
    run: ({ value }) => value,
  },
  fail: {
    description: "Fail with the message.",
    input_schema: taking({ message: { type: "string" } }),
    run: ({ message }) => {
      throw new ToolFailed(message);
    },
  },
  sleep: {
    description: "Wait, and return how many seconds.",
    input_schema: taking({ seconds: { type: "number", minimum: 0 } }),
    run: async ({ seconds }, { signal }) => {
      await sleep(seconds * 1000, undefined, { signal });
      return seconds;
    },
  },
  count: {
    description: "Report each number from 1 on as a line of progress, and return the last.",
    input_schema: taking({ to: { type: "integer", minimum: 0 } }),
    run: ({ to }, { progress }) => {
      for (let number = 1; number <= to; number += 1) progress(number);
      return to;
    },
  },
  make_file: {
    description: "Make a file whose byte number i is i modulo 251.",
    input_schema: taking({ size: { type: "integer", minimum: 0 } }),
    run: ({ size }, { keep }) => keep(Buffer.from(Uint8Array.from({ length: size }, (_, index) => index % PERIOD)), { name: "made.bin" }),
  },
  measure_file: {
    description: "Say how long a file is, and what its digest is.",
    input_schema: taking({ file: { type: "object" } }),
    run: async ({ file }, { path }) => {
      const data = await readFile(path(file));
      return { size: data.length, sha256: createHash("sha256").update(data).digest("hex") };
    },
  },
};
