import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { documents } from "../../scripts/documents.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"

const root = join(import.meta.dirname, "..", "..")
const read = (path: string) => readFileSync(join(root, path), "utf8")

describe("derived documents", () => {
  it.each([...documents()])("%s is current (npm run docs)", (path, content) => {
    expect(read(path)).toBe(content)
  })
})

describe("the shipped configuration", () => {
  it("is the same in both places", () => {
    expect(read("config.yaml")).toBe(read("config/config.yaml"))
  })

  it("loads without a word", () => {
    const loaded = decodeConfig(read("config/config.yaml"), "config/config.yaml", {})
    expect(loaded.diagnostics).toEqual([])
    expect(loaded.config?.discovery.static.endpoints.map((endpoint) => endpoint.name)).toEqual([
      "local-ollama",
      "local-lm-studio",
      "local-vllm"
    ])
  })
})
