// Numbers in the viewer's locale, times in the viewer's zone.

// "always": some locales leave four digits together otherwise, beside "227.743"
const number = new Intl.NumberFormat(undefined, { useGrouping: "always" });
const short = new Intl.NumberFormat(undefined,
  { notation: "compact", maximumFractionDigits: 1, useGrouping: "always" });
const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const signed = new Intl.NumberFormat(undefined,
  { style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" });
const one = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, useGrouping: "always" });
const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const cents = new Intl.NumberFormat("en-US",
  { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
const nanos = new Intl.NumberFormat("en-US",
  { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 9 });
const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "short" });

export const num = (n) => number.format(n);
export const compact = (n) => short.format(n);
export const percent = (n) => share.format(n);
export const change = (n) => signed.format(n);
export const decimal = (n) => one.format(n);

// Dollars: to the cent, but what is less than one with two digits that say
// something.
export const usd = (n) => (n > 0 && n < 0.1 ? cents : money).format(n);
export const exactly = (n) => nanos.format(n);

// What has a price, and beside it what has none.
export const spent = (cost, unpriced) => (unpriced
  ? `${usd(cost)} and ${compact(unpriced)} unpriced tokens` : usd(cost));

export const full = (t) => whole.format(new Date(t));
export const hm = (t) => minutes.format(new Date(t));

// The time; with its day unless that is today.
export function clock(t) {
  const date = new Date(t);
  const today = days.format(date) === days.format(new Date());
  return today ? time.format(date) : `${day.format(date)}, ${time.format(date)}`;
}

// A moment to come: to the second only when it is near.
export function at(t) {
  const left = t - Date.now();
  if (left < 600000) return clock(t);
  return left < 43200000 ? hm(t) : hour(t);
}

export function hour(t) {
  const date = new Date(t);
  return `${day.format(date)}, ${minutes.format(date)}`;
}

// "12 s", "4:31", "2 h 13 min", "3 d 4 h"
export function span(seconds) {
  const s = Math.max(0, Math.ceil(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ms(n) {
  if (n === null || n === undefined) return "–";
  if (n < 1000) return `${num(n)} ms`;
  if (n < 60000) return `${decimal(n / 1000)} s`;
  return span(n / 1000);
}

export function bytes(n) {
  if (n < 1024) return `${num(n)} B`;
  if (n < 1048576) return `${decimal(n / 1024)} KiB`;
  if (n < 1073741824) return `${decimal(n / 1048576)} MiB`;
  return `${decimal(n / 1073741824)} GiB`;
}

export const plural = (n, word, many = `${word}s`) => `${num(n)} ${n === 1 ? word : many}`;

// Of many attempts the first and the last TOLD are told: how many are not.
export const TOLD = 8;
export const untold = (q) => (q.attempts_total ?? 0) - q.attempts.length;
