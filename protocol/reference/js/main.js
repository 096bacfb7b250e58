#!/usr/bin/env node
// The command line of the reference device. Exit codes: 0 stopped or drained, 1 refused, 2 bad input.

import { parseArgs } from "node:util";
import { Agent } from "./src/agent.js";
import { stayConnected } from "./src/connection.js";
import { tools } from "./src/tools.js";

const environment = process.env;
const { values } = parseArgs({
  options: {
    url: { type: "string", default: environment.CONSTELLATION_URL },
    name: { type: "string", default: environment.CONSTELLATION_DEVICE },
    "state-dir": { type: "string", default: environment.CONSTELLATION_STATE_DIR },
    slots: { type: "string", default: "2" },
    grace: { type: "string", default: "10" },
    linger: { type: "string", default: "60" },
  },
});
for (const name of ["url", "name", "state-dir"]) {
  if (!values[name]) {
    console.error(`constellation-js-device: give --${name}`);
    process.exit(2);
  }
}
const token = environment.CONSTELLATION_TOKEN ?? null;
delete environment.CONSTELLATION_TOKEN; // tools have no business with it

const agent = new Agent({
  name: values.name, token, slots: Number(values.slots), stateDir: values["state-dir"], tools, changed: () => undefined,
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    agent.drain(`received ${signal}`);
    setTimeout(() => agent.stopAll("the device stops"), values.grace * 1000).unref();
    setTimeout(() => process.exit(0), values.grace * 1000 + 500).unref(); // what is owed stays in the journal
  });
}
const log = (line) => console.error(`constellation-js-device: ${line}`);
const url = new URL(values.url);
if (url.pathname === "/") url.pathname = "/aip";
process.exit(await stayConnected(agent, url.href, { lingerS: Number(values.linger), log }));
