// The pages of this dashboard that are open in the same browser stand in a
// queue, the oldest first. They know of each other by a BroadcastChannel; a
// page that has not been heard for a while is taken for gone.

const ANSWERS_MS = 120;
const AGAIN_MS = 5000;
const GONE_MS = 16000;

const me = crypto.getRandomValues(new Uint32Array(2)).join("-");
const others = new Map(); // id -> { since, heard }
const channel = globalThis.BroadcastChannel ? new BroadcastChannel("ollama-proxy") : null;

export const queue = { place: 0, onchange() {}, join, leave };

let since = 0; // when this page has joined; 0: it has not
let ready = false; // the others have had time to answer
let beat = 0;

const before = (a, id) => a.since < since || (a.since === since && id < me);

function count() {
  const now = Date.now();
  let place = 0;

  for (const [id, page] of others) {
    if (now - page.heard > GONE_MS) others.delete(id);
    else if (before(page, id)) place++;
  }
  if (place === queue.place) return;
  queue.place = place;
  if (ready) queue.onchange();
}

function say(what) {
  channel.postMessage({ what, id: me, since });
}

function hear({ data }) {
  if (!since) return;
  if (data.what === "gone") {
    others.delete(data.id);
  } else {
    others.set(data.id, { since: data.since, heard: Date.now() });
    if (data.what === "new") say("here");
  }
  count();
}

// Resolved when the place is known.
async function join() {
  if (!channel) return;
  since = Date.now();
  ready = false;
  others.clear();
  queue.place = 0;
  clearInterval(beat);
  beat = setInterval(() => { say("here"); count(); }, AGAIN_MS);
  say("new");
  await new Promise((resolve) => setTimeout(resolve, ANSWERS_MS));
  ready = true;
}

function leave() {
  if (!since) return;
  clearInterval(beat);
  say("gone");
  since = 0;
}

if (channel) channel.onmessage = hear;
