/** Durations as Go writes them (`1h30m`, `500ms`): read to milliseconds, printed largest unit first. */

const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 }
const whole = /^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*$/

/** The longest there is: 2^63 nanoseconds, some 292 years. */
const longest = 2 ** 63 / 1e6

/** Milliseconds, fractions kept; `undefined` for anything else than a duration. */
export const parseDuration = (text: string): number | undefined => {
  const negative = text.startsWith("-")
  const body = negative || text.startsWith("+") ? text.slice(1) : text
  if (body === "0") return 0
  if (!whole.test(body)) return undefined
  let millis = 0
  for (const [, amount = "", unit = ""] of body.matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g)) millis += Number(amount) * (units[unit] ?? 0)
  if (millis >= longest) return undefined
  return negative ? -millis : millis
}

/** Of the right form but larger than the largest duration. */
export const isTooLong = (text: string): boolean => whole.test(text.replace(/^[-+]/, "")) && parseDuration(text) === undefined

/** Units that people write although they are not accepted. */
const spoken: Readonly<Record<string, number>> = {
  ...Object.fromEntries(["ms", "msec", "millisecond"].map((unit) => [unit, 1])),
  ...Object.fromEntries(["s", "sec", "second"].map((unit) => [unit, 1e3])),
  ...Object.fromEntries(["m", "min", "minute"].map((unit) => [unit, 6e4])),
  ...Object.fromEntries(["h", "hr", "hour"].map((unit) => [unit, 3.6e6])),
  ...Object.fromEntries(["d", "day"].map((unit) => [unit, 8.64e7])),
  ...Object.fromEntries(["w", "week"].map((unit) => [unit, 6.048e8]))
}

/** Milliseconds that `2 minutes`, `30 S` or `1d` would mean: for the example in the error message. */
export const meantDuration = (text: string): number | undefined => {
  const [, amount = "", unit = ""] = /^(\d{1,9}(?:\.\d+)?)\s*([a-z]+)$/i.exec(text.trim()) ?? []
  const low = unit.toLowerCase()
  const size = spoken[low] ?? spoken[low.replace(/s$/, "")]
  return size === undefined || amount === "" ? undefined : Number(amount) * size
}

/** `5m` rather than `5m0s`. */
export const shortestDuration = (millis: number): string => formatDuration(millis).replace(/(?<=[hm])0[ms](?:0s)?$/, "")

const trim = (value: number): string => String(Number(value.toFixed(9)))

/** `500ms`, `2s`, `1m30s`, `1h0m0s`. */
export const formatDuration = (millis: number): string => {
  if (millis === 0) return "0s"
  if (millis < 0) return `-${formatDuration(-millis)}`
  if (millis < 1e-3) return `${trim(millis * 1e6)}ns`
  if (millis < 1) return `${trim(millis * 1e3)}µs`
  if (millis < 1000) return `${trim(millis)}ms`
  const hours = Math.floor(millis / 3.6e6)
  const minutes = Math.floor((millis % 3.6e6) / 6e4)
  const seconds = trim((millis % 6e4) / 1000)
  return hours > 0 ? `${hours}h${minutes}m${seconds}s` : minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`
}

/** A timer of the runtime holds at most 2^31 - 1 ms and fires at once beyond that: some 24 days are as good as for ever. */
export const timerMillis = (millis: number): number => Math.min(millis, 2_147_000_000)
