// The stream of events, and what becomes of the page without it.
//
// Events of this object: those of /events (hello, health, keys, running,
// queries, logs; their data is in .detail), "state" when the connection's state
// or a pause has changed, and "refresh" when everything is to be asked for
// anew: the stream is back, or the viewer has ended a pause.
//
// A stream that breaks is begun again where it ended. Meanwhile, and where
// something on the way holds streams back, the same questions are asked every
// few seconds. So they are when this browser shows many pages: it has six
// connections for all of them, and a stream keeps one.

import { get, heard } from "./net.js";
import { queue } from "./pages.js";

const HELLO_MS = 6000;
const SILENCE_MS = 25000;
const POLL_MS = 5000;
const OFFLINE_MS = 2000; // for a minute: each question is a line in nginx's log
const LONG_MS = 10000;
const SLOWEST_MS = 15000;
const HIDDEN_MS = 5000;
const STREAMS = 3;
const NAMES = ["hello", "health", "keys", "running", "queries", "logs"];

class Live extends EventTarget {
  state = "connecting"; // live, polling, offline, refused
  reason = "";
  paused = false;
  pausedAt = 0;
  missed = 0; // requests since then

  #source = null;
  #last = "";
  #row = 0;
  #line = 0;
  #began = "";
  #delay = 1000;
  #watch = 0;
  #again = 0;
  #round = null; // of questions, while there is no stream
  #poll = 0;
  #hide = 0;
  #since = Date.now();
  #asleep = true;
  #slept = false;

  start() {
    queue.onchange = () => this.#turn();
    document.addEventListener("visibilitychange", () => this.#visible());
    globalThis.addEventListener("pagehide", () => this.#sleep());
    globalThis.addEventListener("pageshow", (event) => { if (event.persisted) this.#wake(); });
    globalThis.addEventListener("online", () => { if (!this.#asleep) this.#open(); });
    this.#wake();
    if (document.hidden) this.#visible();
  }

  // Nothing is known of what happens at the moment.
  get away() {
    return this.state === "offline" || this.state === "refused";
  }

  pause(on) {
    this.paused = on;
    this.pausedAt = Date.now();
    this.missed = 0;
    this.dispatchEvent(new Event("state"));
    if (!on) this.#emit("refresh");
  }

  #set(state, reason = "") {
    if (this.state === state && this.reason === reason) return;
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }

  #emit(name, detail) {
    if (this.paused && name === "queries") {
      this.missed += detail.count;
      this.dispatchEvent(new Event("state"));
    }
    if (this.paused && name !== "hello") return;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #open() {
    this.#close();
    clearTimeout(this.#again);
    if (queue.place >= STREAMS) {
      this.#ask();
      return;
    }
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
    this.#slept = false;
    this.#stopAsking();
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
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#open(), this.#delay);
    this.#delay = Math.min(this.#delay * 1.6, SLOWEST_MS);
    if (!this.#round) this.#ask();
  }

  // Another page has come or gone: is it this one's turn to have a stream?
  #turn() {
    const turn = queue.place < STREAMS;
    if (!this.#asleep && turn !== Boolean(this.#source)) this.#open();
  }

  #stopAsking() {
    clearTimeout(this.#poll);
    this.#round = null;
  }

  async #ask() {
    const round = {};

    this.#stopAsking();
    this.#round = round;
    try {
      await this.#questions(round);
    } catch (error) {
      if (this.#round !== round) return;
      this.#set(error.status === 401 ? "refused" : "offline", error.message);
    }
    // the stream was quicker, or another round has begun
    if (this.#round !== round) return;
    this.#poll = setTimeout(() => this.#ask(), this.#pace());
  }

  #pace() {
    if (!this.away) return POLL_MS;
    return Date.now() - Math.max(heard.daemon, this.#since) < 60000 ? OFFLINE_MS : LONG_MS;
  }

  async #questions(round) {
    const health = await get("/stats/health");
    const began = Date.parse(health.time) - health.uptime_seconds * 1000;
    const [keys, running, queries, logs] = await Promise.all([
      get("/stats/keys"),
      get("/stats/running?limit=50"),
      get(`/queries?limit=50&after=${this.#row}`),
      get(`/logs?limit=200&after=${this.#line}`),
    ]);

    if (this.#round !== round) return;
    const back = this.away || this.#slept;
    this.#slept = false;
    this.#set("polling", queue.place < STREAMS ? "the stream of events does not get through"
      : `${queue.place} other pages of this browser are open, this one asks every few seconds`);
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
    if (!back) return;
    // what answers again has a stream again, too
    this.#delay = 1000;
    if (queue.place < STREAMS) this.#open();
    else this.#emit("refresh");
  }

  // A page that nobody looks at keeps nothing busy.
  #visible() {
    clearTimeout(this.#hide);
    if (document.hidden) this.#hide = setTimeout(() => this.#sleep(), HIDDEN_MS);
    else if (this.#asleep) this.#wake();
  }

  #sleep() {
    this.#asleep = this.#slept = true;
    this.#close();
    clearTimeout(this.#again);
    this.#stopAsking();
    queue.leave();
  }

  async #wake() {
    this.#asleep = false;
    await queue.join();
    if (!this.#asleep && !this.#source) this.#open();
  }
}

export const live = new Live();

// For what is asked for a little later: not when the viewer has paused since.
export const unlessPaused = (fn) => () => {
  if (!live.paused) fn();
};
