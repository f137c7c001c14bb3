// Starts the panels, then the stream that keeps them alive.

import * as bill from "./bill.js";
import * as conversations from "./conversations.js";
import * as head from "./head.js";
import * as keys from "./keys.js";
import { live } from "./live.js";
import * as logs from "./logs.js";
import * as now from "./now.js";
import * as problems from "./problems.js";
import * as queries from "./queries.js";
import * as running from "./running.js";
import * as sums from "./sums.js";
import * as tokens from "./tokens.js";
import * as usage from "./usage.js";

for (const panel of [head, problems, keys, tokens, usage, now, running, queries, bill, conversations, sums, logs]) panel.start();
live.start();
