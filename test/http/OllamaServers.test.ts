import { describe, expect, it } from "vitest"
import { highestVersion } from "../../src/http/OllamaServers.ts"

describe("the version that Ollama's clients are told", () => {
  it.each([
    [[], "0.20.0"],
    [["0.14.2", "0.20.0"], "0.20.0"],
    [["0.20.1", "0.21.0", "0.9.9"], "0.21.0"],
    [["1.0.0-rc1", "0.99.0"], "1.0.0-rc1"],
    [["", "latest", "99", "0.0.0"], "0.20.0"]
  ])("of %j is %s", (versions, told) => {
    expect(highestVersion(versions)).toBe(told)
  })
})
