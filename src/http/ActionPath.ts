/** Which action a path asks for, and of which endpoint. Pure. */
import type { Action } from "./ActionBody.ts"

export interface AskedAction {
  readonly action: Action
  /** As it is judged. */
  readonly path: string
  /** As it was meant: without percent-encoding. Absent: of the daemon as a whole. */
  readonly name?: string
}

const reloadPath = "/internal/reload"
const prefix = "/internal/endpoints/"
const verb = /^\/internal\/endpoints\/(.+)\/(drain|resume|probe)$/s
/** As a client writes it whose name has slashes or dots: in one segment, which cleaning a path would take apart. */
const oneSegment = /^\/internal\/endpoints\/([^/]+)\/(?:drain|resume|probe)$/

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `path`: as it is judged, clean and decoded; `raw`: as it came. */
export const actionOf = (path: string, raw: string): AskedAction | undefined => {
  if (path === reloadPath) return { action: "reload", path }
  if (!path.startsWith(prefix)) return undefined
  const [, cleaned, action] = verb.exec(path) ?? []
  if (cleaned === undefined) return undefined
  const [, written] = oneSegment.exec(raw) ?? []
  return { action: action as Action, path, name: (written === undefined ? undefined : decoded(written)) ?? cleaned }
}

/** Actions have rules of their own for pages and hosts, stricter than those of all other routes. */
export const isActionPath = (path: string): boolean =>
  path.startsWith("/internal/") && (path === reloadPath || (path.startsWith(prefix) && verb.test(path)))
