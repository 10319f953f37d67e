/** The request for one attempt: headers of the client, cleaned, then ours, then the endpoint's own (proxying.md 4.3). */
import type { Credentials, Endpoint } from "../endpoint/Endpoint.ts"
import { build } from "../version.ts"
import type { CarryRequest } from "./Carrier.ts"
import type { Spoken } from "./Dialect.ts"
import {
  asHeader,
  CONNECTION,
  DROP,
  FORWARDED_FOR,
  FORWARDED_HOST,
  FORWARDED_PROTO,
  HOST,
  MODEL,
  namedByConnection,
  PASS,
  REAL_IP,
  requestRule,
  VIA
} from "./HeaderRules.ts"

const proxiedBy = `${build.name}/${build.version}`
const via = `1.1 ${build.shortName}/${build.version}`

/** Methods whose requests say `Content-Length: 0` when they have no body. */
const saysNoBody = new Set(["POST", "PUT", "PATCH"])

/** Ours to set, whatever an endpoint's `headers:` say: what frames the message, or means this connection only. */
const framing = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "upgrade",
  "te",
  "trailer",
  "expect"
])

/** An endpoint's own headers as pairs to append, made once. */
const ownPairs = new WeakMap<Credentials, ReadonlyArray<string>>()

const ownOf = (credentials: Credentials): ReadonlyArray<string> => {
  let pairs = ownPairs.get(credentials)
  if (pairs === undefined) {
    pairs = credentials.headers.filter(([name]) => !framing.has(name.toLowerCase())).flat()
    ownPairs.set(credentials, pairs)
  }
  return pairs
}

/** Flat name/value pairs, `Host` and `Content-Length` included. */
export const outboundHeaders = (request: CarryRequest, endpoint: Endpoint, bodySize: number, spoken: Spoken | undefined): Array<string> => {
  const { exchange, rawHeaders, trustedPeer } = request
  const own = endpoint.credentials
  const out: Array<string> = ["Host", endpoint.origin.authority]
  const replaced = spoken === undefined || spoken.headers.length === 0 ? undefined : namesOf(spoken.headers)
  let connectionNames: Set<string> | undefined
  let clientVia = ""
  let forwardedFor = ""
  let forwardedProto = ""
  let forwardedHost = ""
  let realIp = ""
  let host = ""
  const model = asHeader(exchange.model)
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    switch (requestRule(name)) {
      case PASS: {
        if (own.names.size > 0 || replaced !== undefined || spoken?.without !== undefined) {
          const low = name.toLowerCase()
          if (own.names.has(low) || replaced?.has(low) === true || spoken?.without?.(low) === true) break
        }
        out.push(name, value)
        break
      }
      case CONNECTION:
        if (value.length > 10 || value.toLowerCase() !== "keep-alive") {
          connectionNames ??= new Set()
          namedByConnection(value, connectionNames)
        }
        break
      case VIA:
        clientVia = clientVia === "" ? value : `${clientVia}, ${value}`
        break
      case FORWARDED_FOR:
        forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`
        break
      case FORWARDED_PROTO:
        forwardedProto = value
        break
      case FORWARDED_HOST:
        forwardedHost = value
        break
      case REAL_IP:
        realIp = value
        break
      case HOST:
        host = value
        break
      case MODEL:
        if (model === "") push(out, own.names, name, value)
        break
      case DROP:
        break
    }
  }
  if (connectionNames !== undefined) dropNamed(out, connectionNames)
  if (spoken !== undefined)
    for (let i = 0; i + 1 < spoken.headers.length; i += 2)
      push(out, own.names, spoken.headers[i] as string, spoken.headers[i + 1] as string)
  const trusted = trustedPeer
  const { peer } = exchange
  push(out, own.names, "X-Proxied-By", proxiedBy)
  push(out, own.names, "Via", clientVia === "" ? via : `${clientVia}, ${via}`)
  push(out, own.names, "X-Real-IP", trusted && realIp !== "" ? realIp : peer)
  push(out, own.names, "X-Forwarded-For", trusted && forwardedFor !== "" ? `${forwardedFor}, ${peer}` : peer)
  push(out, own.names, "X-Forwarded-Proto", trusted && forwardedProto !== "" ? forwardedProto : "http")
  const outerHost = trusted && forwardedHost !== "" ? forwardedHost : host
  if (outerHost !== "") push(out, own.names, "X-Forwarded-Host", outerHost)
  push(out, own.names, "X-Request-ID", exchange.id)
  const ours = ownOf(own)
  const replacesModel = model !== "" && own.names.has("x-model")
  for (let i = 0; i + 1 < ours.length; i += 2)
    if (!replacesModel || (ours[i] as string).toLowerCase() !== "x-model") out.push(ours[i] as string, ours[i + 1] as string)
  if (model !== "") out.push("X-Model", model)
  if (bodySize > 0 || saysNoBody.has(request.exchange.method)) out.push("Content-Length", String(bodySize))
  return out
}

const push = (out: Array<string>, own: ReadonlySet<string>, name: string, value: string): void => {
  if (own.size === 0 || !own.has(name.toLowerCase())) out.push(name, value)
}

const namesOf = (pairs: ReadonlyArray<string>): ReadonlySet<string> => {
  const out = new Set<string>()
  for (let i = 0; i < pairs.length; i += 2) out.add((pairs[i] as string).toLowerCase())
  return out
}

const dropNamed = (headers: Array<string>, names: ReadonlySet<string>): void => {
  for (let i = headers.length - 2; i >= 2; i -= 2) if (names.has((headers[i] as string).toLowerCase())) headers.splice(i, 2)
}
