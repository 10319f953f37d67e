/** Where an attempt went, in the words of spans: no credentials, no query. */
import type { Attempt, AttemptedEndpoint } from "../../exchange/Exchange.ts"

export interface Place {
  /** Without userinfo and query. */
  readonly url: string
  readonly path: string
  readonly address: string
  readonly port: number
}

interface Server {
  readonly origin: string
  readonly address: string
  readonly port: number
}

/** Each endpoint's URL is read once. */
const servers = new WeakMap<AttemptedEndpoint, Server>()

const serverOf = (endpoint: AttemptedEndpoint): Server => {
  const known = servers.get(endpoint)
  if (known !== undefined) return known
  const { protocol, host, hostname, port } = URL.canParse(endpoint.url) ? new URL(endpoint.url) : new URL("http://unknown")
  const made = {
    origin: `${protocol}//${host}`,
    address: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)
  }
  servers.set(endpoint, made)
  return made
}

export const placeOf = ({ endpoint, target }: Attempt): Place => {
  const { origin, address, port } = serverOf(endpoint)
  const mark = target.indexOf("?")
  const path = mark < 0 ? target : target.slice(0, mark)
  return { url: `${origin}${path}`, path, address, port }
}

/** Whose API is spoken there. */
export const dialectOf = (path: string): "openai" | "anthropic" | "ollama" =>
  path.endsWith("/messages") ? "anthropic" : /\/api\/(?:chat|generate|embed)$/.test(path) ? "ollama" : "openai"
