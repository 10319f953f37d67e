/** A daemon whose configuration changes while it serves. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask, chat } from "./ask.ts"
import { type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { streaming } from "./lifecycle.ts"

let one: SimulatedBackend
let two: SimulatedBackend
let daemon: Daemon

interface Reloaded {
  readonly generation?: number
  readonly changed?: ReadonlyArray<string>
  readonly restart_needed?: ReadonlyArray<string>
  readonly code?: string
  readonly findings?: ReadonlyArray<{ readonly message: string; readonly line?: number }>
}
const reload = async (): Promise<Reloaded & { readonly status: number }> => {
  const answer = await ask(daemon.port, {
    method: "POST",
    path: "/internal/reload",
    headers: { Host: `127.0.0.1:${daemon.port}`, "X-Olla-Action": "1" }
  })
  return { status: answer.status, ...(answer.json() as Reloaded) }
}
const say = (model: string) =>
  ask(daemon.port, {
    method: "POST",
    path: "/olla/proxy/v1/chat/completions",
    headers: { "Content-Type": "application/json" },
    body: chat(model)
  })
const statusOf = async () => (await ask(daemon.port, { path: "/internal/status" })).json()
const endpointsOf = async () =>
  (await ask(daemon.port, { path: "/internal/status/endpoints" })).json().endpoints as ReadonlyArray<{
    name: string
    status: string
    priority: number
    model_count: number
  }>
const records = (message: string) =>
  daemon
    .output()
    .split("\n")
    .filter((line) => line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const both = (more = "", extra = "") =>
  endpointsYaml(
    [
      { name: "one", backend: one, extra: `priority: 5${extra}` },
      { name: "two", backend: two }
    ],
    rareChecks
  ) + more
const alone = (more = "") => endpointsYaml([{ name: "one", backend: one, extra: "priority: 5" }], rareChecks) + more

beforeAll(async () => {
  one = await startBackend({ kind: "ollama", models: ["m", "n"] })
  two = await startBackend({ kind: "ollama", models: ["x"], tokens: 5, tokensPerSecond: 20 })
  daemon = await startDaemon(both(), {
    files: {
      "models.yaml": "special_rules:\n  generic_names: [zzz]\n",
      "profiles/acme.yaml": "name: acme\nextends: vllm\nrouting: {prefixes: [acme]}\n"
    }
  })
})
afterAll(async () => {
  await daemon?.stop()
  await Promise.all([one, two].map((backend) => backend?.stop()))
})

describe("a reload", () => {
  it("of what says the same changes nothing, and asks nobody anything", async () => {
    const before = one.requests.length
    daemon.rewrite(`# the same\n${both()}`)
    expect(await reload()).toEqual({ status: 200, generation: 1, changed: [], restart_needed: [] })
    expect(one.requests.length).toBe(before)
    expect((await statusOf()).config).toMatchObject({ generation: 1, last_error: null, restart_needed: [] })
  })

  it("brings everything into force before it answers, and names what changed and what must wait", async () => {
    daemon.rewrite(
      both(
        "model_aliases: {big: [m]}\nproxy: {load_balancer: round-robin, engine: sherpa}\ndiscovery: {model_discovery: {interval: 7m}}\n",
        ", model_filter: {exclude: [n]}"
      ).replace("discovery: {model_discovery: {interval: 7m}}\n", "")
    )
    const answer = await reload()
    expect(answer).toMatchObject({ status: 200, generation: 2, restart_needed: [] })
    expect(answer.changed).toEqual([
      "proxy.engine",
      "proxy.load_balancer",
      "discovery.static.endpoints.one.model_filter.exclude",
      "model_aliases.big"
    ])
    expect((await say("big")).status).toBe(200)
    expect((await statusOf()).proxy).toMatchObject({ engine: "sherpa", balancer: "round-robin" })
    expect((await say("n")).status).toBe(404)
    expect(
      await eventually(
        () => records("Configuration reloaded").at(-1),
        (last) => last?.["generation"] === 2
      )
    ).toMatchObject({
      generation: 2,
      trigger: "post",
      changes: expect.arrayContaining([{ key: "proxy.engine", before: "olla", after: "sherpa" }])
    })
  })

  it("of anything broken leaves everything as it was, and says what", async () => {
    for (const [text, message] of [
      [both("proxy: {read_timeout: 1x}\n"), /read_timeout needs a duration/],
      [`${both()}  : : :\n`, /./],
      ["", /says nothing/],
      ["# nothing yet\n", /says nothing/],
      ["server:", /server is the last key of the file and says nothing/],
      ["# all of it\ndiscovery:\n  static:\n    endpoints:\n", /discovery\.static\.endpoints is the last key/],
      [`${both()}proxy:\n`, /proxy is the last key/],
      [both("", ", auth: {type: bearer, token_file: absent.key}"), /absent\.key/]
    ] as const) {
      if (/^(?:$|#|server:)/.test(text)) writeFileSync(join(daemon.folder, "olla.yaml"), text)
      else daemon.rewrite(text)
      const answer = await reload()
      expect([answer.status, answer.code, answer.findings?.some((finding) => message.test(finding.message))]).toEqual([
        422,
        "config_invalid",
        true
      ])
      expect((await say("big")).status).toBe(200)
    }
    expect((await statusOf()).config).toMatchObject({ generation: 2, last_error: { message: expect.any(String) } })
    rmSync(join(daemon.folder, "olla.yaml"))
    expect(await reload()).toMatchObject({ status: 422, findings: [{ message: expect.stringContaining("is gone") }] })
    daemon.rewrite(both())
    expect(await reload()).toMatchObject({ status: 200, generation: 3 })
    expect((await statusOf()).config.last_error).toBeNull()
    await eventually(
      () => records("Configuration reload failed").length,
      (count) => count === 9
    )
  })

  it("sees what profiles and models.yaml say, and will not lose them", async () => {
    writeFileSync(join(daemon.folder, "models.yaml"), "special_rules:\n  generic_names: [yyy]\n")
    writeFileSync(join(daemon.folder, "profiles/acme.yaml"), "name: acme\nextends: vllm\nrouting: {prefixes: [acme, ac]}\n")
    expect((await reload()).changed).toEqual(["profiles.acme", "models.yaml"])
    writeFileSync(join(daemon.folder, "profiles/acme.yaml"), "name: [")
    expect((await reload()).status).toBe(422)
    writeFileSync(join(daemon.folder, "profiles/acme.yaml"), "name: acme\nextends: vllm\nrouting: {prefixes: [acme, ac]}\n")
    rmSync(join(daemon.folder, "models.yaml"))
    expect(await reload()).toMatchObject({
      status: 422,
      findings: [{ file: "models.yaml", message: expect.stringMatching(/^the loaded models\.yaml is gone/) }]
    })
    writeFileSync(join(daemon.folder, "models.yaml"), "special_rules:\n  generic_names: [yyy]\n")
    expect(await reload()).toMatchObject({ status: 200, changed: [] })
  })

  it("lets a stream of an endpoint that it removes end, counts it to its end, and forgets the endpoint then", async () => {
    const stream = await streaming(daemon.port, "x")
    daemon.rewrite(alone())
    await reload()
    expect((await endpointsOf()).map(({ name }) => name)).toEqual(["one"])
    expect((await statusOf()).system.active_connections).toBe(1)
    expect((await say("x")).status).toBe(404)
    const total = (await statusOf()).system.total_requests
    expect(await stream.whole).toContain("data: [DONE]")
    await eventually(
      async () => (await statusOf()).system.active_connections,
      (active) => active === 0
    )
    expect((await statusOf()).system.total_requests).toBeGreaterThan(total)
    daemon.rewrite(both())
    await reload()
    await eventually(endpointsOf, (all) => all.some(({ name, model_count }) => name === "two" && model_count === 1))
    expect((await say("x")).status).toBe(200)
  })

  it("that gives an endpoint another URL loses no request for a model that only it has, and what is new can be asked after the answer", async () => {
    const third = await startBackend({ kind: "ollama", models: ["x", "y"] })
    const yaml = (backend: SimulatedBackend) =>
      endpointsYaml(
        [
          { name: "one", backend: one },
          { name: "two", backend }
        ],
        rareChecks
      )
    let over = false
    const statuses: Array<number> = []
    const asking = async () => {
      while (!over) statuses.push((await say("x")).status)
    }
    const all = [asking(), asking()]
    daemon.rewrite(yaml(third))
    expect((await reload()).status).toBe(200)
    expect((await say("y")).status).toBe(200)
    daemon.rewrite(yaml(two))
    await reload()
    over = true
    await Promise.all(all)
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect((await endpointsOf()).map(({ name }) => name)).toEqual(["one", "two"])
    await third.stop()
  })

  it("told of by many at once is read as it is then, by few readings", async () => {
    const before = records("Configuration reloaded").length
    daemon.rewrite(both("model_aliases: {small: [n]}\n"))
    const all = await Promise.all(Array.from({ length: 20 }, reload))
    expect(new Set(all.map(({ status, generation }) => `${status} ${generation}`))).toEqual(new Set([`200 ${all[0]?.generation}`]))
    expect(records("Configuration reloaded").length - before).toBeLessThan(all.length)
  })
})

describe("the watch", () => {
  it("follows an edited file, one that is put in its place, and a secret behind swapped links", async () => {
    const { folder } = daemon
    mkdirSync(join(folder, "v1"))
    mkdirSync(join(folder, "v2"))
    writeFileSync(join(folder, "v1/token"), "first")
    writeFileSync(join(folder, "v2/token"), "second")
    symlinkSync("v1", join(folder, "..data"))
    symlinkSync("..data/token", join(folder, "token"))
    const generation = async () => (await statusOf()).config.generation as number
    const became = async (change: () => void) => {
      const before = await generation()
      change()
      expect(await eventually(generation, (now) => now > before)).toBe(before + 1)
    }
    const yaml = (more: string) => both(more, ", auth: {type: bearer, token_file: token}")
    daemon.rewrite(yaml("").replace("discovery:", "discovery:"))
    const text = await import("node:fs").then(({ readFileSync }) => readFileSync(join(folder, "olla.yaml"), "utf8"))
    const watching = (more = "") => `${text.replace("server:", "server:\n  watch_config: true")}${more}`
    writeFileSync(join(folder, "olla.yaml"), watching())
    expect((await reload()).changed).toContain("server.watch_config")
    await became(() => {
      writeFileSync(join(folder, "new.yaml"), watching("model_aliases: {a: [m]}\n"))
      renameSync(join(folder, "new.yaml"), join(folder, "olla.yaml"))
    })
    await became(() => writeFileSync(join(folder, "olla.yaml"), watching("model_aliases: {b: [m]}\n")))
    await became(() => {
      symlinkSync("v2", join(folder, "..next"))
      renameSync(join(folder, "..next"), join(folder, "..data"))
    })
    const told = await eventually(
      () => records("Configuration reloaded").at(-1),
      (last) => JSON.stringify(last).includes("token_file")
    )
    expect(told).toMatchObject({
      trigger: "watch",
      changes: [{ key: "discovery.static.endpoints.one.auth.token_file", before: "changed", after: "changed" }]
    })
    await eventually(
      () => one.requests.at(-1)?.header("authorization"),
      (value) => value === "Bearer second"
    )
  })
})
