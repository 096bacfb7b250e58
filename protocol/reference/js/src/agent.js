// The device: takes assignments, runs them, and sees to it that every result arrives. Knows sessions, not sockets.

import { hostname } from "node:os";
import { Journal } from "./journal.js";
import { SessionOver, Store, Transfers } from "./files.js";
import { Session } from "./session.js";
import { Stopped, carryOut } from "./work.js";
import { join } from "node:path";

export class Agent {
  constructor({ name, token, slots, stateDir, tools, changed }) {
    Object.assign(this, { name, token, slots, tools, changed }); // `changed` is called when there is something to send
    this.journal = new Journal(stateDir);
    this.store = new Store(join(stateDir, "files"));
    this.running = new Map(); // by attempt
    this.draining = null; // why no new work is taken
    this.newSession();
  }

  newSession() {
    this.transfers?.abandon();
    this.session = new Session();
    this.transfers = new Transfers(this.session, this.store);
    this.opened = new Promise((resolve) => (this.open = resolve));
  }

  hello() {
    const tools = Object.entries(this.tools).map(([name, { description, input_schema }]) => ({ name, description, input_schema }));
    const system = { os: process.platform, arch: process.arch === "x64" ? "x86_64" : process.arch, hostname: hostname() };
    return {
      kind: "hello", versions: [1], device: this.name, token: this.token, ...this.session.resumption(),
      profile: { ...system, agent: `reference-js/${process.version}`, pid: process.pid, labels: system, slots: this.slots, tools },
      memory: this.journal.memory,
      running: [...this.running.keys()],
      finished: [...this.journal.results.keys()],
    };
  }

  /** A session was opened or resumed; in a new one everything that is owed is said again. */
  welcomed(resumed) {
    if (resumed) return;
    this.open();
    if (this.draining !== null) this.session.send({ kind: "drain", reason: this.draining });
    for (const result of this.journal.results.values()) this.#deliver(result);
  }

  /** Take in what a frame brought. */
  take({ messages, acknowledged }) {
    for (const message of acknowledged) if (message.kind === "result") this.journal.acknowledge(message.attempt);
    for (const message of messages) {
      if (message.kind === "assign") this.#assigned(message);
      else if (message.kind === "cancel") this.#cancelled(message);
      else if (message.kind === "drain") this.drain(message.reason || "the orchestrator asked for it");
      else if (message.kind !== "goodbye") this.transfers.take(message);
    }
    this.#leaveWhenDone();
  }

  #assigned(assign) {
    const { attempt } = assign;
    const running = this.running.get(attempt);
    if (running !== undefined && running.session !== this.session) {
      running.session = this.session; // an orchestrator that was restarted: it goes on, now in this session
      this.#say("accept", attempt);
    } else if (running !== undefined) this.#reject(attempt, "duplicate", "it is running here");
    else if (this.journal.results.has(attempt)) this.#deliver(this.journal.results.get(attempt));
    else if (this.journal.begun.has(attempt)) this.#reject(attempt, "duplicate", "it ran here, and its result was taken");
    else if (this.draining !== null) this.#reject(attempt, "draining", this.draining);
    else if (!Object.hasOwn(this.tools, assign.work.tool)) this.#reject(attempt, "unknown-tool", "there is no such tool here");
    else if (this.running.size >= this.slots) this.#reject(attempt, "no-slot", `all ${this.slots} slots are busy`);
    else this.#begin(assign);
  }

  async #begin(assign) {
    const { attempt } = assign;
    const running = { session: this.session, stop: new AbortController() };
    this.journal.begin(attempt); // before anything is said or done: it will never run twice
    this.running.set(attempt, running);
    this.#say("accept", attempt);
    const result = await carryOut(assign, this.tools[assign.work.tool], {
      store: this.store,
      stop: running.stop,
      fetch: (info) => this.#fetch(info),
      report: (progress) => this.running.get(attempt) === running && this.#say("progress", attempt, progress),
      limits: () => this.session.limits,
    });
    this.journal.keep(result); // before it is no longer running: a hello lists it at every moment
    this.running.delete(attempt);
    this.#deliver(result);
    this.#leaveWhenDone();
  }

  async #fetch(info) {
    for (;;) {
      await this.opened;
      try {
        return await this.transfers.want(info);
      } catch (error) {
        if (!(error instanceof SessionOver)) throw error; // else the next session's orchestrator has it too
      }
    }
  }

  async #deliver(result) {
    const { session, transfers } = this;
    if (session.welcome === null) return; // it is kept, and delivered once there is a session
    let delivered = { ...result, epoch: session.welcome.epoch };
    try {
      for (const info of result.artifacts ?? []) {
        const arrived = transfers.offer(info);
        this.changed();
        await arrived;
      }
    } catch (error) {
      if (error instanceof SessionOver) return;
      delivered = { ...delivered, status: "failed", output: null, artifacts: [], error: { type: "ArtifactUnavailable", message: error.message, details: {} } };
      this.journal.keep(delivered);
    }
    session.send(delivered);
    this.changed();
  }

  #cancelled({ attempt, reason }) {
    this.running.get(attempt)?.stop.abort(new Stopped("cancelled", "Cancelled", reason || "cancelled by the orchestrator"));
  }

  /** Take no new work; say goodbye when nothing runs and nothing is owed. */
  drain(reason) {
    this.draining ??= reason;
    this.#leaveWhenDone();
  }

  get drained() {
    return this.draining !== null && this.running.size === 0 && this.journal.results.size === 0;
  }

  stopAll(reason) {
    for (const attempt of this.running.keys()) this.#cancelled({ attempt, reason });
  }

  #leaveWhenDone() {
    if (this.drained && this.session.welcome !== null && !this.session.leaving) this.session.close(this.draining);
    this.changed();
  }

  #reject(attempt, code, message) {
    this.#say("reject", attempt, { code, message });
  }

  #say(kind, attempt, more = {}) {
    if (this.session.welcome === null) return; // between two sessions nobody hears; the result will be heard
    this.session.send({ kind, attempt, epoch: this.session.welcome.epoch, ...more });
    this.changed();
  }
}
