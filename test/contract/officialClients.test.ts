/** The official `openai` and `ollama` clients, unmodified, in front of each engine: answers, streams, and breaks that raise. */
import { Ollama } from "ollama"
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const model = "qwen3:8b"
const text = "Once upon a time in Perth. "

describe.each([
  ["olla", "olla", {}],
  ["olla on undici", "olla", { OLLA_ENGINE_CLIENT: "undici" }],
  ["sherpa", "sherpa", {}]
] as const)("%s", (_, engine, env) => {
  let first: SimulatedBackend
  let second: SimulatedBackend
  let daemon: Daemon
  let openai: OpenAI
  let ollama: Ollama

  beforeAll(async () => {
    first = await startBackend({ kind: "ollama", port: await freePort(), models: [model], text })
    second = await startBackend({ kind: "ollama", port: await freePort(), models: [model], text })
    const endpoints = endpointsYaml([
      { name: "first", backend: first },
      { name: "second", backend: second }
    ])
    daemon = await startDaemon(`proxy: {engine: ${engine}, read_timeout: 1s}\n${endpoints}`, { env })
    openai = new OpenAI({ baseURL: `${daemon.url}/olla/openai/v1`, apiKey: "sk-client", maxRetries: 0 })
    ollama = new Ollama({ host: `${daemon.url}/olla/ollama` })
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([first?.stop(), second?.stop()])
  })
  beforeEach(async () => {
    for (const each of [first, second]) {
      each.setFault(undefined)
      await each.restart()
      each.requests.length = 0
    }
    await eventually(
      async () => (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { routable_count: number },
      (status) => status.routable_count === 2
    )
  })
  const both = (fault: Parameters<SimulatedBackend["setFault"]>[0]) => {
    first.setFault(fault)
    second.setFault(fault)
  }
  const messages = [{ role: "user" as const, content: "Tell me" }]

  const openaiStream = async (got: Array<string>) => {
    for await (const chunk of await openai.chat.completions.create({ model, stream: true, messages }))
      got.push(chunk.choices[0]?.delta.content ?? "")
  }
  const ollamaStream = async (got: Array<string>) => {
    for await (const part of await ollama.chat({ model, stream: true, messages })) got.push(part.message.content)
  }

  it("answers both, whole and as a stream", async () => {
    expect((await openai.chat.completions.create({ model, messages })).choices[0]?.message.content).toBe(text)
    expect((await ollama.chat({ model, messages })).message.content).toBe(text)
    expect((await ollama.generate({ model, prompt: "Tell me" })).response).toBe(text)
    for (const stream of [openaiStream, ollamaStream]) {
      const got: Array<string> = []
      await stream(got)
      expect(got.join("")).toBe(text)
      expect(got.length).toBeGreaterThan(3)
    }
    expect((await ollama.list()).models.map(({ name }) => name)).toEqual([model])
  })

  it.each([
    ["cut in the middle", { _tag: "cut", after: 3 } as const],
    ["silent from the middle on", { _tag: "stall", after: 3 } as const]
  ])("lets both know of a stream that is %s, after what had come", async (_what, fault) => {
    both(fault)
    for (const stream of [openaiStream, ollamaStream]) {
      const got: Array<string> = []
      await expect(stream(got)).rejects.toThrow()
      expect(text.startsWith(got.join(""))).toBe(true)
      expect(got.join("").length).toBeGreaterThan(0)
    }
    both(undefined)
    expect((await ollama.chat({ model, messages })).message.content).toBe(text)
  })

  it("hides a backend that is killed between two turns", async () => {
    await ollama.chat({ model, messages })
    await openai.chat.completions.create({ model, messages })
    await first.kill()
    for (let i = 0; i < 4; i++) {
      expect((await ollama.chat({ model, messages })).message.content).toBe(text)
      expect((await openai.chat.completions.create({ model, messages })).choices[0]?.message.content).toBe(text)
    }
  })

  it("stops the backend when a client leaves its stream", async () => {
    both({ _tag: "endless" })
    const stream = await ollama.chat({ model, stream: true, messages })
    for await (const _part of stream) break
    stream.abort()
    await eventually(
      () => [...first.inference(), ...second.inference()].find(({ abortedAt }) => abortedAt > 0),
      (aborted) => aborted !== undefined
    )
  })
})
