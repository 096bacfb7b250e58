// The session without a socket: numbers, credits, sending again.

import assert from "node:assert/strict";
import test from "node:test";
import { Session } from "../src/session.js";

const text = (messages, head = {}) => JSON.stringify({ v: 1, ...head, messages });
const welcome = (more = {}) => text([{ kind: "welcome", version: 1, session: "s", epoch: 3, ...more }]);
const accept = (attempt) => ({ kind: "accept", attempt, epoch: 3 });
const sent = (session) => {
  const frames = [];
  for (let frame; (frame = session.nextFrame()) !== null; ) frames.push(JSON.parse(frame));
  return frames;
};
const code = (expected) => (error) => error.code === expected;

function opened(rules) {
  const session = new Session();
  session.receive(welcome(rules));
  return session;
}

test("messages are numbered from 1 on, and go out in one frame", () => {
  const session = opened();
  session.send(accept("a"));
  session.send(accept("b"));
  const [frame] = sent(session);
  assert.equal(frame.seq, 1);
  assert.deepEqual(frame.messages.map(({ attempt }) => attempt), ["a", "b"]);
  assert.deepEqual(sent(session), []);
});

test("no more goes out than there is credit for", () => {
  const session = opened({ credits: 1 });
  session.send(accept("a"));
  session.send(accept("b"));
  assert.equal(sent(session)[0].messages.length, 1);
  session.receive(text([{ kind: "ack", received: 1, credits: 1 }]));
  assert.equal(sent(session)[0].seq, 2);
});

test("what a resuming welcome does not cover is sent again under its numbers", () => {
  const session = opened();
  for (const attempt of ["a", "b", "c"]) session.send(accept(attempt));
  sent(session);
  session.disconnected();
  assert.deepEqual(session.resumption(), { session: "s", received: 0 });
  const { acknowledged } = session.receive(welcome({ resumed: true, received: 1 }));
  assert.deepEqual(acknowledged.map(({ attempt }) => attempt), ["a"]);
  const [frame] = sent(session);
  assert.equal(frame.seq, 2);
  assert.deepEqual(frame.messages.map(({ attempt }) => attempt), ["b", "c"]);
});

test("what has been seen is dropped, and acknowledged once", () => {
  const session = opened();
  const drain = text([{ kind: "drain" }], { seq: 1 });
  assert.equal(session.receive(drain).messages.length, 1);
  assert.equal(session.receive(drain).messages.length, 0);
  assert.deepEqual(sent(session).map(({ messages }) => messages[0].received), [1]);
});

test("a gap, and an acknowledgement of nothing, are errors", () => {
  assert.throws(() => opened().receive(text([{ kind: "drain" }], { seq: 2 })), code("sequence"));
  assert.throws(() => opened().receive(text([{ kind: "ack", received: 1, credits: 1 }])), code("sequence"));
});

test("the goodbye needs no credit, and nothing follows it", () => {
  const session = opened({ credits: 1 });
  session.send(accept("a"));
  session.close("done");
  session.send(accept("b"));
  assert.deepEqual(sent(session)[0].messages.map(({ kind }) => kind), ["accept", "goodbye"]);
});

test("a ping is answered with its nonce", () => {
  const session = opened();
  session.receive(text([{ kind: "ping", nonce: 5 }]));
  assert.deepEqual(sent(session)[0].messages, [{ kind: "pong", nonce: 5 }]);
});
