// Frames: text frames are JSON objects with messages, binary frames are pieces of files ("Frames" in docs/protocol.md).

export const VERSION = 1;
export const MAX_FRAME_MESSAGES = 1024;
export const MAX_PIECE_BYTES = 256 * 1024;
const HEADER_BYTES = 1 + 1 + 8 + 32 + 8;

/** The peer broke a rule: its `code` is what the `error` message says. */
export class ProtocolError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const isText = (value) => typeof value === "string";
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isNumber = (value) => typeof value === "number" && value >= 0;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isDigest = (value) => isText(value) && /^[0-9a-f]{64}$/.test(value);
const isFile = (value) => isObject(value) && isDigest(value.sha256) && isCount(value.size);
const isWork = (value) => isObject(value) && value.kind === "tool" && isText(value.tool);
const optional = (check) => (value) => value === undefined || value === null || check(value);
const isFiles = (value) => Array.isArray(value) && value.every(isFile);

// What a device reads of each message: the fields it needs, and what they have to be.
const FROM_ORCHESTRATOR = {
  welcome: { version: isCount, session: isText, epoch: Number.isSafeInteger, received: optional(isCount) },
  refuse: { code: isText, message: isText },
  assign: {
    run: isText, star: isText, attempt: isText, epoch: Number.isSafeInteger, work: isWork,
    timeout_s: optional(isNumber), artifacts: optional(isFiles),
  },
  cancel: { attempt: isText, epoch: Number.isSafeInteger, grace_s: optional(isNumber) },
  drain: {},
  goodbye: {},
  artifact_offer: { artifact: isFile },
  artifact_request: { sha256: isDigest, offset: optional(isCount) },
  artifact_done: { sha256: isDigest, error: optional(isText) },
  ping: { nonce: Number.isSafeInteger },
  pong: { nonce: Number.isSafeInteger },
  ack: { received: isCount, credits: isCount },
  error: { code: isText, message: isText },
};
const FROM_DEVICE = new Set(["hello", "accept", "reject", "progress", "result", "profile"]);
const UNNUMBERED = new Set(["hello", "welcome", "refuse", "ping", "pong", "ack", "error"]);

/** Whether messages of this kind have a number. */
export const isNumbered = (kind) => !UNNUMBERED.has(kind);

/** Make a text frame of messages; `seq` is the number of the first one, `ack` what an `ack` message would say. */
export function textFrame(messages, { seq = 0, ack } = {}) {
  return JSON.stringify({ v: VERSION, seq, ...ack, messages });
}

/** Make the binary frame of a piece of a file. */
export function pieceFrame({ sha256, offset, data }, seq) {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = VERSION;
  header[1] = 1;
  header.writeBigUInt64BE(BigInt(seq), 2);
  Buffer.from(sha256, "hex").copy(header, 10);
  header.writeBigUInt64BE(BigInt(offset), 42);
  return Buffer.concat([header, data]);
}

/** Decode a frame into `{seq, ack, credits, messages}`; throws a ProtocolError. */
export function decode(frame, { maxBytes }) {
  const size = Buffer.byteLength(frame);
  if (size > maxBytes) throw new ProtocolError("frame-too-large", `a frame of ${size} bytes is over ${maxBytes}`);
  return typeof frame === "string" ? decodeText(frame) : decodePiece(frame);
}

function decodeText(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new ProtocolError("malformed-frame", "a text frame is not JSON");
  }
  if (!isObject(frame)) throw new ProtocolError("invalid-message", "a text frame is no object");
  if (frame.v !== VERSION) throw new ProtocolError("version", `the frame format is not ${VERSION}`);
  const { seq = 0, ack = null, credits = null, messages } = frame;
  if (!isCount(seq) || !optional(isCount)(ack) || !optional(isCount)(credits) || (ack === null) !== (credits === null)) {
    throw new ProtocolError("invalid-message", "'seq', 'ack' or 'credits' of a frame is wrong");
  }
  if (!Array.isArray(messages) || messages.length > MAX_FRAME_MESSAGES) {
    throw new ProtocolError("invalid-message", `a frame has no list of at most ${MAX_FRAME_MESSAGES} messages`);
  }
  messages.forEach(check);
  return { seq, ack, credits, messages };
}

function check(message) {
  const kind = isObject(message) ? message.kind : undefined;
  if (FROM_DEVICE.has(kind)) throw new ProtocolError("direction", `a message '${kind}' is not for a device`);
  const fields = Object.hasOwn(FROM_ORCHESTRATOR, kind) ? FROM_ORCHESTRATOR[kind] : undefined;
  if (fields === undefined) throw new ProtocolError("unknown-kind", "a message is of unknown kind");
  for (const [name, isRight] of Object.entries(fields)) {
    if (!isRight(message[name])) throw new ProtocolError("invalid-message", `'${name}' of a message '${kind}' is wrong`);
  }
}

function decodePiece(frame) {
  if (frame.length < HEADER_BYTES) throw new ProtocolError("malformed-frame", "a binary frame is too short");
  if (frame[0] !== VERSION) throw new ProtocolError("version", `the binary frame's format is not ${VERSION}`);
  if (frame[1] !== 1) throw new ProtocolError("unknown-kind", "a binary frame is of unknown kind");
  const data = frame.subarray(HEADER_BYTES);
  if (data.length > MAX_PIECE_BYTES) throw new ProtocolError("malformed-frame", `a piece is over ${MAX_PIECE_BYTES} bytes`);
  const message = {
    kind: "artifact_chunk",
    sha256: frame.subarray(10, 42).toString("hex"),
    offset: Number(frame.readBigUInt64BE(42)),
    data,
  };
  return { seq: Number(frame.readBigUInt64BE(2)), ack: null, credits: null, messages: [message] };
}
