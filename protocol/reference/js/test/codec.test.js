// The codec against the frames that the project keeps for ever.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { decode, pieceFrame } from "../src/codec.js";

const golden = new URL("../../../../tests/protocol/golden/", import.meta.url);
const read = (name) => readFileSync(new URL(name, golden), "utf8").trimEnd();
const limit = { maxBytes: 2 ** 22 };
const code = (expected) => (error) => error.code === expected;

for (const name of ["assign", "cancel", "drain", "goodbye", "heartbeat", "ack", "artifacts", "refuse", "welcome", "welcome-resumed", "error"]) {
  test(`the golden frame '${name}' is decoded`, () => {
    assert.ok(decode(read(`${name}.json`), limit).messages.length > 0);
  });
}

test("a frame of a device is not for a device", () => {
  assert.throws(() => decode(read("work.json"), limit), code("direction"));
});

test("the golden piece of a file is decoded, and encoded to the same bytes", () => {
  const raw = Buffer.from(read("artifact_chunk.hex").replaceAll(/\s/g, ""), "hex");
  const { seq, messages } = decode(raw, limit);
  assert.equal(seq, 9);
  assert.equal(messages[0].data.toString(), "test");
  assert.deepEqual(pieceFrame(messages[0], seq), raw);
});

for (const [frame, expected] of [
  ["{", "malformed-frame"],
  ["[]", "invalid-message"],
  ['{"v":2,"messages":[]}', "version"],
  ['{"v":1,"ack":1,"messages":[]}', "invalid-message"],
  ['{"v":1,"messages":[{"kind":"constructor"}]}', "unknown-kind"],
  ['{"v":1,"messages":[{"kind":"ping"}]}', "invalid-message"],
  [`{"v":1,"messages":[]}${" ".repeat(2 ** 22)}`, "frame-too-large"],
  [Buffer.from("0101", "hex"), "malformed-frame"],
  [Buffer.concat([Buffer.from("0102", "hex"), Buffer.alloc(48)]), "unknown-kind"],
]) {
  test(`${JSON.stringify(frame).slice(0, 50)} is the error ${expected}`, () => {
    assert.throws(() => decode(frame, limit), code(expected));
  });
}
