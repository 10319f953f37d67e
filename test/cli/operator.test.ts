/** The commands that speak with a running daemon: what they say where, and their exit codes. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../contract/freePort.ts"
import { closing, start, streaming } from "../contract/lifecycle.ts"
import { run } from "./run.ts"

let port: number
let file: string
let stream: ServerResponse | undefined
const backends = ["only-a", "b"].map((model) =>
  createServer((req, res) => {
    req.resume()
    if (req.method === "POST") {
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.write("data: 1\n\n")
      stream = res
    } else res.end(JSON.stringify({ object: "list", data: ["m", model].map((id) => ({ id, object: "model" })) }))
  })
)
const urls: Array<string> = []
const yaml = (more = "") => `server: {host: 127.0.0.1, port: ${port}}
dashboard: {access_policy: {token: s3cret}}
discovery: {static: {endpoints: [
  {url: "${urls[0]}", name: gpu-a, type: openai-compatible, check_interval: 1h, check_timeout: 30s},
  {url: "${urls[1]}", name: gpu-b, type: openai-compatible, check_interval: 1h, check_timeout: 30s${more}}]}}
`
const ends: Array<() => void> = []

beforeAll(async () => {
  port = await freePort()
  for (const backend of backends) {
    await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve))
    urls.push(`http://127.0.0.1:${(backend.address() as AddressInfo).port}`)
  }
  const daemon = start(yaml())
  // One daemon for all of this file.
  ends.push(...closing.splice(0))
  await daemon.saw("Olla started")
  file = join(daemon.cwd, "olla.yaml")
})
afterAll(() => {
  for (const end of ends) end()
  for (const backend of backends) {
    backend.closeAllConnections()
    backend.close()
  }
})

const olla = (...args: ReadonlyArray<string>) => run([...args, "--config", file])

describe("olla status", () => {
  it("is a table of one line an endpoint", async () => {
    await olla("probe")
    const { code, out, err } = await olla("status")
    expect([code, err]).toEqual([0, ""])
    const lines = out.trimEnd().split("\n")
    expect(lines[1]).toBe("2 of 2 endpoints can be asked")
    expect(lines[3]).toBe("NAME   STATE    IN FLIGHT  MODELS  P95  WHY")
    expect(lines.slice(4)).toEqual(["gpu-a  healthy          0       2    -  -", "gpu-b  healthy          0       2    -  -"])
  })

  it("is the daemon's own document as JSON, as it came", async () => {
    const { code, out } = await olla("status", "--json")
    expect(code).toBe(0)
    expect(JSON.parse(out).endpoints.map(({ name, admin }: { name: string; admin: string }) => [name, admin])).toEqual([
      ["gpu-a", "active"],
      ["gpu-b", "active"]
    ])
  })
})

describe("olla drain and resume", () => {
  it("say what is so now, for how long, and what runs there", async () => {
    const drained = await olla("drain", "gpu-b", "--force", "--for", "10m", "--reason", "new driver")
    expect(drained).toMatchObject({ code: 0, err: "" })
    expect(drained.out).toContain('for 10m0s, or until "olla resume gpu-b"')
    expect(drained.out).toContain("A reload keeps it so, a restart of the daemon does not.")
    expect((await olla("status")).out).toMatch(/^gpu-b +drained +0 +2 +- +by an operator; healthy$/m)
    expect(await olla("resume", "gpu-b")).toEqual({ code: 0, out: "gpu-b is in service again; it is healthy.\n", err: "" })
  })

  it("wait until nothing runs there any more", async () => {
    await olla("drain", "gpu-b", "--force")
    const answer = await streaming(port)
    await olla("resume", "gpu-b")
    const waiting = olla("drain", "gpu-a", "--force", "--wait", "--json")
    while (!(await olla("status")).out.includes("draining")) await new Promise((resolve) => setImmediate(resolve))
    stream?.end("data: [DONE]\n\n")
    expect(await waiting).toEqual({ code: 0, out: '{"ok":true,"endpoint":"gpu-a","admin":"drained","in_flight":0}\n', err: "" })
    expect(await answer.whole).toContain("[DONE]")
    await olla("resume", "gpu-a")
  })

  it("are refused on standard error, with the way out", async () => {
    const lost = await olla("drain", "gpu-a")
    expect(lost).toEqual({ code: 1, out: "", err: "nobody else can serve only-a now; --force drains it all the same\n" })
    expect(JSON.parse((await olla("drain", "gpu-a", "--json")).out)).toMatchObject({
      ok: false,
      endpoint: "gpu-a",
      error: { code: "models_lost", models: ["only-a"] }
    })
    expect(await olla("resume", "gpu-q")).toMatchObject({ code: 1, out: "", err: expect.stringContaining('did you mean "gpu-a"?') })
  })
})

describe("olla probe", () => {
  it("looks at one endpoint, or at all", async () => {
    expect(await olla("probe", "gpu-a")).toEqual({ code: 0, out: "gpu-a is healthy, with 2 models\n", err: "" })
    const all = await olla("probe", "--json")
    expect(
      all.out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).endpoint)
        .sort()
    ).toEqual(["gpu-a", "gpu-b"])
  })
})

describe("olla reload", () => {
  it("tells what has changed, what is wrong where, and that nothing has", async () => {
    const before = readFileSync(file, "utf8")
    writeFileSync(file, yaml(", priority: 7"))
    const changed = await olla("reload")
    expect(changed).toMatchObject({ code: 0, err: "" })
    expect(changed.out).toContain("Changed:\n  discovery.static.endpoints.gpu-b.priority\n")
    expect((await olla("reload")).out).toMatch(/^Nothing has changed/)
    writeFileSync(file, yaml(", priority: high"))
    const wrong = await olla("reload")
    expect(wrong).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/olla\.yaml:5:\d+: .*priority/) })
    const told = JSON.parse((await olla("reload", "--json")).out)
    expect(told).toMatchObject({ ok: false, code: "config_invalid", findings: [{ severity: "error" }] })
    writeFileSync(file, before)
    expect(JSON.parse((await olla("reload", "--json")).out)).toMatchObject({ ok: true, restart_needed: [] })
  })
})

describe("a daemon that cannot be spoken with", () => {
  it("is told, with where it was looked for", async () => {
    const nobody = await freePort()
    const folder = mkdtempSync(join(tmpdir(), "olla-op-"))
    const other = join(folder, "olla.yaml")
    writeFileSync(other, `server: {port: ${nobody}}\n`)
    for (const args of [["status"], ["drain", "x"], ["resume", "x"], ["probe"], ["probe", "x"], ["reload"], ["status", "--watch"]]) {
      const { code, out, err } = await run([...args, "--config", other])
      expect([code, out], args.join(" ")).toEqual([1, ""])
      expect(err).toContain(`no Olla answers at http://127.0.0.1:${nobody}: nothing listens there`)
      expect(err).toContain(other)
    }
    expect(await run(["status", "--url", `127.0.0.1:${nobody}`])).toMatchObject({ code: 1, err: expect.not.stringContaining("olla.yaml") })
  })

  it("is another server", async () => {
    expect(await run(["status", "--url", urls[0] ?? ""])).toMatchObject({ code: 1, err: expect.stringContaining("is not Olla (HTTP 200)") })
  })

  it("is where a configuration says that cannot be read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "olla-op-"))
    const broken = join(folder, "olla.yaml")
    writeFileSync(broken, "server: [\n")
    expect(await run(["reload", "--config", broken])).toMatchObject({ code: 1, out: "", err: expect.stringContaining("--url") })
    expect(await run(["reload", "--config", join(folder, "gone.yaml")])).toMatchObject({
      code: 1,
      err: expect.stringContaining("gone.yaml")
    })
  })

  it("wants a token, and gets it from the configuration or from OLLA_TOKEN", async () => {
    const relay = createServer((req, res) => {
      req.resume()
      const headers = { ...req.headers, via: "1.1 relay" }
      void import("node:http").then(({ request }) => {
        const asking = request({ host: "127.0.0.1", port, path: req.url, method: req.method, headers }, (answer) => {
          res.writeHead(answer.statusCode ?? 0, answer.headers)
          answer.pipe(res)
        })
        asking.end()
      })
    })
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve))
    closing.push(() => relay.close())
    const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`
    const elsewhere = join(mkdtempSync(join(tmpdir(), "olla-op-")), "olla.yaml")
    writeFileSync(elsewhere, "server: {port: 1}\n")
    const resume = (env: Record<string, string>, config: string) => run(["resume", "gpu-a", "--url", url, "--config", config], env)
    expect(await resume({}, elsewhere)).toMatchObject({ code: 1, err: expect.stringMatching(/asks for a token: .*OLLA_TOKEN/) })
    expect(await resume({ OLLA_TOKEN: "other" }, file)).toMatchObject({ code: 1, err: expect.stringContaining("asks for another token") })
    expect(await resume({ OLLA_TOKEN: "s3cret" }, elsewhere)).toMatchObject({ code: 0, err: "" })
    expect(await resume({}, file)).toMatchObject({ code: 0, err: "" })
  })
})

describe("a command that is wrong", () => {
  it.each([
    [["drain"], /needs the name of an endpoint/],
    [["resume"], /needs the name of an endpoint/],
    [["drain", "a", "b"], /does not take "b"/],
    [["reload", "a"], /does not take "a"/],
    [["drain", "a", "--for"], /needs an argument/],
    [["drain", "a", "--for", "0s"], /no time above 0/],
    [["drain", "a", "--for", "10"], /write it as 10m/],
    [["resume", "a", "--for", "10m"], /--for belongs to "drain"/],
    [["serve", "--url", "http://x"], /--url belongs to/],
    [["status", "--url", "ftp://x"], /no address/],
    [["drian", "a"], /nearest one is "drain"/]
  ])("%j ends with 2 and says nothing on standard output", async (args, text) => {
    expect(await run(args)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(text) })
  })
})
