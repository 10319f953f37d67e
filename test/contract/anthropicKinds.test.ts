/** Every kind of backend behind Messages, by its name, by other spellings of it, and found out: natively or in translation, at its own path. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type BackendKind, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask } from "./ask.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"

/** Kind, where its requests arrive, whether it counts tokens itself, and further spellings of its type. */
const kinds: ReadonlyArray<readonly [BackendKind, string, boolean, ReadonlyArray<string>]> = [
  ["ollama", "/v1/messages", false, []],
  ["lm-studio", "/v1/messages", false, ["lmstudio", "lm_studio"]],
  ["vllm", "/v1/messages", false, []],
  ["vllm-mlx", "/v1/messages", true, []],
  ["llamacpp", "/v1/messages", true, []],
  ["omlx", "/v1/messages", false, []],
  ["docker-model-runner", "/anthropic/v1/messages", true, ["dmr"]],
  ["openai-compatible", "/v1/chat/completions", false, ["openai"]],
  ["litellm", "/v1/chat/completions", false, []],
  ["sglang", "/v1/chat/completions", false, []],
  ["lmdeploy", "/v1/chat/completions", false, []],
  ["lemonade", "/api/v1/chat/completions", false, []]
]

const rows = kinds.flatMap(([kind, path, counts, spellings]) =>
  [kind, ...spellings, "auto"].map((type) => ({ kind, type, path, counts, model: `${kind}-${type}` }))
)

const backends = new Map<string, SimulatedBackend>()
let daemon: Daemon

beforeAll(async () => {
  for (const { kind, model } of rows) backends.set(model, await startBackend({ kind, models: [model] }))
  daemon = await startDaemon(
    `discovery:\n  static:\n    endpoints:\n${rows
      .map(({ type, model }) => `      - {url: "${backends.get(model)?.url}", name: ${model}, type: ${type}, check_interval: 1s}\n`)
      .join("")}`
  )
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([...backends.values()].map((backend) => backend.stop()))
})

const post = (path: string, model: string, stream: boolean) =>
  ask(daemon.port, {
    method: "POST",
    path: `/olla/anthropic${path}`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, max_tokens: 20, stream, messages: [{ role: "user", content: "Hi" }] })
  })

describe.each(rows)("$kind as type $type", ({ kind, type, path, counts, model }) => {
  const asked = () => backends.get(model)?.requests.map(({ url }) => url) ?? []

  it.each([false, true])("answers, streamed: %s", async (stream) => {
    const said = await eventually(
      () => post("/v1/messages", model, stream),
      ({ status }) => status === 200
    )
    expect(said.header("x-olla-mode")).toBe(path.endsWith("/messages") ? "passthrough" : undefined)
    expect(said.header("x-olla-backend-type")).toBe(type)
    expect(asked().filter((url) => url.includes("messages") || url.includes("chat"))).toContain(path)
    if (stream) expect(said.text).toContain("event: message_stop")
    else expect(said.json()).toMatchObject({ type: "message", role: "assistant", usage: { output_tokens: expect.any(Number) } })
    expect(said.text).not.toContain("event: error")
  })

  it("counts tokens", async () => {
    const said = await post("/v1/messages/count_tokens", model, false)
    expect(Object.keys(said.json())).toEqual(["input_tokens"])
    expect(asked().includes(`${path}/count_tokens`), kind).toBe(counts)
  })
})
