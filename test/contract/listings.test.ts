/** Listings of kinds from what their servers send to what a client reads: nothing discovered is lost on the way. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"

const created = 1_700_000_000
const permission = {
  id: "modelperm-1",
  object: "model_permission",
  created,
  allow_create_engine: false,
  allow_sampling: true,
  allow_logprobs: true,
  allow_search_indices: false,
  allow_view: true,
  allow_fine_tuning: false,
  organization: "*",
  group: null,
  is_blocking: false
}
const base = { object: "model", created }
const written = (id: string) => ({ ...permission, id: `modelperm-olla-${id.replaceAll("/", "-")}` })

interface Case {
  readonly type: string
  /** What the server sends at its listing path. */
  readonly sent: unknown
  readonly format: string
  readonly read: unknown
  /** Of the unified list's first entry. */
  readonly olla: Readonly<Record<string, unknown>>
}

const context = (tokens: number) => ({ max_model_len: tokens, context_length: tokens })

const list = (...data: ReadonlyArray<object>) => ({ object: "list", data })

const cases: ReadonlyArray<Case> = [
  {
    type: "vllm",
    sent: list(
      {
        ...base,
        id: "acme/elm-13b",
        owned_by: "vllm",
        root: "acme/elm-13b",
        parent: null,
        max_model_len: 16_384,
        permission: [permission]
      },
      { ...base, id: "lora", owned_by: "vllm", root: "/adapters/lora", parent: "acme/elm-13b", permission: [permission] }
    ),
    format: "vllm",
    read: list(
      {
        ...base,
        id: "acme/elm-13b",
        owned_by: "acme",
        root: "acme/elm-13b",
        ...context(16_384),
        permission: [written("acme/elm-13b")]
      },
      { ...base, id: "lora", owned_by: "vllm", root: "lora", permission: [written("lora")] }
    ),
    olla: { max_context_length: 16_384, availability: [{ endpoint: "vllm", state: "unknown" }] }
  },
  {
    type: "sglang",
    sent: list({
      ...base,
      id: "acme/oak",
      owned_by: "sglang",
      root: "acme/oak",
      parent: "acme/oak-base",
      max_model_len: 8192,
      supports_vision: true,
      radix_cache_size: 1024,
      spec_decoding: true,
      frontend_enabled: false
    }),
    format: "sglang",
    read: list({
      ...base,
      id: "acme/oak",
      owned_by: "acme",
      root: "acme/oak",
      ...context(8192),
      parent: "acme/oak-base",
      supports_vision: true,
      radix_cache_size: 1024,
      spec_decoding: true,
      frontend_enabled: false
    }),
    olla: { max_context_length: 8192, capabilities: ["text-generation", "vision"] }
  },
  {
    type: "lmdeploy",
    sent: list({ ...base, id: "internlm3", owned_by: "lmdeploy", root: "internlm3", parent: null, permission: [permission] }),
    format: "lmdeploy",
    read: list({ ...base, id: "internlm3", owned_by: "lmdeploy", permission: [written("internlm3")] }),
    olla: { family: "internlm", availability: [{ endpoint: "lmdeploy", state: "unknown" }] }
  },
  {
    type: "vllm-mlx",
    sent: list({ ...base, id: "mlx-community/qwen3-8b-4bit", owned_by: "vllm-mlx" }),
    format: "vllm-mlx",
    read: list({ ...base, id: "mlx-community/qwen3-8b-4bit", owned_by: "mlx-community" }),
    olla: { family: "qwen", variant: "3" }
  },
  {
    type: "lemonade",
    sent: list(
      { ...base, id: "Yew-1B-NPU", owned_by: "lemonade", checkpoint: "acme/Yew-1B-onnx", recipe: "oga-npu", downloaded: true },
      { ...base, id: "Yew-2B", owned_by: "lemonade", checkpoint: "acme/Yew-2B", recipe: "llamacpp", downloaded: false }
    ),
    format: "lemonade",
    read: list(
      { ...base, id: "Yew-1B-NPU", owned_by: "lemonade", checkpoint: "acme/Yew-1B-onnx", recipe: "oga-npu", downloaded: true },
      { ...base, id: "Yew-2B", owned_by: "lemonade", checkpoint: "acme/Yew-2B", recipe: "llamacpp", downloaded: false }
    ),
    olla: { availability: [{ endpoint: "lemonade", state: "available" }] }
  },
  {
    type: "docker-model-runner",
    sent: list({ ...base, id: "ai/smollm2", owned_by: "docker" }),
    format: "docker-model-runner",
    read: list({ ...base, id: "ai/smollm2", owned_by: "ai" }),
    olla: { family: "smollm" }
  },
  {
    type: "lm-studio",
    sent: list(
      {
        id: "oak-embed",
        object: "model",
        type: "embeddings",
        publisher: "acme",
        arch: "oak",
        compatibility_type: "gguf",
        quantization: "Q4_0",
        state: "not-loaded",
        max_context_length: 2048
      },
      {
        id: "oak-see",
        object: "model",
        type: "vlm",
        publisher: "acme",
        arch: "oak_vl",
        compatibility_type: "mlx",
        quantization: "4bit",
        state: "loaded",
        max_context_length: 65_536
      }
    ),
    format: "lmstudio",
    read: list(
      {
        id: "oak-embed",
        object: "model",
        type: "embeddings",
        publisher: "acme",
        arch: "oak",
        compatibility_type: "gguf",
        quantization: "Q4_0",
        state: "not-loaded",
        max_context_length: 2048
      },
      {
        id: "oak-see",
        object: "model",
        type: "vlm",
        publisher: "acme",
        arch: "oak_vl",
        compatibility_type: "mlx",
        quantization: "4bit",
        state: "loaded",
        max_context_length: 65_536
      }
    ),
    olla: { quantization: "q4", availability: [{ endpoint: "lm-studio", state: "not-loaded" }] }
  },
  {
    type: "omlx",
    sent: list({ ...base, id: "birch-4bit", owned_by: "omlx", max_model_len: 4096 }),
    format: "openai",
    read: list({ ...base, id: "birch-4bit", owned_by: "olla", ...context(4096) }),
    olla: { max_context_length: 4096 }
  },
  {
    type: "openai-compatible",
    sent: list({ ...base, id: "oak-7b", owned_by: "cedar", max_model_len: 32_768 }),
    format: "openai",
    read: list({ ...base, id: "oak-7b", owned_by: "olla", ...context(32_768) }),
    olla: { max_context_length: 32_768 }
  }
]

let daemon: Daemon
const servers: Array<Server> = []
beforeAll(async () => {
  const entries: Array<string> = []
  for (const { type, sent } of cases) {
    const server = createServer((req, res) => {
      res.setHeader("content-type", "application/json")
      res.end(req.url?.endsWith("/models") === true ? JSON.stringify(sent) : "{}")
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    entries.push(`      - {name: ${type}, type: ${type}, url: "http://127.0.0.1:${(server.address() as AddressInfo).port}", ${rareChecks}}`)
  }
  daemon = await startDaemon(`discovery:\n  static:\n    endpoints:\n${entries.join("\n")}\n`)
})
afterAll(async () => {
  await daemon?.stop()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

it.each(cases)("$type: its listing comes out whole in the form $format", async ({ type, format, read, olla }) => {
  const ask = async (query: string): Promise<unknown> => (await fetch(`${daemon.url}/olla/models?endpoint=${type}${query}`)).json()
  expect(await ask(`&format=${format}`)).toEqual(read)
  const unified = (await ask("")) as { readonly data: ReadonlyArray<{ readonly olla: unknown }> }
  expect(unified.data[0]?.olla).toMatchObject(olla)
})
