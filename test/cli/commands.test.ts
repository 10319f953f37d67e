/** What each command writes where, and its exit code. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import {
  healthcheck,
  routesCommand,
  showCommand,
  type ValidateDocument,
  validateCommand,
  validateReport
} from "../../src/configCommands.ts"
import { run } from "./run.ts"

const root = join(import.meta.dirname, "..", "..")

/** A folder with files in it; what a command says there. */
const inFolder = (files: Readonly<Record<string, string>>) => {
  const cwd = mkdtempSync(join(tmpdir(), "olla-cli-"))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(cwd, path, ".."), { recursive: true })
    writeFileSync(join(cwd, path), content)
  }
  const said =
    (command: (options: { cwd: string; env: Record<string, string>; configFile?: string }, out: (text: string) => void) => number) =>
    (env: Record<string, string> = {}, configFile?: string) => {
      let out = ""
      const code = command({ cwd, env, ...(configFile === undefined ? {} : { configFile }) }, (text) => {
        out += text
      })
      return { code, out }
    }
  return {
    report: said(validateReport),
    validate: said((options, out) => validateCommand(options, false, out)),
    json: (env: Record<string, string> = {}) => {
      const { code, out } = said((options, write) => validateCommand(options, true, write))(env)
      return { code, document: JSON.parse(out) as ValidateDocument }
    },
    show: said((options, out) => showCommand(options, false, out)),
    showJson: said((options, out) => showCommand(options, true, out)),
    routes: said((options, out) => routesCommand(options, out))
  }
}

describe("olla", () => {
  it("lists the short routes where the configuration has them", () => {
    const listed = (config: string) => inFolder({ "config.yaml": config }).routes().out
    expect(listed("server: {root_routes: true}\n")).toMatch(/^\/v1\/messages +POST /m)
    expect(listed("server: {root_routes: false}\n")).not.toMatch(/^\/(?:v1|api)\//m)
    for (const path of ["chat", "generate", "embed", "embeddings", "show", "tags", "ps", "version"])
      expect(listed("server: {root_routes: false}\n")).toMatch(new RegExp(`^/olla/api/${path} `, "m"))
  })

  it("explains itself on standard error", async () => {
    expect(await run(["--help"])).toMatchObject({ code: 0, out: "", err: expect.stringContaining("Usage: olla") })
  })

  it("refuses what it does not know with usage on standard error and code 2", async () => {
    const { code, out, err } = await run(["servr"])
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(/^unknown command "servr"; the nearest one is "serve"\n\nUsage: /)
    expect(await run(["-x"])).toMatchObject({ code: 2, out: "", err: expect.stringContaining("flag provided but not defined: -x") })
  })

  it.each([
    [["--version"], {}],
    [["version"], {}],
    [["--validate-config", "--version"], {}],
    [[], { OLLA_SHOW_VERSION: "true" }]
  ])("%j says what it is: banner of 70 columns and seven lines, on standard error", async (args, env) => {
    const { code, out, err } = await run(args, env)
    expect({ code, out }).toEqual({ code: 0, out: "" })
    const lines = err.trimEnd().split("\n")
    expect(lines.slice(0, 4).map((line) => line.length)).toEqual([70, 70, 70, 70])
    expect(lines[1]).toMatch(/^\| +Olla v\S+ +\|$/)
    expect(lines[2]).toMatch(/^\| +one address for your inference servers +\|$/)
    expect(lines.slice(4).map((line) => line.split(":")[0])).toEqual(["Commit", "Built", "Using", "With", "For", "On", "By"])
  })

  it("paints its banner where colour was asked for, in 55 columns", async () => {
    const { err } = await run(["--version"], { FORCE_COLOR: "1" })
    const plain = err.replace(/\u001b\]8;;[^\u001b]*\u001b\\/g, "").replace(/\u001b\[[0-9;]*m/g, "")
    expect(err).toContain("\u001b[")
    expect(
      plain
        .split("\n")
        .slice(0, 8)
        .map((line) => [...line].length)
    ).toEqual(Array(8).fill(55))
  })

  it("prints the shipped configuration and nothing else", async () => {
    const { code, out } = await run(["--print-default-config"])
    expect(code).toBe(0)
    expect(out).toBe(readFileSync(join(root, "config", "config.yaml"), "utf8"))
  })

  it("validates a file that is named, before --config", async () => {
    expect(await run(["validate", join(root, "config.yaml"), "--config", "/nonexistent"])).toMatchObject({ code: 0, err: "" })
    expect(await run(["validate", "/nonexistent"])).toMatchObject({ code: 1, out: expect.stringContaining("no such file") })
    expect(await run(["validate", "/nonexistent", "--validate-config"])).toMatchObject({
      code: 1,
      out: expect.stringContaining("/nonexistent")
    })
  })
})

describe("--validate-config", () => {
  it("reports a clean folder line for line", () => {
    expect(inFolder({}).report()).toEqual({
      code: 0,
      out: `Olla Configuration Validation
==============================
[OK]   config.yaml  (none found, using built-in defaults)
[OK]   models.yaml  using embedded defaults
[OK]   profiles     12 profile(s) loaded

Result: PASS - all configuration files are valid
`
    })
  })

  it("names the files that are used", () => {
    const { out, code } = inFolder({
      "config/config.local.yaml": "",
      "config/config.yaml": "server: [",
      "models.yaml": "special_rules: {generic_names: [a]}"
    }).report()
    expect(code).toBe(0)
    expect(out).toContain("[OK]   config.yaml  loaded from config/config.local.yaml\n[OK]   models.yaml  loaded from models.yaml\n")
  })

  it("writes all three lines when the first has failed, with file, line and column of each mistake", () => {
    const { out, code } = inFolder({
      "config.yaml": "server:\n  port: 0\n  read_timeout: 30\n",
      "models.yaml": 'x: "\\d"',
      "config/profiles/bad.yaml": "version: 1"
    }).report()
    expect(code).toBe(1)
    const lines = out.split("\n")
    expect(lines.filter((line) => line.startsWith("["))).toEqual([
      "[FAIL] config.yaml  cannot use config.yaml (2 issue(s))",
      "[WARN] models.yaml  using embedded defaults (1 issue(s))",
      "[WARN] profiles     12 profile(s) loaded (1 issue(s))"
    ])
    expect(lines).toContain("         - config.yaml:2:9: server.port must be between 1 and 65535, got 0 (for example `port: 40114`)")
    expect(out).toMatch(/ {9}- config\.yaml:3:17: failed to parse config\.yaml: yaml: line 3: .*`30`/)
    expect(out).toMatch(/\nResult: FAIL - one or more configuration files could not be fully parsed\n$/)
  })

  it("tells unknown keys and missing secrets, which a start would refuse, and no keys that do nothing", () => {
    const { out, code } = inFolder({
      "config.yaml":
        'proxy: {retry: {enabled: true}, max_retries: 9}\nserver: {prot: 1}\ndiscovery: {static: {endpoints: [{url: "http://h:1", auth: {type: bearer, token: "${NOBODY_SET_THIS}"}}]}}\n'
    }).report()
    expect(code).toBe(1)
    expect(out).toContain("[FAIL] config.yaml  cannot use config.yaml (2 issue(s))")
    expect(out).toContain("server.prot; did you mean server.port?")
    expect(out).toContain(
      'endpoint "h:1": bearer token: required environment variable "NOBODY_SET_THIS" is not set (for example `token: "${NOBODY_SET_THIS:-fallback}"`)'
    )
  })

  it("fails for what a start would refuse, without the secret", () => {
    const { out } = inFolder({ "config.yaml": 'discovery: {static: {endpoints: [{url: "http://joe:hunter2@h:1", name: gpu}]}}\n' }).report()
    expect(out).toContain("[FAIL] config.yaml")
    expect(out).toContain("must not embed credentials")
    expect(out).not.toContain("hunter2")
  })
})

describe("validate", () => {
  it("says nothing wrong", () => {
    expect(inFolder({}).validate()).toEqual({ code: 0, out: "built-in defaults: nothing wrong\n" })
    expect(inFolder({ "config.yaml": "{}" }).validate()).toEqual({ code: 0, out: "config.yaml: nothing wrong\n" })
  })

  it.each(["", "# later\n", "---\n", "null\n", "\ufeff"])("says that %j says nothing, with the defaults in force", (text) => {
    const folder = inFolder({ "config.yaml": text })
    expect(folder.validate()).toEqual({ code: 0, out: "config.yaml: says nothing, the built-in defaults are in force\n" })
    expect(folder.report()).toMatchObject({ code: 0 })
  })

  it("tells mistakes of file, endpoints and variables in the order of the file", () => {
    const { code, out } = inFolder({
      "config.yaml": "server:\n  prot: 1\ndiscovery:\n  static:\n    endpoints:\n      - url: http://h:1\n        type: olama\n"
    }).validate({ OLLA_SERVER_PORT: "80a" })
    expect(code).toBe(1)
    expect(out.split("\n")).toEqual([
      'warning: Environment variable ignored, its value cannot be used: OLLA_SERVER_PORT="80a", expected a whole number',
      "config.yaml:2:3: warning: Unknown key in the configuration, it has no effect: server.prot; did you mean server.port?",
      expect.stringMatching(
        /^config\.yaml:7:9: error: .*unsupported endpoint type: olama, .*did you mean "ollama"\? \(for example `type: ollama`\)$/
      ),
      "config.yaml: 1 error, 2 warnings",
      ""
    ])
  })

  it("is one document for machines", () => {
    expect(inFolder({ "config.yaml": "server: {port: x, prot: 1}\n" }).json()).toEqual({
      code: 1,
      document: {
        file: "config.yaml",
        ok: false,
        errors: 1,
        warnings: 1,
        findings: [
          {
            severity: "error",
            message: "server.port needs a whole number, got `x`",
            file: "config.yaml",
            line: 1,
            column: 16,
            key: "server.port",
            example: "port: 40114"
          },
          {
            severity: "warning",
            message: "Unknown key in the configuration, it has no effect: server.prot; did you mean server.port?",
            file: "config.yaml",
            line: 1,
            column: 19,
            key: "server.prot",
            suggestion: "server.port"
          }
        ]
      }
    })
    const broken = { "models.yaml": "a: [\n", "config/models.yaml": "version: 1\n" }
    expect(inFolder(broken).json().document.findings).toEqual([
      { severity: "warning", message: expect.stringMatching(/^the \[ that begins here/), file: "models.yaml", line: 1, column: 1 },
      { severity: "warning", message: "parsed but contains no configuration", file: "config/models.yaml" }
    ])
    expect(inFolder({}).json()).toEqual({ code: 0, document: { file: "", ok: true, errors: 0, warnings: 0, findings: [] } })
  })

  it("refuses a folder, a file that is not UTF-8, and one that is no YAML, each in its words", () => {
    const folder = inFolder({ "config.yaml/inside": "" })
    expect(folder.validate()).toMatchObject({ code: 1, out: expect.stringContaining("cannot read config.yaml: is a directory") })
    expect(folder.validate({ OLLA_CONFIG_FILE: "gone.yaml" }).out).toContain(
      "specified config file not found: gone.yaml (OLLA_CONFIG_FILE: no such file"
    )
    expect(folder.validate({ OLLA_CONFIG_FILE: "config.yaml" }).out).toContain(
      "specified config file cannot be read: config.yaml (OLLA_CONFIG_FILE: is a directory)"
    )
    const latin = inFolder({})
    const path = join(mkdtempSync(join(tmpdir(), "olla-cli-")), "l.yaml")
    writeFileSync(path, Buffer.from("server:\n  host: caf\xe9\n", "latin1"))
    expect(latin.validate({}, path).out).toContain(`${path}:2:1: error: the text is not UTF-8`)
  })
})

describe("config show", () => {
  const yaml =
    'server: {port: 4242}\ndiscovery:\n  static:\n    endpoints:\n      - url: http://h:1/?api_key=sk-1\n        auth: {type: bearer, token: hush}\n        headers: {X-A: hush}\nmodel_aliases: {"gpt-4.1": [a]}\n'

  it("prints what is in force with its origin, and no secret", () => {
    const { code, out } = inFolder({ "config.yaml": yaml }).show({ OLLA_SERVER_READ_TIMEOUT: "90s" })
    expect(code).toBe(0)
    const line = (key: string) =>
      out
        .split("\n")
        .find((each) => each.trimStart().startsWith(`${key}:`))
        ?.replace(/ +#/, " #")
        .trim()
    expect(line("port")).toBe("port: 4242 # config.yaml:1")
    expect(line("read_timeout")).toBe('read_timeout: "1m30s" # OLLA_SERVER_READ_TIMEOUT')
    expect(line("host")).toBe('host: "localhost" # default')
    expect(line("token")).toBe('token: "********" # config.yaml:6')
    expect(line("X-A")).toBe('X-A: "********" # config.yaml:7')
    expect(line('"gpt-4.1"')).toBe('"gpt-4.1": ["a"] # config.yaml:8')
    expect(out).not.toMatch(/hush|sk-1/)
  })

  it.each(["", "traffic: {enabled: false}\n", "traffic: {queue: {max_wait: 0s}}\nproxy: {load_balancer: adaptive}\n"])(
    "can be loaded again and is then the same: %j",
    (more) => {
      const first = inFolder({ "config.yaml": yaml + more }).show().out
      const again = inFolder({ "config.yaml": first })
      // A query in the URL of an endpoint, which must not be shown either, is worth a warning.
      expect(again.validate().out).toMatch(/: 0 errors, 1 warning\n$/)
      const bare = (text: string) => text.replace(/ +#.*/g, "")
      expect(bare(again.show().out)).toBe(bare(first))
    }
  )

  it("is a list for machines", () => {
    const { values } = JSON.parse(inFolder({ "config.yaml": yaml }).showJson().out) as {
      values: ReadonlyArray<{ path: string; value: unknown; origin: string }>
    }
    expect(values).toContainEqual({ path: "server.port", value: 4242, origin: "config.yaml:1" })
    expect(values).toContainEqual({ path: "discovery.static.endpoints[0].auth.token", value: "********", origin: "config.yaml:6" })
  })

  it("tells mistakes instead of a configuration that no daemon would start with", () => {
    expect(inFolder({ "config.yaml": "server: {port: x}" }).show()).toMatchObject({
      code: 1,
      out: expect.stringContaining("server.port needs")
    })
  })
})

describe("healthcheck", () => {
  const asking = async (answer: (response: ServerResponse) => void): Promise<readonly [number, string]> => {
    const server = createServer((_request, response) => answer(response))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    let err = ""
    const code = await healthcheck({ cwd: tmpdir(), env: { OLLA_SERVER_PORT: String(port) } }, (text) => {
      err += text
    })
    server.close()
    server.closeAllConnections()
    return [code, err]
  }

  it("is 0 for a daemon that is alive, also when it refuses the asker", async () => {
    expect(await asking((response) => response.end("{}"))).toEqual([0, ""])
    expect(await asking((response) => response.writeHead(429, { "X-Olla-Request-ID": "a" }).end())).toEqual([0, ""])
  })

  it("is 1 with a reason for everything else", async () => {
    expect(await asking((response) => response.writeHead(404).end())).toEqual([1, expect.stringContaining("/internal/health answered 404")])
    expect(await asking((response) => response.destroy())).toEqual([1, expect.stringContaining("no healthy Olla at 127.0.0.1:")])
  })
})
