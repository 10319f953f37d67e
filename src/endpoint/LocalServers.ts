/**
 * Inference servers on this machine, for a start that nobody configured: the ports that the profiles name are asked what an `auto`
 * endpoint is asked, and what answers in a known way is a server.
 */
import { request } from "undici"
import type { Environment } from "../config/Environment.ts"
import type { Detection } from "../profile/Detection.ts"
import type { Profile } from "../profile/Profile.ts"

export interface LocalServer {
  readonly url: string
  /** The profile that its answer proves. */
  readonly type: string
}

/** Milliseconds for everything that one address is asked. */
const patience = 1_000
/** Bytes of a listing that are read. */
const mostListed = 4 * 1024 * 1024

const ollamaPort = 11434

/**
 * Where `OLLAMA_HOST` says that Ollama listens, as Ollama reads it: `host`, `host:port`, `:port`, or a URL, whose own default port
 * counts. An address to listen on everywhere is this machine.
 */
export const ollamaUrl = (text: string): string | undefined => {
  const value = text.trim().replace(/^["']|["']$/g, "")
  if (value === "") return undefined
  const [, scheme, rest = ""] = /^(?:(https?):\/\/)?(.*)$/.exec(value) ?? []
  try {
    const url = new URL(`${scheme ?? "http"}://${rest.startsWith(":") ? `localhost${rest}` : rest}`)
    if (scheme === undefined && !/:\d+(?:\/|$)/.test(rest)) url.port = String(ollamaPort)
    if (url.hostname === "0.0.0.0" || url.hostname === "[::]") url.hostname = "localhost"
    return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`
  } catch {
    return undefined
  }
}

/** Addresses worth asking, each once: OLLAMA_HOST first, then this machine's ports in the order of the profiles. */
export const localCandidates = (profiles: ReadonlyArray<Pick<Profile, "defaultPorts">>, env: Environment): ReadonlyArray<string> => {
  const ollama = ollamaUrl(env["OLLAMA_HOST"] ?? "")
  const ports = profiles.flatMap(({ defaultPorts }) => defaultPorts)
  return [...new Set([...(ollama === undefined ? [] : [ollama]), ...ports.map((port) => `http://localhost:${port}`)])]
}

/** `undefined`: nobody there, nothing known, or no answer in time. An Olla is no backend. */
const recognise = async (url: string, { probes }: Detection, time: number): Promise<LocalServer | undefined> => {
  const signal = AbortSignal.timeout(time)
  try {
    for (const { path, judge } of probes) {
      const answer = await request(url + path, { signal, headers: { accept: "application/json" } })
      if (answer.headers["x-olla-request-id"] !== undefined) {
        await answer.body.dump()
        return undefined
      }
      if (answer.statusCode !== 200 || Number(answer.headers["content-length"] ?? 0) > mostListed) {
        await answer.body.dump({ limit: mostListed, signal })
        continue
      }
      const header = (name: string) => [answer.headers[name]].flat()[0]
      const proved = judge(parsed(await bounded(answer.body)), header)
      if (proved !== undefined) return { url, type: proved.profile.name }
    }
  } catch {
    // Refused, silent, or no HTTP.
  }
  return undefined
}

const bounded = async (body: AsyncIterable<Buffer>): Promise<string> => {
  const pieces: Array<Buffer> = []
  let size = 0
  for await (const piece of body) {
    size += piece.length
    if (size > mostListed) return ""
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString("utf8")
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** All candidates at once, so it takes as long as the slowest and at most `time` milliseconds; in the candidates' order. */
export const findServers = async (
  candidates: ReadonlyArray<string>,
  detection: Detection,
  time = patience
): Promise<ReadonlyArray<LocalServer>> =>
  (await Promise.all(candidates.map((url) => recognise(url, detection, time)))).filter((server) => server !== undefined)
