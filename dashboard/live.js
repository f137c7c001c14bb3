// The stream of events, and what becomes of the page without it.
//
// Events of this object: those of /events (hello, health, keys, running,
// queries, logs; their data is in .detail), "state" when the connection's state has changed,
// and "refresh" when everything is to be asked for anew: the stream is back,
// or the viewer has ended a pause.
//
// A stream that breaks is begun again where it ended. Meanwhile, and where
// something on the way holds streams back, the same questions are asked every
// few seconds.

import { get, heard } from "./net.js";

const HELLO_MS = 6000;
const SILENCE_MS = 25000;
const POLL_MS = 5000;
const HIDDEN_MS = 60000;
const NAMES = ["hello", "health", "keys", "running", "queries", "logs"];

class Live extends EventTarget {
  state = "connecting"; // live, polling, offline, refused
  reason = "";
  paused = false;
  since = Date.now();

  #source = null;
  #last = "";
  #row = 0;
  #line = 0;
  #began = "";
  #delay = 1000;
  #watch = 0;
  #again = 0;
  #poll = 0;
  #hide = 0;

  start() {
    document.addEventListener("visibilitychange", () => this.#visible());
    globalThis.addEventListener("online", () => this.#open());
    this.#open();
  }

  pause(on) {
    this.paused = on;
    this.dispatchEvent(new Event("state"));
    if (!on) this.#emit("refresh");
  }

  #set(state, reason = "") {
    if (this.state === state && this.reason === reason) return;
    if (this.state !== state) this.since = Date.now();
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }

  #emit(name, detail) {
    if (this.paused && name !== "hello") return;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #open() {
    this.#close();
    clearTimeout(this.#again);
    const source = new EventSource(this.#last ? `/events?last=${this.#last}` : "/events");
    this.#source = source;
    this.#guard(HELLO_MS);
    source.onerror = () => this.#lost();
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        this.#last = event.lastEventId;
        [this.#row, this.#line] = this.#last.split(".").map(Number);
        heard.proxy = heard.daemon = Date.now();
        this.#guard(SILENCE_MS);
        this.#take(name, JSON.parse(event.data));
      });
    }
  }

  #take(name, detail) {
    if (name !== "hello") {
      this.#emit(name, detail);
      return;
    }
    const again = this.#began !== "";
    this.#delay = 1000;
    clearInterval(this.#poll);
    this.#poll = 0;
    detail.restarted = again && this.#began !== detail.started;
    this.#began = detail.started;
    this.#set("live");
    this.#emit("hello", detail);
    if (again) this.#emit("refresh");
  }

  #close() {
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }

  #guard(ms) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), ms);
  }

  #lost() {
    this.#close();
    this.#again = setTimeout(() => this.#open(), this.#delay);
    this.#delay = Math.min(this.#delay * 1.6, 15000);
    if (this.#poll) return;
    this.#poll = setInterval(() => this.#ask(), POLL_MS);
    this.#ask();
  }

  async #ask() {
    try {
      const health = await get("/stats/health");
      const began = Date.parse(health.time) - health.uptime_seconds * 1000;
      const [keys, running, queries, logs] = await Promise.all([
        get("/stats/keys"),
        get("/stats/running?limit=50"),
        get(`/queries?limit=50&after=${this.#row}`),
        get(`/logs?limit=200&after=${this.#line}`),
      ]);

      if (!this.#poll) return; // the stream was quicker
      this.#set("polling", "the stream of events does not get through");
      this.#emit("health", health);
      this.#emit("keys", keys);
      this.#emit("running", running);
      if (queries.length) {
        const count = this.#row ? queries[0].id - this.#row : queries.length;
        this.#emit("queries", { count, queries });
        this.#row = queries[0].id;
      }
      if (logs.length) {
        this.#emit("logs", logs);
        this.#line = logs.at(-1).id;
      }
      if (began) this.#last = `${this.#row}.${this.#line}`;
    } catch (error) {
      if (!this.#poll) return;
      this.#set(error.status === 401 ? "refused" : "offline", error.message);
    }
  }

  // A page that nobody looks at costs nothing after a minute.
  #visible() {
    clearTimeout(this.#hide);
    if (document.hidden) {
      this.#hide = setTimeout(() => {
        this.#close();
        clearTimeout(this.#again);
        clearInterval(this.#poll);
        this.#poll = 0;
      }, HIDDEN_MS);
    } else if (!this.#source) {
      this.#open();
    }
  }
}

export const live = new Live();

// For what is asked for a little later: not when the viewer has paused since.
export const unlessPaused = (fn) => () => {
  if (!live.paused) fn();
};
