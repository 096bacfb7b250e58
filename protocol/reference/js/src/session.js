// A session without I/O: what is numbered, acknowledged, sent again and dropped ("Numbers, acknowledgements, credits").
// Frames go in through `receive`; what is to be sent comes out of `nextFrame`. The session outlives its connections.

import { ProtocolError, decode, isNumbered, pieceFrame, textFrame } from "./codec.js";

const DEFAULT_LIMITS = {
  max_frame_bytes: 4 * 1024 * 1024,
  max_unacked_bytes: 32 * 1024 * 1024,
  max_artifact_bytes: 4 * 1024 ** 3,
  max_inline_output_bytes: 256 * 1024,
};
const BATCH_BYTES = 64 * 1024;
const BATCH_MESSAGES = 256;

export class Session {
  constructor() {
    this.welcome = null; // the first welcome: the rules of the session
    this.attached = false; // whether the opening of the present connection is done
    this.over = null; // why the session has ended, once it has
    this.limits = DEFAULT_LIMITS;
    this.received = 0; // the number of the last message taken in
    this.said = 0; // what the orchestrator was told of that
    this.acked = 0; // the number of our last message that was acknowledged
    this.creditLimit = 0; // the number that our messages may go up to
    this.backlog = []; // what waits for credit
    this.kept = []; // our numbered messages from acked + 1 on, with their sizes
    this.keptBytes = 0;
    this.sent = 0; // how many of the kept ones went out on this connection
    this.everSent = 0; // the highest number that ever went out
    this.control = []; // messages without numbers
    this.leaving = false; // whether we said goodbye
  }

  /** The fields of a hello that resume this session on a new connection. */
  resumption() {
    return this.welcome === null ? {} : { session: this.welcome.session, received: this.received };
  }

  /** Queue a message; it goes out when there is credit for it. */
  send(message) {
    if (!isNumbered(message.kind)) this.control.push(message);
    else if (!this.leaving) this.backlog.push(message);
  }

  /** Say goodbye after everything that is queued. */
  close(reason) {
    this.send({ kind: "goodbye", reason });
    this.leaving = true;
  }

  /** Take a frame in; returns the new numbered messages and what the orchestrator has acknowledged. */
  receive(frame) {
    const { seq, ack, credits, messages } = decode(frame, { maxBytes: this.limits.max_frame_bytes });
    const acknowledged = [];
    const numbered = [];
    for (const message of messages) {
      if (isNumbered(message.kind)) numbered.push(message);
      else acknowledged.push(...this.#control(message));
    }
    if (!this.attached) throw new ProtocolError("handshake", "a frame came before the session was open");
    if (ack !== null) acknowledged.push(...this.#acknowledge(ack, credits));
    return { messages: this.#accept(seq, numbered), acknowledged };
  }

  #control(message) {
    if (message.kind === "welcome" && !this.attached) return this.#welcomed(message);
    if (!this.attached) throw new ProtocolError("handshake", `a message '${message.kind}' came before the welcome`);
    if (message.kind === "ack") return this.#acknowledge(message.received, message.credits);
    if (message.kind === "ping") this.control.push({ kind: "pong", nonce: message.nonce });
    else if (message.kind === "error") this.over = `we broke the protocol (${message.code}): ${message.message}`;
    else if (message.kind !== "pong") throw new ProtocolError("handshake", `a message '${message.kind}' is out of place`);
    return [];
  }

  #welcomed(welcome) {
    if (welcome.version !== 1) throw new ProtocolError("version", `version ${welcome.version} was not offered`);
    const { received = 0, credits = 1024, resumed = false } = welcome;
    if (resumed !== (this.welcome !== null)) throw new ProtocolError("handshake", "'resumed' of the welcome is wrong");
    if (this.welcome === null) {
      this.welcome = { heartbeat_s: 5, ...welcome };
      this.limits = { ...DEFAULT_LIMITS, ...welcome.limits };
    }
    this.attached = true;
    this.sent = 0; // everything that the welcome does not acknowledge is sent again
    this.said = this.received; // the hello said it
    return this.#acknowledge(received, credits);
  }

  #acknowledge(received, credits) {
    if (received > this.everSent) throw new ProtocolError("sequence", `message ${received} was never sent`);
    if (received < this.acked) return []; // overtaken by a newer one
    const count = received - this.acked;
    const done = this.kept.splice(0, count);
    this.keptBytes -= done.reduce((sum, each) => sum + each.size, 0);
    this.sent = Math.max(0, this.sent - count);
    this.acked = received;
    this.creditLimit = Math.max(this.creditLimit, received + credits);
    return done.map((each) => each.message);
  }

  #accept(seq, messages) {
    if (messages.length === 0) return [];
    if (seq > this.received + 1) throw new ProtocolError("sequence", `message ${seq} came, not ${this.received + 1}`);
    const fresh = messages.slice(this.received + 1 - seq);
    this.received += fresh.length;
    return fresh;
  }

  /** The next frame to send, null when there is nothing to say. */
  nextFrame() {
    if (this.control.length > 0) return textFrame(this.control.splice(0));
    if (!this.attached) return null;
    this.#number();
    const ack = { ack: this.received, credits: this.welcome.credits ?? 1024 };
    const seq = this.acked + this.sent + 1;
    const first = this.kept[this.sent];
    if (first === undefined) {
      if (this.said === this.received) return null;
      this.said = this.received;
      return textFrame([{ kind: "ack", received: ack.ack, credits: ack.credits }]);
    }
    if (first.message.kind === "artifact_chunk") {
      this.#out(1);
      return pieceFrame(first.message, seq);
    }
    const batch = [];
    let size = 0;
    for (const { message, size: more } of this.kept.slice(this.sent, this.sent + BATCH_MESSAGES)) {
      if (message.kind === "artifact_chunk" || (batch.length > 0 && size + more > BATCH_BYTES)) break;
      batch.push(message);
      size += more;
    }
    this.#out(batch.length);
    this.said = this.received;
    return textFrame(batch, { seq, ack });
  }

  #number() {
    while (this.backlog.length > 0) {
      const room = this.acked + this.kept.length < this.creditLimit && this.keptBytes < this.limits.max_unacked_bytes;
      const message = this.backlog[0];
      if (!room && message.kind !== "goodbye") return;
      const size = message.data?.length ?? Buffer.byteLength(JSON.stringify(message));
      this.kept.push({ message: this.backlog.shift(), size });
      this.keptBytes += size;
    }
  }

  #out(count) {
    this.sent += count;
    this.everSent = Math.max(this.everSent, this.acked + this.sent);
  }

  /** The connection is gone; what was not acknowledged stays. */
  disconnected() {
    this.attached = false;
    this.control = [];
  }
}
