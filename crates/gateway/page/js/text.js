// Texts in the language of the page. The server makes the same ones in page/text.rs.

const t = (key, values = {}) =>
  (DATA.strings[key] ?? "").replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

const number = (value) => {
  const digits = String(Math.round(value));
  if (digits.length < DATA.strings._min) return digits;
  return digits.replace(/\B(?=(\d{3})+$)/g, DATA.strings._group);
};

// A wait, rounded up as people say it: a number and its unit.
const rounded = (seconds) => {
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return [number(minutes), "min"];
  const point = DATA.strings._group === "," ? "." : ",";
  return [String(Math.ceil(minutes / 30) / 2).replace(".", point), "hour"];
};

const waitText = (wait, unknown) => {
  if (!wait) return t("wu." + (unknown || "noData"));
  if (wait.high < 60) return t("sec");
  const [[low, unitLow], [high, unit]] = [rounded(wait.low), rounded(wait.high)];
  if (unitLow !== unit) return t("range", { lo: t(unitLow, { n: low }), hi: t(unit, { n: high }) });
  return t(unit, { n: low === high ? low : t("range", { lo: low, hi: high }) });
};

// A countdown: 1:04:09, 4:09.
const countdown = (ms) => {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const rest = two(Math.floor(seconds / 60) % 60) + ":" + two(seconds % 60);
  if (days) return `${days} d ${hours}:${rest}`;
  return hours ? `${hours}:${rest}` : rest.replace(/^0/, "");
};

// The time of day of a moment of this device's clock; with the day unless it is today.
const clockText = (ms) => {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  const locale = DATA.lang === "ar" ? "ar-u-nu-latn" : DATA.lang;
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(locale, style).format(date);
};
