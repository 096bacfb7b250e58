// What the device remembers: which attempts it has begun, and the results that nobody has acknowledged ("Work").
// A file of JSON lines, appended to before the device says or does what a line tells; read again after a restart.

import { appendFileSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

export class Journal {
  constructor(folder) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.path = join(folder, "attempts.jsonl");
    this.begun = new Set();
    this.results = new Map(); // unacknowledged, by attempt
    this.open = new Set(); // begun before a restart, and never ended
    if (existsSync(this.path)) this.#read();
    else this.#write(writeFileSync, { memory: (this.memory = randomUUID()) });
    this.#settleInterrupted();
  }

  #read() {
    const lines = readFileSync(this.path, "utf8").split("\n");
    // A line that a crash has torn is the last, and nothing was said or done on the strength of it.
    const torn = lines.pop();
    if (torn !== "") writeFileSync(this.path, lines.map((line) => `${line}\n`).join(""));
    for (const entry of lines.map((line) => JSON.parse(line))) {
      if (entry.memory) this.memory = entry.memory;
      if (entry.begun) {
        this.begun.add(entry.begun);
        this.open.add(entry.begun);
      }
      if (entry.result) {
        this.results.set(entry.result.attempt, entry.result);
        this.open.delete(entry.result.attempt);
      }
      if (entry.taken) this.results.delete(entry.taken);
    }
  }

  #settleInterrupted() {
    for (const attempt of this.open) {
      const error = { type: "AttemptOutcomeUnknown", message: "the device was restarted while it ran", details: {} };
      this.keep({ kind: "result", attempt, epoch: 0, status: "failed", error, started_at: Date.now() / 1000, duration_s: 0 });
    }
  }

  #write(how, entry) {
    how(this.path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    const file = openSync(this.path, "r+");
    fsyncSync(file);
    closeSync(file);
  }

  begin(attempt) {
    this.begun.add(attempt);
    this.#write(appendFileSync, { begun: attempt });
  }

  keep(result) {
    this.results.set(result.attempt, result);
    this.#write(appendFileSync, { result });
  }

  acknowledge(attempt) {
    if (this.results.delete(attempt)) this.#write(appendFileSync, { taken: attempt });
  }
}
