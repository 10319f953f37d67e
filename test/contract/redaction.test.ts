/** What is secret stays secret in everything that a started daemon writes or answers, and its log is what it says it is. */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const root = join(import.meta.dirname, "..", "..")
let backend: SimulatedBackend
let daemon: Daemon
let folder: string

/** All secrets carry this mark. */
const mark = "SECRET"

const yaml = (port: number, dead: number, mute: number) => `logging: {level: debug, format: json, output: file}
discovery:
  static:
    endpoints:
      - {url: "http://127.0.0.1:${port}/?token=${mark}-in-url", name: desk, type: vllm, check_interval: 1s, check_timeout: 500ms, auth: {type: bearer, token: ${mark}-token}, headers: {X-Custom: ${mark}-header}}
      - {url: "http://127.0.0.1:${dead}/?api_key=${mark}-dead", name: dead, type: ollama, check_interval: 1s, check_timeout: 500ms, auth: {type: basic, username: ${mark}-user, password: ${mark}-password}}
      - {url: "http://127.0.0.1:${mute}", name: mute, type: openai-compatible, check_interval: 1s, check_timeout: 500ms, auth: {type: api_key, key: "\${OLLA_TEST_KEY}", header: X-Very-Own-Key}}
`

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "olla-logs-"))
  backend = await startBackend({ kind: "vllm", models: ["m"] })
  daemon = await startDaemon(yaml(backend.port, await freePort(), await freePort()), {
    env: { OLLA_TEST_KEY: `${mark}-from-env`, OLLA_LOG_DIR: folder }
  })
})

afterAll(async () => {
  await daemon?.stop()
  await backend?.stop()
})

const chat = (query: string, headers: Record<string, string> = {}, model = "m") =>
  fetch(`${daemon.url}/olla/openai/v1/chat/completions${query}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${mark}-client-123`,
      cookie: `session=${mark}-cookie`,
      "x-api-key": `${mark}-client-key`,
      referer: `http://user:${mark}-pass@page.example/?access_token=${mark}-referer`,
      ...headers
    },
    body: JSON.stringify({ model, messages: [{ role: "user", content: `${mark}-prompt` }] })
  })

describe("a daemon with secrets", () => {
  it("sends them where they belong, and keeps them out of every answer", async () => {
    expect((await chat(`?api_key=${mark}-query&n=1`)).status).toBe(200)
    const [request] = backend.inference()
    expect(request?.header("authorization")).toBe(`Bearer ${mark}-token`)
    expect(request?.header("x-custom")).toBe(`${mark}-header`)
    const answers = [await (await chat("", {}, "nobody-has-this")).text()]
    for (const _ of [1, 2]) {
      // The first fails at the backend, the second finds it out of rotation.
      backend.setFault({ _tag: "reset" })
      const refused = await chat(`?sig=${mark}-sig`, { accept: "application/json" })
      expect([502, 503]).toContain(refused.status)
      answers.push(await refused.text(), JSON.stringify([...refused.headers]))
    }
    backend.setFault(undefined)
    for (const path of [
      "/internal/status",
      "/internal/status/endpoints",
      "/internal/status/models?detailed=true&group=family",
      "/internal/stats/models?include_endpoints=true&include_summary=true",
      "/internal/stats/translators",
      "/internal/metrics",
      "/internal/process",
      "/internal/openapi.json",
      "/version",
      "/olla/models",
      "/olla/openai/v1/models"
    ]) {
      const answer = await fetch(`${daemon.url}${path}`)
      answers.push(await answer.text(), JSON.stringify([...answer.headers]))
    }
    for (const answer of answers) {
      expect(answer).not.toContain(mark)
      expect(answer.toLowerCase()).not.toContain("x-very-own-key")
    }
    // A client's error names no address of a backend.
    for (const answer of answers.slice(0, 5)) expect(answer).not.toMatch(/127\.0\.0\.1|:\d{4,5}/)
  })

  it("keeps them out of its log, whose every line is a record, and of its file", async () => {
    await fetch(`${daemon.url}/nowhere?Code=${mark}-code&x=http://u:${mark}-u@h/`)
    await eventually(daemon.output, (text) => text.includes('"path":"/nowhere"') && text.includes('"Access log"'))
    await daemon.stop()
    const file = readFileSync(join(folder, "olla.log"), "utf8")
    for (const text of [daemon.output(), file]) {
      expect(text).not.toContain(mark)
      expect(text.toLowerCase()).not.toContain("x-very-own-key")
      for (const line of text.split("\n").filter((one) => one !== "")) {
        const record = JSON.parse(line) as Record<string, unknown>
        expect(Object.keys(record).slice(0, 4)).toEqual(["timestamp", "level", "msg", "time"])
        expect(record["timestamp"]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
        expect(["DEBUG", "INFO", "WARN", "ERROR"]).toContain(record["level"])
      }
    }
    expect(daemon.output()).toContain('"query":"api_key=[REDACTED]&n=1"')
    // Detailed ones too: debug level, failures, and their addresses.
    expect(file).toMatch(/"msg":"Request details"/)
    expect(file).toMatch(/"level":"WARN"/)
  })

  it.each([["config", "show"], ["validate"], ["--validate-config"]])(
    "keeps them out of what the command line prints (%s)",
    async (...words) => {
      const path = join(folder, "show.yaml")
      writeFileSync(path, yaml(1, 1, 1))
      const printed = await new Promise<string>((resolve) => {
        execFile(
          process.execPath,
          [join(root, "dist", "main.js"), ...words.filter((word) => word !== undefined), "--config", path],
          { cwd: folder, env: { PATH: process.env["PATH"] ?? "", OLLA_TEST_KEY: `${mark}-from-env` } },
          (_error, out, err) => resolve(out + err)
        )
      })
      expect(printed.length).toBeGreaterThan(20)
      expect(printed).not.toContain(mark)
    }
  )
})

describe("server.request_logging: false", () => {
  it("leaves the records of good requests out, and keeps those that ended with 400 and above", async () => {
    const own = await startBackend({ kind: "vllm", models: ["m"] })
    const quiet = await startDaemon(
      `discovery:\n  static:\n    endpoints:\n      - {url: "${own.url}", name: desk, type: vllm, check_interval: 1s, check_timeout: 500ms}\n`,
      { server: "  request_logging: false\n" }
    )
    const ask = (model: string) =>
      fetch(`${quiet.url}/olla/openai/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: [] })
      })
    expect((await ask("m")).status).toBe(200)
    expect((await ask("nobody-has-this")).status).toBe(404)
    await fetch(`${quiet.url}/nowhere`)
    await eventually(quiet.output, (text) => text.includes("/nowhere"))
    await quiet.stop()
    await own.stop()
    const records = quiet
      .output()
      .split("\n")
      .filter((line) => line.includes("request_id"))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(records.map(({ msg, status }) => [msg, status])).toEqual(
      expect.arrayContaining([
        ["Access log", 404],
        ["Request rejected", 404]
      ])
    )
    expect(records.filter(({ status }) => status === 200 || status === "completed")).toEqual([])
  })
})
