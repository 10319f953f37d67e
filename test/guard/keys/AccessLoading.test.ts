import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../../src/config/ConfigLoading.ts"
import { render } from "../../../src/config/Diagnostic.ts"
import type { OllaConfig } from "../../../src/config/OllaConfig.ts"
import { Access } from "../../../src/guard/keys/Access.ts"
import { readAccess } from "../../../src/guard/keys/AccessLoading.ts"
import { hashOf, makeKey } from "../../../src/guard/keys/KeyForm.ts"
import { isLong, treeApart } from "../../../src/guard/keys/TreeApart.ts"

const key = makeKey()
const hash = hashOf(key)

const read = (file: string, access = "keys_file: keys.yaml", env: Record<string, string> = {}, live = false) => {
  const { config, diagnostics } = decodeConfig(`access: {${access}}`, "c.yaml", env)
  const own = readAccess(config as OllaConfig, { env, readFile: () => file }, live)
  return { ...own, all: [...diagnostics, ...own.diagnostics].map(render) }
}

describe("a keys file", () => {
  const wrong: ReadonlyArray<readonly [string, RegExp]> = [
    [
      `keys: [{name: a, hash: "${hash}", modles: [x]}]`,
      /keys\.yaml:1:\d+: entry "a": keys\[0\]\.modles is no key here; did you mean models\?/
    ],
    [`keys: [{name: a, hash: "${hash}"}, {name: A, hash: "sha256:${"0".repeat(64)}"}]`, /"A" is the name of keys\[0\] too/],
    [`keys: [{name: a, hash: "${hash}"}, {name: b, hash: "${hash}"}]`, /is the same key as that of "a"/],
    ["keys: [{name: a}]", /is recognised by nothing/],
    [`keys: [{name: other, hash: "${hash}"}]`, /stands for something else/],
    [`keys: [{name: "a b", hash: "${hash}"}]`, /is no name/],
    [`keys: [{name: a, hash: "${hash}", models: []}]`, /is an empty list/],
    [`keys: [{name: a, hash: "${hash}", models: ["a*b*c"]}]`, /is no pattern/],
    [`keys:\n  - name: a\n    hash: "${hash}"\n    models:\n`, /keys\.yaml:4:5: .*models says nothing/],
    [`keys: [{name: a, hash: "${hash}", expires: 2027-02-30}]`, /is no time/],
    [`keys: [{name: a, hash: "${hash}", requests_per_minute: many}]`, /needs a whole number/],
    [`keys: [{name: a, hash: "${hash}", tokens_per_minute: -1}]`, /needs a whole number/],
    [`keys: [{name: a, hash: "${hash}", group: resaerch}]\ngroups: {research: {}}`, /no such group; did you mean research\?/],
    [`keys: [{name: a, networks: ["10.0.0.0/64"]}]`, /prefix out of range/],
    [`keys: [{name: a, key: short}]`, /must have 20 to 512 characters/],
    [`keys: [{name: a, key: "\${NOT_THERE}"}]`, /"NOT_THERE" is not set/],
    [`keys: [{name: a, key: "${key.slice(0, -1)}"}]`, /cut off or mistyped/],
    [`kyes: []`, /kyes is no key of a keys file/],
    [`keys: [{name: a, hash: "${hash}", hash: "${hash}"}]`, /keys\.yaml/],
    ["keys: [", /keys\.yaml/]
  ]
  it.each(wrong)("%s is refused with its place, and without a secret", (file, message) => {
    const { access, all } = read(file)
    expect(access).toBeUndefined()
    expect(all.join("\n")).toMatch(message)
    for (const part of [key.slice(5, 20), hash.slice(10, 30)]) expect(all.join("\n")).not.toContain(part)
  })

  it("without entries lets nobody in and says so; while the daemon runs an empty one is half written", () => {
    expect(read("keys: []").access?.table.entries).toEqual([])
    expect(read("").all.join()).toContain("nobody gets in")
    expect(read("", "keys_file: keys.yaml", {}, true).access).toBeUndefined()
  })

  it.each([
    ["keys_fil: a", /did you mean access\.keys_file/],
    ["anonymous: {requests_per_minut: 5}, keys_file: k", /did you mean requests_per_minute/],
    ["anonymous: maybe, keys_file: k", /anonymous/]
  ])("a section with %s is an error", (section, message) => {
    expect(read("keys: []", section).all.join("\n")).toMatch(message)
    expect(read("keys: []", section).all.some((line) => / is | unknown /.test(line))).toBe(true)
  })

  it("a variable that is set and empty is an error", () => {
    for (const name of ["OLLA_ACCESS_KEYS_FILE", "OLLA_ACCESS_API_KEY", "OLLA_ACCESS_ANONYMOUS", "OLLA_SERVER_TLS_CERT_FILE"])
      expect(decodeConfig("", "c.yaml", { [name]: "" }).diagnostics.filter(({ severity }) => severity === "error")).toMatchObject([
        { severity: "error", message: `${name} is set and empty: give it a value, or unset it` }
      ])
  })
})

describe("a long keys file", () => {
  const long = (last: string) =>
    `keys:\n${Array.from({ length: 1_000 }, (_, i) => `  - {name: k${i}, hash: "sha256:${i.toString(16).padStart(64, "0")}"}\n`).join("")}${last}`
  const apart = async (file: string) => {
    expect(isLong(file)).toBe(true)
    const tree = await treeApart(file)
    const { config } = decodeConfig("access: {keys_file: keys.yaml}", "c.yaml", {})
    return readAccess(config as OllaConfig, { env: {}, readFile: () => file, parsed: () => tree }, true)
  }

  it("is parsed beside the loop, and is then the same", async () => {
    const file = long("")
    expect((await apart(file)).access?.table.entries).toEqual(read(file).access?.table.entries)
  })

  it.each([["  - {name: wrong}\n"], ["  - {name: [\n"]])("has %j told with its place all the same", async (last) => {
    const { access, diagnostics } = await apart(long(last))
    expect(access).toBeUndefined()
    expect(diagnostics.map(render)).toEqual(read(long(last)).diagnostics.map(render))
    expect(render(diagnostics[0] as (typeof diagnostics)[number])).toMatch(/^keys\.yaml:100[12]:/)
  })
})

describe("going from one file to another", () => {
  const entry = fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    disabled: fc.boolean(),
    rpm: fc.constantFrom(0, 5, 60),
    models: fc.constantFrom(undefined, ["small*"], ["big*"])
  })
  const files = fc.uniqueArray(entry, { selector: ({ name }) => name })
  const secrets = new Map(["a", "b", "c", "d"].map((name) => [name, makeKey()]))
  const textOf = (
    entries: ReadonlyArray<{
      readonly name: string
      readonly disabled: boolean
      readonly rpm: number
      readonly models: ReadonlyArray<string> | undefined
    }>
  ) =>
    JSON.stringify({
      keys: entries.map(({ name, disabled, rpm, models }) => ({
        name,
        hash: hashOf(secrets.get(name) as string),
        disabled,
        requests_per_minute: rpm,
        ...(models === undefined ? {} : { models })
      }))
    })
  const verdicts = (access: Access) =>
    [...secrets].map(([name, secret]) => {
      const { current } = access
      const found =
        current === undefined
          ? undefined
          : access.identify(
              current,
              {
                headers: { authorization: `Bearer ${secret}`, xApiKey: "", apiKey: "", hasConflict: false },
                path: "/v1/models",
                query: "",
                clientIp: "10.0.0.1",
                certificate: undefined,
                user: ""
              },
              0
            )
      if (found === undefined || "_tag" in found) return [name, found?.code]
      return [
        name,
        found.name,
        found.rules.requestsPerMinute,
        ["small:1b", "big:70b"].map((model) => found.permit?.allowsModel(model, "") !== false)
      ]
    })

  it("is the same as starting with the other", () => {
    fc.assert(
      fc.property(files, files, (before, after) => {
        const moved = new Access()
        moved.replace(read(textOf(before)).access, 0)
        moved.replace(read(textOf(after)).access, 1)
        const fresh = new Access()
        fresh.replace(read(textOf(after)).access, 1)
        expect(verdicts(moved)).toEqual(verdicts(fresh))
      }),
      { numRuns: 60 }
    )
  })
})
