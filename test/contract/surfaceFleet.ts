import * as Schema from "effect/Schema"
import { expect } from "vitest"
import { AnthropicErrorDocument, ErrorDocument } from "../../src/http/documents/ErrorDocuments.ts"
import { type BackendKind, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Answer, type Asked, ask } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

export const fleet: ReadonlyArray<{ readonly name: string; readonly kind: BackendKind; readonly models: ReadonlyArray<string> }> = [
  { name: "gpu", kind: "vllm", models: ["org/big-model", "shared"] },
  { name: "laptop", kind: "ollama", models: ["qwen3:8b", "shared"] },
  { name: "studio", kind: "lm-studio", models: ["gemma-3-12b"] },
  { name: "lemon", kind: "lemonade", models: ["Lemon-1B"] },
  { name: "docker", kind: "docker-model-runner", models: ["ai/smollm2"] }
]

export let backends: ReadonlyArray<SimulatedBackend>
export let daemon: Daemon
export let sherpa: Daemon
export const of = (name: string): SimulatedBackend => backends[fleet.findIndex((one) => one.name === name)] as SimulatedBackend
export const get = (path: string, more: Omit<Asked, "path"> = {}): Promise<Answer> => ask(daemon.port, { path, ...more })

/** With a second daemon, whose engine is the other one, where it is asked for. */
export const startFleet = async (withSherpa: boolean): Promise<void> => {
  backends = await Promise.all(fleet.map(({ kind, models }) => startBackend({ kind, models, text: "Hello " })))
  const endpoints = endpointsYaml(
    fleet.map(({ name }) => ({ name, backend: of(name) })),
    rareChecks
  )
  daemon = await startDaemon(endpoints)
  if (withSherpa) sherpa = await startDaemon(`proxy: {engine: sherpa}\n${endpoints}`)
}

export const stopFleet = async (): Promise<void> => {
  await Promise.all([daemon?.stop(), sherpa?.stop()])
  await Promise.all((backends ?? []).map((backend) => backend.stop()))
}

/** References of the description, as the validator finds them. */
export const inPlace = (schema: object): object => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"olla#/'))

export const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"]
export const writing = ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"]

/** No stack, no file, no address, no port of a backend, nothing of the language's own words. */
export const betrays = (text: string): ReadonlyArray<string> =>
  [
    /\n\s+at /,
    /node:internal|node_modules|\/src\/|\/dist\/|file:\/\//,
    /ECONN|EPIPE|ENOTFOUND|EHOST|ETIMEDOUT|UND_ERR|HPE_/,
    /TypeError|ReferenceError|RangeError|SchemaError|undefined|\[object/,
    /127\.0\.0\.1|localhost|::1/,
    ...backends.map(({ port }) => new RegExp(`\\b${port}\\b`))
  ]
    .filter((pattern) => pattern.test(text))
    .map(String)

export const headersOf = (answer: Answer): string =>
  ["x-olla-endpoint", "x-olla-backend-type", "retry-after", "via", "x-served-by"].map(answer.header).join(" ")

export const expectError = (answer: Answer, accept: string, anthropic = false): void => {
  expect(betrays(answer.text + headersOf(answer))).toEqual([])
  if (anthropic) {
    expect(answer.header("content-type")).toBe("application/json")
    const body = Schema.decodeUnknownSync(AnthropicErrorDocument)(answer.json())
    expect(body.request_id).toBe(answer.header("x-olla-request-id"))
    expect(answer.header("request-id")).toBe(body.request_id)
  } else if (accept === "application/json") {
    expect(answer.header("content-type")).toBe("application/json")
    expect(Object.keys(Schema.decodeUnknownSync(ErrorDocument)(answer.json()).error)).toEqual(["message", "type", "code"])
  } else {
    expect(answer.header("content-type")).toBe("text/plain; charset=utf-8")
    expect(answer.text).toMatch(/^[^\n]+\n$/)
  }
  expect(answer.header("x-content-type-options")).toBe("nosniff")
}
