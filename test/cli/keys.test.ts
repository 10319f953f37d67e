/** `olla keys`, in a folder of its own. */
import { spawn } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { hashOf, isWholeKey } from "../../src/guard/keys/KeyForm.ts"
import { keysCommand } from "../../src/keysCommand.ts"
import { type KeysLine, keysLineProblem } from "../../src/keysLine.ts"
import type { FlagName } from "../../src/usage.ts"

const opened = () => {
  const cwd = mkdtempSync(join(tmpdir(), "olla-keys-"))
  const run = async (words: ReadonlyArray<string>, flags: Partial<Record<FlagName, string | true>> = {}, input = "") => {
    const line: KeysLine = {
      words,
      on: new Set(Object.keys(flags).filter((name) => flags[name as FlagName] === true) as ReadonlyArray<FlagName>),
      values: new Map(
        Object.entries({ file: "keys.yaml", ...flags }).filter(([, value]) => value !== true) as ReadonlyArray<[FlagName, string]>
      )
    }
    let [out, err] = ["", ""]
    const code = await keysCommand(
      line,
      { cwd, env: {} },
      {
        out: (text) => {
          out += text
        },
        err: (text) => {
          err += text
        },
        input: async () => input
      }
    )
    return { code, out, err }
  }
  return { cwd, run, file: join(cwd, "keys.yaml") }
}

describe("olla keys", () => {
  it("adds, checks, rotates, revokes and purges; comments and order stay", async () => {
    const { run, file } = opened()
    const added = await run(["add", "ci"], { models: "qwen3*,small", "exclude-models": "*-x", rpm: "60", note: "for: nights" })
    expect(added.code).toBe(0)
    const key = added.out.trim()
    expect(isWholeKey(key)).toBe(true)
    expect(added.err).not.toContain(key)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, "utf8")).toContain(hashOf(key))
    writeFileSync(file, `# ours\n${readFileSync(file, "utf8")}# the end\n`)
    chmodSync(file, 0o640)
    expect(await run(["check"], {}, `${key}\n`)).toMatchObject({ code: 0, out: "ci active\n" })
    expect(await run(["check"], {}, key.slice(1))).toMatchObject({ code: 1, out: "" })
    const rotated = await run(["rotate", "ci"], { grace: "24h" })
    expect((await run(["check"], {}, key)).code).toBe(0)
    expect((await run(["check"], {}, rotated.out)).out).toBe("ci active\n")
    expect((await run(["revoke", "ci"], { now: true })).code).toBe(0)
    expect(await run(["revoke", "ci"], { now: true })).toMatchObject({ code: 0, err: 'key "ci" was revoked before\n' })
    const { keys } = JSON.parse((await run(["list"], { json: true })).out)
    expect(keys).toMatchObject([
      {
        name: "ci",
        state: "revoked",
        models: { include: ["qwen3*", "small"], exclude: ["*-x"] },
        requests_per_minute: 60,
        note: "for: nights"
      }
    ])
    expect(JSON.stringify(keys)).not.toMatch(/sha256|olla_/)
    const text = readFileSync(file, "utf8")
    expect([text.startsWith("# ours\n"), text.includes("# the end")]).toEqual([true, true])
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect((await run(["revoke", "ci"], { purge: true })).code).toBe(0)
    expect(JSON.parse((await run(["list"], { json: true })).out).keys).toEqual([])
  })

  it("says what is wrong, and changes nothing then", async () => {
    const { run, file, cwd } = opened()
    expect(await run(["list"])).toMatchObject({ code: 1, out: "" })
    await run(["add", "kim"])
    const before = readFileSync(file, "utf8")
    expect((await run(["add", "KIM"])).err).toContain("is taken")
    expect((await run(["revoke", "kin"])).err).toContain('did you mean "kim"')
    expect((await run(["add", "x"], { import: true }, "short")).err).toContain("20 to 512")
    expect((await run(["add", "x"], { group: "nobody" })).err).toContain("no such group")
    expect(readFileSync(file, "utf8")).toBe(before)
    writeFileSync(file, `${before}  - {name: broken}\n`)
    expect((await run(["add", "y"])).code).toBe(1)
    expect((await run(["list"], { file: join(cwd, "no", "such", "folder.yaml") })).code).toBe(1)
  })

  it("replaces the file that a link leads to", async () => {
    const { run, cwd, file } = opened()
    mkdirSync(join(cwd, "real"))
    writeFileSync(join(cwd, "real", "k.yaml"), "keys: []\n")
    symlinkSync(join("real", "k.yaml"), file)
    expect((await run(["add", "kim"])).code).toBe(0)
    expect(readFileSync(join(cwd, "real", "k.yaml"), "utf8")).toContain("kim")
  })

  it("loses nobody where many are made at once, and takes over what a dead process left behind", async () => {
    const { run, file } = opened()
    const gone = spawn(process.execPath, ["-e", ""])
    await new Promise((resolve) => gone.once("close", resolve))
    writeFileSync(`${file}.lock`, `${gone.pid}\n`)
    const done = await Promise.all(Array.from({ length: 50 }, (_, i) => run(["add", `n${i}`])))
    expect(done.map(({ code }) => code)).toEqual(done.map(() => 0))
    expect(JSON.parse((await run(["list"], { json: true })).out).keys).toHaveLength(50)
  })

  it.each([
    [[], {}, /needs a word/],
    [["ad", "x"], {}, /unknown "ad"/],
    [["add"], {}, /needs a name/],
    [["add", "a b"], {}, /is no name/],
    [["add", "other"], {}, /something else/],
    [["check", `olla_${"x".repeat(49)}`], {}, /read from standard input/],
    [["add", "x"], { rpm: "-1" }, /no whole number/],
    [["add", "x"], { expires: "soon" }, /is no time/],
    [["rotate", "x"], { grace: "0s" }, /is no time/]
  ] as const)("%j %j is wrong usage", (words, flags, message) => {
    const values = new Map(Object.entries(flags)) as unknown as KeysLine["values"]
    const said = keysLineProblem({ words, on: new Set(), values })
    expect(said).toMatch(message)
    expect(said).not.toContain("xxxx")
  })
})
