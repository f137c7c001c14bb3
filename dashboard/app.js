// The page's first panel: which keys there are, and what was used in 24 h.
// Everything that comes from outside is put in as text, never as markup.

const PERIOD = 5000;

const number = new Intl.NumberFormat();

function element(name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

async function json(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function showTotals(hours) {
  const sum = (field) => hours.reduce((n, hour) => n + hour[field], 0);
  const totals = [
    ["Total", "total_tokens"],
    ["Prompt", "prompt_tokens"],
    ["Cached", "cached_tokens"],
    ["Completion", "completion_tokens"],
    ["Requests", "requests"],
    ["Errors", "errors"],
  ];

  document.getElementById("totals").replaceChildren(
    ...totals.map(([label, field]) => {
      const group = document.createElement("div");
      group.append(element("dt", label), element("dd", number.format(sum(field))));
      return group;
    }),
  );
}

function showKeys(keys) {
  document.getElementById("keys").replaceChildren(
    ...Object.values(keys).map((key) => {
      const row = document.createElement("tr");
      row.append(
        element("td", `${key.name} (${key.fingerprint})`),
        element("td", key.reason ? `${key.status}: ${key.reason}` : key.status),
        element("td", number.format(key.usage_2h)),
        element("td", number.format(key.in_flight)),
        element("td", key.expires_in ? `${number.format(key.expires_in)} s` : ""),
      );
      return row;
    }),
  );
}

// The keys come from nginx, the sums from the daemon: one may fail alone.
async function refresh() {
  const parts = [
    ["/health/keys", showKeys],
    ["/stats/24h", showTotals],
  ];
  const failed = [];

  for (const [path, show] of parts) {
    try {
      show(await json(path));
    } catch (error) {
      failed.push(error.message);
    }
  }

  document.getElementById("state").textContent = failed.length
    ? `Not everything is at hand: ${failed.join(", ")}`
    : `As of ${new Date().toLocaleTimeString()}`;
  setTimeout(refresh, PERIOD);
}

refresh();
