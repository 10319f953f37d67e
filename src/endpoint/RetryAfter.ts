/** `Retry-After` of a 429: how long to leave the endpoint alone. */

export interface RetryWindow {
  /** Milliseconds from now, 0 to one hour. */
  readonly wait: number
  /** Why the default was taken, if it was. */
  readonly defaulted: "absent" | "malformed" | undefined
}

export const defaultRetryWait = 30_000
const longest = 3_600_000

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
const time = "(\\d{2}):(\\d{2}):(\\d{2})"
/** The three date forms of HTTP, and nothing else that a lenient parser would take. */
const imf = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d{2}) ([A-Z][a-z]{2}) (\\d{4}) ${time} GMT$`)
const rfc850 = new RegExp(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d{2})-([A-Z][a-z]{2})-(\\d{2}) ${time} GMT$`)
const asctime = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \\d]\\d) ${time} (\\d{4})$`)

/** Epoch milliseconds of an HTTP-date; `undefined` for anything else. */
export const parseHttpDate = (text: string, now: number): number | undefined => {
  const instant = (year: number, month: string, day: string, h: string, m: string, s: string): number | undefined => {
    const at = months.indexOf(month)
    if (at === -1 || Number(day) < 1 || Number(day) > 31 || Number(h) > 23 || Number(m) > 59 || Number(s) > 60) return undefined
    return Date.UTC(year, at, Number(day), Number(h), Number(m), Number(s))
  }
  const long = imf.exec(text)
  if (long !== null) {
    const [, day = "", month = "", year = "", h = "", m = "", s = ""] = long
    return instant(Number(year), month, day, h, m, s)
  }
  const old = rfc850.exec(text)
  if (old !== null) {
    const [, day = "", month = "", year = "", h = "", m = "", s = ""] = old
    // Two digits: the century that does not put it more than 50 years ahead (RFC 9110 5.6.7).
    const current = new Date(now).getUTCFullYear()
    const near = Math.floor(current / 100) * 100 + Number(year)
    return instant(near > current + 50 ? near - 100 : near, month, day, h, m, s)
  }
  const short = asctime.exec(text)
  if (short !== null) {
    const [, month = "", day = "", h = "", m = "", s = "", year = ""] = short
    return instant(Number(year), month, day, h, m, s)
  }
  return undefined
}

const clamp = (wait: number): number => Math.min(Math.max(wait, 0), longest)

export const retryWindow = (header: string | undefined, now: number): RetryWindow => {
  const text = header?.trim() ?? ""
  if (text === "") return { wait: defaultRetryWait, defaulted: "absent" }
  if (/^[+-]?\d+$/.test(text)) return { wait: clamp(Number(text) * 1000), defaulted: undefined }
  const at = parseHttpDate(text, now)
  return at === undefined ? { wait: defaultRetryWait, defaulted: "malformed" } : { wait: clamp(at - now), defaulted: undefined }
}
