/** Backends that stand in no file. */
import { describe, expect, it } from "vitest"
import { parseBackends } from "../../src/config/Backends.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"

const named = (text: string) => parseBackends(text, "--backend").map(({ url, type }) => [url, type])

describe("a list of backends", () => {
  it.each([
    ["http://a:1", [["http://a:1", "auto"]]],
    ["http://a:1,vllm", [["http://a:1", "vllm"]]],
    [
      "http://a:1, vllm ,https://b/v1,,lm-studio",
      [
        ["http://a:1", "vllm"],
        ["https://b/v1", "lm-studio"]
      ]
    ],
    ["gpu-1:8000", [["http://gpu-1:8000", "auto"]]],
    [
      "a:1,b:2",
      [
        ["http://a:1", "auto"],
        ["http://b:2", "auto"]
      ]
    ],
    ["", []],
    [" , ", []],
    ["vllm", [["http://vllm", "auto"]]]
  ])("%j is %j", (text, expected) => expect(named(text)).toEqual(expected))
})

describe("a configuration with backends of the command line", () => {
  const decode = (text: string, env: Record<string, string> = {}, words = "") =>
    decodeConfig(text, text === "" ? "" : "c.yaml", env, undefined, "/", parseBackends(words, "--backend"))
  const urls = (loaded: ReturnType<typeof decode>) => loaded.config?.discovery.static.endpoints.map(({ url, type }) => `${url} ${type}`)

  it("has them in the built-in endpoint's place", () => {
    const loaded = decode("", { OLLA_BACKENDS: "http://b:2" }, "http://a:1,vllm")
    expect(urls(loaded)).toEqual(["http://a:1 vllm", "http://b:2 auto"])
    expect(loaded.originOf("discovery.static.endpoints[0].url")).toBe("--backend")
    expect(loaded.originOf("discovery.static.endpoints[1].url")).toBe("OLLA_BACKENDS")
  })

  it("has them behind the file's, each once, and the file's word counts", () => {
    const file = "discovery:\n  static:\n    endpoints:\n      - {url: http://a:1, type: ollama, name: mine}\n"
    const loaded = decode(file, { OLLA_BACKENDS: "http://b:2,http://a:1/" }, "http://b:2,vllm,http://a:1")
    expect(urls(loaded)).toEqual(["http://a:1 ollama", "http://b:2 vllm"])
    expect(loaded.originOf("discovery.static.endpoints[0].url")).toBe("c.yaml:4")
  })

  it("takes an empty list of the file's for what it is", () => {
    expect(urls(decode("discovery: {static: {endpoints: []}}\n", {}, "http://a:1"))).toEqual(["http://a:1 auto"])
    expect(urls(decode("server: {port: 80}\n", {}, "http://a:1"))).toEqual(["http://a:1 auto"])
    expect(urls(decode("server: {port: 80}\n"))).toEqual(["http://localhost:11434 ollama"])
  })

  it("says who named a wrong one, not a line of the file", () => {
    const loaded = decode("server: {port: 80}\n", {}, "http://a:1")
    const [finding] = loaded.adopt([{ severity: "error", path: "discovery.static.endpoints[0].url", message: "is wrong" }])
    expect(finding).toEqual({
      severity: "error",
      path: "discovery.static.endpoints[0].url",
      message: "--backend: is wrong",
      example: "--backend http://localhost:11434,ollama"
    })
    const ofVariable = decode("", { OLLA_BACKENDS: "http://b:2" }).adopt([
      { severity: "error", path: "discovery.static.endpoints[0].type", message: "is wrong", example: "type: ollama" }
    ])
    expect(ofVariable[0]?.example).toBe("OLLA_BACKENDS=http://localhost:11434,ollama")
  })
})
