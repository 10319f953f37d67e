/** The request for one attempt: headers of the client, cleaned, then ours, then the endpoint's own (docs/proxying.md). */
import type { Credentials, Endpoint } from "../endpoint/Endpoint.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import { sendersOwn } from "../exchange/TransportHeaders.ts"
import { build } from "../version.ts"
import type { CarryRequest } from "./Carrier.ts"
import type { Spoken } from "./Dialect.ts"
import {
  asHeader,
  FORWARDED_FOR,
  FORWARDED_HOST,
  FORWARDED_PROTO,
  HOST,
  listed,
  MODEL,
  namedByConnection,
  PASS,
  REAL_IP,
  requestRule,
  TRACEPARENT,
  TRACESTATE,
  VIA,
  WISH
} from "./HeaderRules.ts"

const proxiedByLine = `X-Proxied-By: ${build.name}/${build.version}\r\n`
const via = `1.1 ${build.shortName}/${build.version}`
const viaLine = `Via: ${via}\r\n`

/** Methods whose requests say `Content-Length: 0` when they have no body. */
const saysNoBody = new Set(["POST", "PUT", "PATCH"])

/** An endpoint's own headers as pairs to append, made once. */
const ownPairs = new WeakMap<Credentials, ReadonlyArray<string>>()

const ownOf = (credentials: Credentials): ReadonlyArray<string> => {
  let pairs = ownPairs.get(credentials)
  if (pairs === undefined) {
    pairs = credentials.headers.filter(([name]) => !sendersOwn.has(name.toLowerCase())).flat()
    ownPairs.set(credentials, pairs)
  }
  return pairs
}

/**
 * The attempt's own span as the backend's parent, where the exchange is traced; else the client's context goes on as it came. What
 * vendors keep in `tracestate` belongs to the client's trace, and goes on only with that.
 */
const traceparentOf = ({ traceparent, traceId }: Exchange, spanId: string): string => {
  const flags = traceparent === "" ? "01" : (Number.parseInt(traceparent.slice(53, 55), 16) | 1).toString(16).padStart(2, "0")
  return `traceparent: 00-${traceId}-${spanId}-${flags}\r\n`
}

/** All header lines of the request, `Host` and `Content-Length` included. `spanId`: the attempt's, where it is traced. */
export const outboundHead = (
  request: CarryRequest,
  endpoint: Endpoint,
  bodySize: number,
  spoken: Spoken | undefined,
  spanId = ""
): string => {
  const { exchange, rawHeaders, trustedPeer: trusted } = request
  const own = endpoint.credentials
  const drops = exchange.client?.drops
  const { names } = own
  const replaced = spoken === undefined || spoken.headers.length === 0 ? undefined : namesOf(spoken.headers)
  const named = namedByConnection(rawHeaders)
  const selects = names.size > 0 || named !== undefined || replaced !== undefined || spoken?.without !== undefined || drops !== undefined
  // biome-ignore-start lint/style/useTemplate: a template would ask each part whether it is a string
  let lines = "Host: " + endpoint.origin.authority + "\r\n"
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
    const rule = requestRule(name)
    switch (rule) {
      case PASS:
      case TRACEPARENT:
      case TRACESTATE:
      case MODEL: {
        if (rule === MODEL && model !== "") break
        if (spanId !== "" && (rule === TRACEPARENT || (rule === TRACESTATE && exchange.traceparent === ""))) break
        if (selects) {
          const low = name.toLowerCase()
          if (names.has(low) || named?.has(low) === true || drops?.has(low) === true) break
          if (rule !== MODEL && (replaced?.has(low) === true || spoken?.without?.(low) === true)) break
        }
        lines = lines + name + ": " + value + "\r\n"
        break
      }
      case WISH:
        if (request.mayWait !== true) lines = lines + name + ": " + value + "\r\n"
        break
      case VIA:
        clientVia = listed(clientVia, value)
        break
      case FORWARDED_FOR:
        forwardedFor = listed(forwardedFor, value)
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
    }
  }
  if (spoken !== undefined)
    for (let i = 0; i + 1 < spoken.headers.length; i += 2) {
      const name = spoken.headers[i] as string
      if (!names.has(name.toLowerCase())) lines = lines + name + ": " + spoken.headers[i + 1] + "\r\n"
    }
  const { peer } = exchange
  if (!names.has("x-proxied-by")) lines += proxiedByLine
  if (!names.has("via")) lines += clientVia === "" ? viaLine : `Via: ${clientVia}, ${via}\r\n`
  // Through a socket file nobody has an address.
  const isLocal = peer === "unix"
  if (isLocal) {
    if (trusted && realIp !== "" && !names.has("x-real-ip")) lines += `X-Real-IP: ${realIp}\r\n`
    if (trusted && forwardedFor !== "" && !names.has("x-forwarded-for")) lines += `X-Forwarded-For: ${forwardedFor}\r\n`
  }
  if (!isLocal && !names.has("x-real-ip")) lines = lines + "X-Real-IP: " + (trusted && realIp !== "" ? realIp : peer) + "\r\n"
  if (!isLocal && !names.has("x-forwarded-for"))
    lines = lines + "X-Forwarded-For: " + (trusted ? listed(forwardedFor, peer) : peer) + "\r\n"
  if (!names.has("x-forwarded-proto"))
    lines =
      trusted && forwardedProto !== ""
        ? `${lines}X-Forwarded-Proto: ${forwardedProto}\r\n`
        : lines + "X-Forwarded-Proto: " + exchange.scheme + "\r\n"
  const outerHost = trusted && forwardedHost !== "" ? forwardedHost : host
  if (outerHost !== "" && !names.has("x-forwarded-host")) lines = lines + "X-Forwarded-Host: " + outerHost + "\r\n"
  if (!names.has("x-request-id")) lines = lines + "X-Request-ID: " + exchange.id + "\r\n"
  if (spanId !== "" && !names.has("traceparent")) lines += traceparentOf(exchange, spanId)
  const ours = ownOf(own)
  const replacesModel = model !== "" && names.has("x-model")
  for (let i = 0; i + 1 < ours.length; i += 2)
    if (!replacesModel || (ours[i] as string).toLowerCase() !== "x-model") lines = lines + ours[i] + ": " + ours[i + 1] + "\r\n"
  if (model !== "") lines = lines + "X-Model: " + model + "\r\n"
  if (bodySize > 0 || saysNoBody.has(exchange.method)) lines = lines + "Content-Length: " + bodySize + "\r\n"
  // biome-ignore-end lint/style/useTemplate: a template would ask each part whether it is a string
  return lines
}

const namesOf = (pairs: ReadonlyArray<string>): ReadonlySet<string> => {
  const out = new Set<string>()
  for (let i = 0; i < pairs.length; i += 2) out.add((pairs[i] as string).toLowerCase())
  return out
}
