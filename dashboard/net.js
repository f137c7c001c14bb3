// Questions to the proxy. Errors are worded for the person at the page.

export class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

// When each part has last answered, for the dots of the head, and when nothing
// did.
export const heard = { proxy: 0, daemon: 0, silence: 0 };

const DAEMON = /^\/(stats|queries|logs|events)\b/;

async function ask(path, options) {
  let answer;

  try {
    answer = await fetch(path, { signal: AbortSignal.timeout(15000), ...options });
  } catch (error) {
    heard.silence = Date.now();
    throw new Refused(error.name === "TimeoutError"
      ? "no answer within 15 s" : "the proxy cannot be reached", 0);
  }
  heard.proxy = Date.now();
  if (answer.status === 401)
    throw new Refused("the proxy wants a token: load the page again to log in", 401);
  if (DAEMON.test(path) && answer.status !== 503) heard.daemon = Date.now();
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Refused(String(said?.error?.message ?? said?.error ?? `status ${answer.status}`),
      answer.status);
  }
  return answer;
}

export async function get(path) {
  const answer = await ask(path, { headers: { Accept: "application/json" } });
  return answer.json();
}

export const raw = (path) => ask(path, {});

export async function post(path) {
  const answer = await ask(path, { method: "POST" });
  return answer.json();
}
