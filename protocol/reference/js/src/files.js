// Files by their SHA-256, and their way over a session, in both directions ("Artifacts" in docs/protocol.md).

import * as fs from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { MAX_PIECE_BYTES } from "./codec.js";

export const WINDOW_BYTES = 2 * 1024 * 1024; // how far beyond the offset of a request pieces may go
const HEADER_ROOM = 256;

/** A folder of files; a name that came from outside is never a path, only a digest that was checked is. */
export class Store {
  constructor(folder) {
    this.folder = folder;
    fs.mkdirSync(join(folder, "partial"), { recursive: true, mode: 0o700 });
  }

  path(sha256) {
    return join(this.folder, sha256);
  }

  has(sha256) {
    return fs.existsSync(this.path(sha256));
  }

  put(data, { name = "", media_type = "application/octet-stream" } = {}) {
    const sha256 = createHash("sha256").update(data).digest("hex");
    const partial = join(this.folder, "partial", `${sha256}.new`);
    fs.writeFileSync(partial, data, { mode: 0o600 });
    fs.renameSync(partial, this.path(sha256));
    return { sha256, size: data.length, name, media_type };
  }

  read(sha256, offset, size) {
    const file = fs.openSync(this.path(sha256), "r");
    try {
      const data = Buffer.alloc(size);
      return data.subarray(0, fs.readSync(file, data, 0, size, offset));
    } finally {
      fs.closeSync(file);
    }
  }
}

/** The transfers of one session. */
export class Transfers {
  constructor(session, store) {
    this.session = session;
    this.store = store;
    this.downloads = new Map();
    this.uploads = new Map();
    this.offers = new Map();
  }

  /** Fetch a file unless it is here; resolves when it is, rejects when it can't be had. */
  want(info) {
    if (this.store.has(info.sha256)) return Promise.resolve();
    const known = this.downloads.get(info.sha256);
    if (known !== undefined) return known.ended;
    if (info.size > this.session.limits.max_artifact_bytes) return Promise.reject(new Error("the file is over the size limit"));
    const download = { info, path: join(this.store.folder, "partial", info.sha256) };
    download.ended = new Promise((resolve, reject) => Object.assign(download, { resolve, reject }));
    this.downloads.set(info.sha256, download);
    if (!fs.existsSync(download.path)) fs.writeFileSync(download.path, "", { mode: 0o600 });
    download.position = fs.statSync(download.path).size;
    download.resumed = download.position > 0; // what an earlier session left
    if (download.position >= info.size) this.#finish(download);
    else this.#ask(download);
    return download.ended;
  }

  /** Offer a file; resolves when the orchestrator has it, rejects when it does not want it. */
  offer(info) {
    return new Promise((resolve, reject) => {
      this.offers.set(info.sha256, { resolve, reject });
      this.session.send({ kind: "artifact_offer", artifact: info });
    });
  }

  /** The session is over: nothing more will come of its transfers. */
  abandon() {
    for (const { reject } of [...this.downloads.values(), ...this.offers.values()]) reject(new SessionOver());
  }

  take(message) {
    if (message.kind === "artifact_offer") this.want(message.artifact).catch(() => undefined); // it was called off
    else if (message.kind === "artifact_request") this.#requested(message);
    else if (message.kind === "artifact_chunk") this.#came(message);
    else this.#done(message);
  }

  #ask(download) {
    download.asked = download.position;
    this.session.send({ kind: "artifact_request", sha256: download.info.sha256, offset: download.position });
  }

  #came({ sha256, offset, data }) {
    const download = this.downloads.get(sha256);
    if (download === undefined) return; // of a transfer that was called off
    const end = offset + data.length;
    if (offset !== download.position || end > Math.min(download.info.size, download.asked + WINDOW_BYTES)) {
      this.#fail(download, "a piece came that was not asked for");
      return;
    }
    fs.appendFileSync(download.path, data);
    download.position = end;
    if (end < download.info.size && end - download.asked >= WINDOW_BYTES / 2) this.#ask(download);
  }

  #finish(download) {
    const { info, path } = download;
    const data = fs.readFileSync(path);
    if (data.length !== info.size || createHash("sha256").update(data).digest("hex") !== info.sha256) {
      fs.rmSync(path);
      if (!download.resumed) return this.#fail(download, "its bytes are not those that were announced");
      fs.writeFileSync(path, "", { mode: 0o600 }); // the part from the earlier session may be at fault: once more
      Object.assign(download, { position: 0, resumed: false });
      return this.#ask(download);
    }
    fs.renameSync(path, this.store.path(info.sha256));
    this.downloads.delete(info.sha256);
    this.session.send({ kind: "artifact_request", sha256: info.sha256, offset: info.size }); // it arrived
    return download.resolve();
  }

  #fail(download, reason) {
    fs.rmSync(download.path, { force: true });
    this.downloads.delete(download.info.sha256);
    this.session.send({ kind: "artifact_done", sha256: download.info.sha256, error: reason });
    download.reject(new Error(`the file ${download.info.sha256} can't be had: ${reason}`));
  }

  #done({ sha256, error = null }) {
    const download = this.downloads.get(sha256);
    if (download !== undefined && error === null) this.#finish(download);
    else if (download !== undefined) {
      this.downloads.delete(sha256); // what has come stays for a later try
      download.reject(new Error(`the file ${sha256} can't be had: ${error}`));
    } else if (error !== null) {
      this.uploads.delete(sha256);
      this.#settleOffer(sha256, (offer) => offer.reject(new Error(`the file ${sha256} was declined: ${error}`)));
    }
  }

  #requested({ sha256, offset = 0 }) {
    if (!this.store.has(sha256)) {
      this.session.send({ kind: "artifact_done", sha256, error: "it is not here" });
      return;
    }
    const size = fs.statSync(this.store.path(sha256)).size;
    if (offset >= size) {
      this.uploads.delete(sha256);
      this.#settleOffer(sha256, (offer) => offer.resolve());
      return;
    }
    const before = this.uploads.get(sha256);
    let position = before === undefined || offset < before.asked ? offset : before.position;
    const end = Math.min(size, offset + WINDOW_BYTES);
    const pieceBytes = Math.min(MAX_PIECE_BYTES, this.session.limits.max_frame_bytes - HEADER_ROOM);
    while (position < end) {
      const data = this.store.read(sha256, position, Math.min(pieceBytes, end - position));
      this.session.send({ kind: "artifact_chunk", sha256, offset: position, data });
      position += data.length;
      if (position === size) this.session.send({ kind: "artifact_done", sha256 });
    }
    this.uploads.set(sha256, { asked: offset, position });
  }

  #settleOffer(sha256, how) {
    const offer = this.offers.get(sha256);
    this.offers.delete(sha256);
    if (offer !== undefined) how(offer);
  }
}

/** The session ended before a transfer did: it is for the next one. */
export class SessionOver extends Error {}
