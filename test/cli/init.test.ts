import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { parseBackends } from "../../src/config/Backends.ts"
import { loadConfig } from "../../src/config/ConfigLoading.ts"
import { foundLine, initCommand } from "../../src/configInit.ts"

const folder = () => mkdtempSync(join(tmpdir(), "olla-init-"))

const init = async (cwd: string, more: { configFile?: string; words?: string; env?: Record<string, string> } = {}) => {
  let [out, err] = ["", ""]
  const { configFile, words = "http://gpu-1:8000,vllm", env = {} } = more
  const code = await initCommand(
    { cwd, env, configFile, backends: parseBackends(words, "--backend") },
    (text) => {
      out += text
    },
    (text) => {
      err += text
    }
  )
  return { code, out, err }
}

describe("config init", () => {
  it("writes the file that the next start finds, with what was named", async () => {
    const cwd = folder()
    expect(await init(cwd)).toEqual({ code: 0, out: "config.yaml is written, with http://gpu-1:8000 (vllm)\n", err: "" })
    const loaded = loadConfig({ cwd, env: {} })
    expect([loaded.path, loaded.diagnostics]).toEqual(["config.yaml", []])
    expect(loaded.config?.discovery.static.endpoints).toMatchObject([{ url: "http://gpu-1:8000", type: "vllm" }])
  })

  it("writes beside a shipped configuration the one that wins over it, or the one that is named", async () => {
    const cwd = folder()
    mkdirSync(join(cwd, "config"))
    expect((await init(cwd)).out).toMatch(/^config\/config\.local\.yaml is written/)
    expect((await init(cwd, { configFile: "other.yaml" })).out).toMatch(/^other\.yaml is written/)
    expect((await init(cwd, { env: { OLLA_CONFIG_FILE: "third.yaml", OLLA_BACKENDS: "h:1" }, words: "" })).out).toBe(
      "third.yaml is written, with http://h:1 (auto)\n"
    )
  })

  it("leaves a file as it is", async () => {
    const cwd = folder()
    writeFileSync(join(cwd, "config.yaml"), "mine")
    expect(await init(cwd)).toEqual({ code: 1, out: "", err: expect.stringContaining("config.yaml is there already") })
    expect(readFileSync(join(cwd, "config.yaml"), "utf8")).toBe("mine")
  })

  it("says why it cannot write", async () => {
    expect(await init(folder(), { configFile: "no/where.yaml" })).toMatchObject({
      code: 1,
      err: "no/where.yaml cannot be written: no such file or directory\n"
    })
  })
})

describe("the line of a start without a file", () => {
  it("says what was found and how to write it down, or how to name a backend", () => {
    expect(foundLine([{ url: "http://localhost:1234", type: "lm-studio" }]).message).toMatch(
      /http:\/\/localhost:1234 \(lm-studio\).*olla config init/
    )
    expect(foundLine([]).message).toContain("--backend")
  })
})
