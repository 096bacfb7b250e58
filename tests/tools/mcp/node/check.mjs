// Asks a server of ours with an SDK of TypeScript, and prints what comes back as JSON.
//
//     node check.mjs v1|v2 stdio COMMAND ARGUMENT...
//     node check.mjs v1|v2 http URL

const [generation, transport, ...where] = process.argv.slice(2);

async function connected() {
  if (generation === "v1") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return open(Client, StdioClientTransport, StreamableHTTPClientTransport);
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  return open(Client, StdioClientTransport, StreamableHTTPClientTransport);
}

async function open(Client, Stdio, Http) {
  const client = new Client({ name: "check", version: "1" });
  const [command, ...args] = where;
  await client.connect(transport === "stdio" ? new Stdio({ command, args }) : new Http(new URL(where[0])));
  return client;
}

const client = await connected();
const progress = [];
const call = (name, args, options) =>
  generation === "v1"
    ? client.callTool({ name, arguments: args }, undefined, options)
    : client.callTool({ name, arguments: args }, options);

const answers = {
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  doubled: await call("double", { n: 4 }),
  bad: await call("double", { n: "four" }),
  worked: await call("work", {}, { onprogress: (told) => progress.push(told) }),
  written: await call("write", { text: "dear diary" }),
  painted: await call("paint", {}),
};
const link = answers.written.content.find((block) => block.type === "resource_link");
answers.read = (await client.readResource({ uri: link.uri })).contents[0].text;
answers.progress = progress;
await client.close();
console.log(JSON.stringify(answers));
