/** How figures are written for people in the status documents. */

const trimZero = (n: number): string => n.toFixed(1)

export const bytes = (n: number): string => {
  if (n < 1024) return `${n} B`
  let value = n / 1024
  let unit = 0
  while (value >= 1024 && unit < 4) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(2)} ${["KB", "MB", "GB", "TB", "PB"][unit]}`
}

/** 0 to 100. */
export const percent = (n: number): string => (n === 0 ? "0%" : n === 100 ? "100%" : `${trimZero(n)}%`)

export const latency = (millis: number): string => {
  const whole = Math.round(millis)
  return whole < 1000 ? `${whole}ms` : `${trimZero(whole / 1000)}s`
}

/** Milliseconds to `42s`, `17m`, `5h`, `3d`; rounded down, so that there is no `60m`. */
export const span = (millis: number): string => {
  const seconds = Math.max(0, millis / 1000)
  if (seconds < 60) return `${Math.floor(seconds)}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

export const ago = (at: number, now: number): string => (at === 0 ? "never" : `${span(now - at)} ago`)

export const until = (at: number, now: number): string => (at === 0 ? "unknown" : at <= now ? "now" : `in ${span(at - now)}`)

export const uptime = (millis: number): string => {
  const seconds = Math.floor(millis / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3600)}h`
}

/** `15.2µs`, `532.1ms`, `45s`, `3m20s`, `2h5m0s`. */
export const duration = (millis: number): string => {
  if (millis <= 0) return "0s"
  if (millis < 1) return `${Number((millis * 1000).toFixed(1))}µs`
  if (millis < 1000) return `${Number(millis.toFixed(1))}ms`
  const seconds = Math.floor(millis / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`
  return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m${seconds % 60}s`
}

/** RFC 3339 of epoch milliseconds. */
export const timestamp = (millis: number): string => new Date(millis).toISOString()
