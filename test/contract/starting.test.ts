/** How a daemon starts, as an operator sees it: streams, exit codes, log records. */
import { existsSync, readFileSync } from "node:fs"
import { createServer as createTcpServer } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { freePort } from "./freePort.ts"
import { endpoints, listening, type Run, server, silent, start } from "./lifecycle.ts"

const messages = (run: Run): ReadonlyArray<unknown> => run.records().map((record) => record["msg"])

describe("a start", () => {
  it("writes its records in order, as JSON from the first line to the last, and the banner elsewhere", async () => {
    const port = await freePort()
    const run = start(`${server(port)}${endpoints(`http://127.0.0.1:${await freePort()}`)}engineering: {show_nerdstats: true}\n`)
    await run.saw("Olla started")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
    expect(run.out()).not.toContain("\u001b")
    const told = messages(run)
    const steps = ["Initialising", "Loaded configuration", "No endpoint reachable", `Send requests to http://127.0.0.1:${port}/v1`]
    steps.push("Olla started", "Shutdown signal received", "Process Memory Stats", "Cleaned up", "Olla has shutdown")
    const places = steps.map((step) => told.indexOf(step))
    expect(
      places.every((place) => place >= 0),
      JSON.stringify(told)
    ).toBe(true)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(run.records()[1]).toMatchObject({ level: "INFO", config: "olla.yaml" })
    expect(run.records()[places[4] ?? 0]).toMatchObject({ endpoints: "0/1", models: 0 })
    expect(places[4]).toBeLessThan(15)
    expect(run.err()).toMatch(/^\+-{68}\+\n/)
    expect(existsSync(join(run.cwd, "logs"))).toBe(false)
  })

  it("ends with 1 at a busy port, without waiting for a single probe", async () => {
    const busy = await listening(createTcpServer())
    const run = start(server(busy) + endpoints(await silent()))
    expect(await run.ended).toBe(1)
    expect(run.records().at(-1)).toMatchObject({
      level: "ERROR",
      msg: "Failed to create and start service manager",
      error: expect.stringContaining(`failed to bind 127.0.0.1:${busy}: `)
    })
    const told = String(run.records().at(-1)?.["error"])
    expect(told).toContain("OLLA_SERVER_PORT")
    if (process.platform === "linux") expect(told).toContain(`process ${process.pid} holds it (`)
  })

  it.each([
    ["server: {host: 203.0.113.7}\n", "OLLA_SERVER_HOST"],
    ["server: {host: no-such-name.invalid}\n", "OLLA_SERVER_HOST"]
  ])("says how to go on where it cannot listen: %j", async (yaml, variable) => {
    const run = start(yaml + endpoints())
    expect(await run.ended).toBe(1)
    expect(run.records().at(-1)?.["error"]).toContain(variable)
  })

  it.each([
    [
      "server: {port: 0}\nproxy: {engine: x}\n",
      "Failed to load configuration",
      ["olla.yaml:1:16", "olla.yaml:2:17", "unknown proxy implementation: x"]
    ],
    [
      "proxy: {load_balancer: adaptive}\ntraffic:\n  enabled: false\n  failover: {max_attempts: 11}\n  rules: [{match: {client: [here]}}]\nmodel_aliases: {a: {policy: chain}}\n",
      "Failed to load configuration",
      [
        "olla.yaml:1:9: proxy.load_balancer must be priority, round-robin or least-connections",
        "olla.yaml:4:28: traffic.failover.max_attempts must be from 1 to 10, got 11",
        "olla.yaml:5:29: traffic.rules[0].match.client must be a network",
        "olla.yaml:6:17: model_aliases.a.targets must be at least one model, got none"
      ]
    ],
    ["model_aliases: {a: []}\n", "Invalid model alias configuration", ['model alias "a" has no actual models configured']],
    [
      'discovery: {static: {endpoints: [{url: "http://h:1", name: gpu-a, auth: {type: bearer, token: "${NOBODY_SET_THIS}"}}]}}\n',
      "Failed to create and start service manager",
      ["failed to load endpoints from config", "olla.yaml:1:", "gpu-a", 'required environment variable "NOBODY_SET_THIS" is not set']
    ],
    ["server: [\n", "Failed to load configuration", ["failed to parse olla.yaml: yaml: line"]]
  ])("%j ends with 1 and one record of everything", async (yaml, message, texts) => {
    // A line of JSON each, as every other record of such a start would be.
    const run = start(yaml)
    expect(await run.ended).toBe(1)
    const fatal = run.records().filter((record) => record["level"] === "ERROR")
    expect(fatal).toHaveLength(1)
    expect(fatal[0]?.["msg"]).toBe(message)
    for (const text of texts) expect(fatal[0]?.["error"]).toContain(text)
  })

  it.each([
    ["logging: {format: text}\nserver: {port: 0}\n", {}],
    ["server: [\n", { OLLA_LOGGING_FORMAT: "text" }],
    ["server: [\n", { OLLA_PRETTY_LOGS: "true" }]
  ])("%j with %j is told as text, where that was asked for", async (yaml, env) => {
    const run = start(yaml, { ...env, NO_COLOR: "1" })
    expect(await run.ended).toBe(1)
    expect(run.out()).toMatch(/^time=\S+ level=ERROR msg="Failed to load configuration" error=.*olla\.yaml/m)
    expect(run.out()).not.toMatch(/^\{/m)
  })

  it("tells what it ignores, with the fields that name it", async () => {
    const run = start(`${server(await freePort())}proxy: {profil: auto}\nlogging: {level: loud}\n${endpoints()}`, {
      OLLA_SERVER_READ_TIMEOUT: "5",
      OLLA_PROXY_ENGIN: "x",
      OLLA_SERVER_A: "x"
    })
    await run.saw("Olla started")
    const warnings = run.records().filter((record) => record["level"] === "WARN")
    expect(warnings).toContainEqual(expect.objectContaining({ key: "proxy.profil", line: 2, suggestion: "proxy.profile" }))
    expect(warnings).toContainEqual(expect.objectContaining({ variable: "OLLA_SERVER_READ_TIMEOUT", value: "5" }))
    expect(warnings).toContainEqual(expect.objectContaining({ variables: ["OLLA_PROXY_ENGIN", "OLLA_SERVER_A"] }))
    expect(warnings).toContainEqual(
      expect.objectContaining({ msg: "Invalid logging.level in config, falling back to default", configured: "loud", default: "info" })
    )
  })

  it("opens a log file when it is asked to, and goes on where that cannot be", async () => {
    const yaml = `${server(await freePort())}logging: {output: file}\n${endpoints()}`
    const run = start(yaml)
    await run.saw("Olla started")
    run.child.kill("SIGTERM")
    await run.ended
    const filed = readFileSync(join(run.cwd, "logs", "olla.log"), "utf8")
      .trimEnd()
      .split("\n")
    expect(filed).toEqual(run.out().trimEnd().split("\n"))
    const barred = start(yaml, { OLLA_LOG_DIR: "/proc/nowhere" })
    await barred.saw("Olla started")
    expect(barred.out()).toContain("The log file cannot be opened")
  })

  it("takes level and form of OLLA_LOG_* where file and OLLA_LOGGING_* say nothing", async () => {
    const plain = start(server(await freePort()) + endpoints(), { OLLA_PRETTY_LOGS: "true", OLLA_LOG_LEVEL: "debug", NO_COLOR: "1" })
    await plain.saw("Olla started")
    plain.child.kill("SIGTERM")
    await plain.ended
    expect(plain.out()).toMatch(/^time=\S+ level=DEBUG /m)
    expect(plain.out()).not.toMatch(/^\{/m)
    const written = start(`${server(await freePort())}logging: {level: info, format: json}\n${endpoints()}`, {
      OLLA_PRETTY_LOGS: "true",
      OLLA_LOG_LEVEL: "error"
    })
    await written.saw("Olla started")
    expect(messages(written)).toContain("Loaded configuration")
  })
})
