// Connections: dials, opens or resumes the session, keeps it alive, and dials again ("Staying alive", "Resuming").

import WebSocket from "ws";
import { ProtocolError, decode, textFrame } from "./codec.js";

const HANDSHAKE_S = 10;
const MISSED_PINGS = 3;
const FIRST_DELAY_S = 0.1;
const MOST_DELAY_S = 5;
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Hold one connection after another until the device has left or was refused; resolves to an exit code. */
export async function stayConnected(agent, url, { lingerS, log }) {
  let tries = 0;
  let alone = Date.now();
  for (;;) {
    const { opened, end } = await holdConnection(agent, url);
    log(end.reason);
    if (end.code !== undefined) return end.code;
    if (opened) [tries, alone] = [0, Date.now()];
    if (Date.now() - alone > lingerS * 1000) return 0;
    const delayS = Math.min(MOST_DELAY_S, FIRST_DELAY_S * 2 ** Math.min(tries++, 10)) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, delayS * 1000));
  }
}

function holdConnection(agent, url) {
  return new Promise((resolve) => {
    const { session } = agent;
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES, handshakeTimeout: HANDSHAKE_S * 1000, followRedirects: false });
    let opened = false;
    let end = { reason: "the connection was lost" };
    let pings = 0;
    let nonce = 0;
    let timer;

    const flush = () => {
      if (socket.readyState !== WebSocket.OPEN) return;
      for (let frame; (frame = session.nextFrame()) !== null; ) socket.send(frame);
      if (session.leaving && session.acked > 0 && session.kept.length + session.backlog.length === 0) {
        end = { reason: "left", code: agent.drained ? 0 : undefined };
        over();
      }
    };
    const over = () => {
      agent.newSession();
      socket.close();
    };
    const watch = (silenceS) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!opened || (pings += 1) > MISSED_PINGS) return socket.terminate();
        session.send({ kind: "ping", nonce: (nonce += 1) });
        flush();
        return watch(silenceS);
      }, silenceS * 1000);
    };
    const takeIn = (frame) => {
      if (!opened) {
        const refusal = refusalIn(frame);
        if (refusal !== null) {
          end = { reason: `refused (${refusal.code}): ${refusal.message}` };
          if (refusal.code === "unknown-session") over();
          else if (!refusal.retry) end.code = 1;
          return socket.close();
        }
      }
      const resumes = session.welcome !== null;
      const came = session.receive(frame);
      if (!opened) {
        opened = true;
        agent.welcomed(resumes);
      }
      agent.take(came);
      flush();
      if (session.over !== null) end = { reason: session.over };
      else if (came.messages.some(({ kind }) => kind === "goodbye")) end = { reason: "the orchestrator said goodbye" };
      else return undefined;
      if (agent.drained) end.code = 0;
      return over();
    };

    agent.changed = flush;
    socket.on("open", () => {
      socket.send(textFrame([agent.hello()]));
      watch(HANDSHAKE_S);
    });
    socket.on("message", (data, isBinary) => {
      if (agent.session !== session) return; // the session has ended with an earlier frame
      pings = 0;
      try {
        takeIn(isBinary ? data : data.toString());
        watch(session.welcome?.heartbeat_s ?? HANDSHAKE_S);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        end = { reason: `the orchestrator broke the protocol (${error.code}): ${error.message}` };
        socket.send(textFrame([{ kind: "error", code: error.code, message: error.message }]));
        over();
      }
    });
    socket.on("error", (error) => (end = { ...end, reason: error.message }));
    socket.on("close", () => {
      clearTimeout(timer);
      agent.changed = () => undefined;
      session.disconnected();
      if (session.leaving && agent.session === session) agent.newSession(); // a cut in the middle of leaving ends it too
      if (agent.drained) end.code ??= 0;
      resolve({ opened, end });
    });
  });
}

/** The refusal that a first frame holds, null when it holds something else. */
function refusalIn(frame) {
  const { messages } = decode(frame, { maxBytes: MAX_FRAME_BYTES });
  const [first] = messages;
  if (first?.kind === "error") return { code: first.code, message: first.message, retry: false };
  return first?.kind === "refuse" ? first : null;
}
