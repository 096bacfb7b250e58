// One attempt: its files, its tool, its time limit, and the one result that it ends with ("Work").

import { SessionOver } from "./files.js";

/** How many levels of objects and arrays an output may have. */
const MAX_VALUE_NESTING = 100;

/** A tool failed in a way that its caller should hear of as it is. */
export class ToolFailed extends Error {}

/** A tool has returned what can't be sent. */
class InvalidOutput extends ToolFailed {}

/** How arguments and outputs refer to a file. */
export const reference = ({ sha256, size, name, media_type }) => ({ $artifact: sha256, size, name, media_type });

/** Carry an attempt out; resolves to its result, whatever happens. `begun.stop` aborts it with a reason. */
export async function carryOut(assign, tool, { store, fetch, report, limits, stop }) {
  const started = Date.now();
  const made = new Map();
  const context = {
    signal: stop.signal,
    progress: (text) => report({ text: String(text) }),
    keep: (data, about) => {
      const info = store.put(data, about);
      made.set(info.sha256, info);
      return reference(info);
    },
    path: (file) => store.path(file.$artifact),
  };
  const timer = assign.timeout_s == null ? null : setTimeout(() => stop.abort(timedOut(assign)), assign.timeout_s * 1000);
  let end;
  try {
    const work = async () => {
      for (const info of assign.artifacts ?? []) await fetch(info);
      return tool.run(assign.work.arguments ?? {}, context);
    };
    end = { status: "succeeded", ...pack(await unlessStopped(work(), stop.signal), made, store, limits()) };
  } catch (error) {
    end = error === stop.signal.reason ? { status: error.status, error: error.info } : failed(error);
  } finally {
    clearTimeout(timer);
  }
  return {
    kind: "result", attempt: assign.attempt, epoch: assign.epoch, ...end,
    started_at: started / 1000, duration_s: (Date.now() - started) / 1000,
  };
}

/** Why work was stopped, in the form of its result. */
export class Stopped extends Error {
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.info = { type, message, details: {} };
  }
}

const timedOut = (assign) => new Stopped("failed", "ToolTimeout", `not done within ${assign.timeout_s} s`);

function unlessStopped(work, signal) {
  return new Promise((resolve, reject) => {
    const stopped = () => reject(signal.reason);
    if (signal.aborted) stopped();
    signal.addEventListener("abort", stopped, { once: true });
    work.then(resolve, reject);
  });
}

function failed(error) {
  const type = error instanceof ToolFailed || error instanceof SessionOver ? error.constructor.name : error?.name ?? "Error";
  return { status: "failed", error: { type, message: String(error?.message ?? error), details: {} } };
}

function pack(output, made, store, { max_inline_output_bytes, max_frame_bytes }) {
  const text = JSON.stringify(output ?? null);
  if (nestsDeeper(JSON.parse(text), MAX_VALUE_NESTING)) throw new InvalidOutput(`the output nests deeper than ${MAX_VALUE_NESTING} levels`);
  const artifacts = [...made.values()].filter(({ sha256 }) => text.includes(sha256));
  if (Buffer.byteLength(text) <= Math.min(max_inline_output_bytes, max_frame_bytes / 2)) return { output: output ?? null, artifacts };
  const whole = store.put(Buffer.from(text), { name: "output.json", media_type: "application/json" });
  return { output: reference(whole), artifacts: [...artifacts, whole] };
}

/** Whether a JSON value has more than `limit` levels of objects and arrays; level by level, so that no depth is too much. */
function nestsDeeper(value, limit) {
  let level = [value];
  for (let depth = 0; depth <= limit; depth += 1) {
    const containers = level.filter((item) => typeof item === "object" && item !== null);
    if (containers.length === 0) return false;
    level = containers.flatMap(Object.values);
  }
  return true;
}
