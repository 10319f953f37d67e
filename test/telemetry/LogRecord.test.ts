import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { makeKey } from "../../src/guard/keys/KeyForm.ts"
import { jsonLine, LogDuration, longestValue, prettyLine, textLine, zonedTime } from "../../src/telemetry/LogRecord.ts"
import { themeOf } from "../../src/telemetry/LogTheme.ts"

/** In the zone that the tests run in. */
const at = new Date(2026, 2, 4, 5, 6, 7, 89).getTime()
const zoned = zonedTime(at)
const unseenCharacter = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** All characters of those classes, but ESC, with which sequences begin that are taken away. */
const unseen = Array.from({ length: 0x11_0000 }, (_, code) => code)
  .filter((code) => (code < 0xd800 || code > 0xdfff) && code !== 0x1b)
  .map((code) => String.fromCodePoint(code))
  .filter((char) => unseenCharacter.test(char))
/** Any characters, halves of pairs too. fast-check's own strings of that kind cost seconds before the first. */
const anything = fc.array(fc.oneof(fc.nat(0x10ffff), fc.nat(0x2fff), fc.nat(0x7f))).map((codes) => String.fromCodePoint(...codes))
const ansi = "\u001b[31m"

describe("JSON", () => {
  it("starts with local timestamp, upper-case level and message, and adds the zoned time before the fields", () => {
    expect(jsonLine("info", "Loaded configuration", { config: "config/lab.yaml", n: 3, on: true, none: null }, at)).toBe(
      `{"timestamp":"2026-03-04 05:06:07","level":"INFO","msg":"Loaded configuration","time":"${zoned}","config":"config/lab.yaml","n":3,"on":true,"none":null}`
    )
    expect(zoned).toMatch(/^2026-03-04T05:06:07\.089(Z|[+-]\d\d:\d\d)$/)
  })

  it("has durations in nanoseconds, errors as text, and no secrets", () => {
    const record = JSON.parse(
      jsonLine(
        "warn",
        "m",
        {
          a: new LogDuration(1500),
          b: Duration.seconds(2),
          error: new Error("GET http://u:p@host/?api_key=x failed", { cause: new Error("because") }),
          url: "http://host/v1?token=abc",
          hidden: Redacted.make("s3cret"),
          deep: { url: "http://u:p@h/", big: 12n, list: ["\u001b[1mx"] },
          missing: undefined
        },
        at
      )
    )
    expect(record).toMatchObject({
      level: "WARN",
      a: 1_500_000_000,
      b: 2_000_000_000,
      error: "GET http://host/?api_key=[REDACTED] failed: because",
      url: "http://host/v1?token=[REDACTED]",
      deep: { url: "http://h/", big: "12", list: ["x"] }
    })
    expect(JSON.stringify(record)).not.toContain("s3cret")
    expect("missing" in record).toBe(false)
  })

  it("has no key of a client, alone or in a short word", () => {
    const key = makeKey()
    for (const text of [key, `a${key}`, `/v1/${key}`, `olla%5F${key.slice(5)}`, `${key},${key}`])
      for (const write of [jsonLine, textLine]) expect(write("info", "m", { text, inside: { text } }, at), text).not.toContain(key.slice(5))
  })

  it("keeps its own keys single", () => {
    const line = jsonLine("info", "m", { timestamp: "x", level: "y", msg: "z", time: "t" }, at)
    expect(JSON.parse(line)).toMatchObject({
      level: "INFO",
      msg: "m",
      field_timestamp: "x",
      field_level: "y",
      field_msg: "z",
      field_time: "t"
    })
  })

  it("is one line without escape or control characters, and parses, whatever a client sends", () => {
    fc.assert(
      fc.property(anything, anything, (message, value) => {
        const line = jsonLine("info", message, { value: `${ansi}${value}\n\r\u009b` }, at)
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        expect(JSON.parse(line).value).not.toContain(ansi)
      })
    )
  })

  it("escapes everything that is not seen, so that what is shown is what was sent", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...unseen, "a", "\u{1f469}") }), (value) => {
        for (const line of [
          jsonLine("info", value, { value, deep: { value } }, at),
          textLine("info", value, { value, deep: { value } }, at)
        ])
          expect(line).not.toMatch(unseenCharacter)
        expect(prettyLine("info", value, { value }, at, themeOf("dark")).replaceAll(/\u001b\[[0-9;]*m/g, "")).not.toMatch(unseenCharacter)
        expect(JSON.parse(jsonLine("info", "m", { value: `x${value}` }, at)).value).toBe(`x${value}`)
      })
    )
  })

  it("survives what cannot be written as JSON", () => {
    const loop: Record<string, unknown> = {}
    loop["self"] = loop
    expect(JSON.parse(jsonLine("info", "m", { loop, f: () => 1, nan: Number.NaN, s: Symbol("x") }, at))).toMatchObject({
      nan: null,
      s: "Symbol(x)"
    })
  })
})

describe("text", () => {
  it("is key=value, quoted where needed", () => {
    expect(
      textLine("info", "Loaded configuration", { config: "config/lab.yaml", empty: "", eq: "a=b", took: new LogDuration(90_000) }, at)
    ).toBe(`time=${zoned} level=INFO msg="Loaded configuration" config=config/lab.yaml empty="" eq="a=b" took=1m30s`)
  })

  it("is one line without control characters, whatever a client sends", () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(textLine("info", value, { value: `${ansi}\u202e${value}\n` }, at)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      })
    )
  })
})

describe("one record after another", () => {
  const level = fc.constantFrom("info" as const, "warn" as const)
  const value = fc.oneof(
    fc.constantFrom("POST", "/olla/openai/v1/chat/completions", "http://u:p@host/?token=x", "Bearer abcdefgh12", "a b", "", "?", "//", '"'),
    fc.constant(undefined),
    fc.integer(),
    anything
  )
  const fields = fc.dictionary(fc.constantFrom("a", "b", "c", "msg"), value)

  it("says the same as it would alone, whatever the one before it said", () => {
    let n = 0
    fc.assert(
      fc.property(fc.array(fc.tuple(level, fields), { maxLength: 6 }), (records) => {
        for (const [word, said] of records) {
          const alone = `alone ${n++}`
          expect(jsonLine(word, "again", said, at)).toBe(jsonLine(word, alone, said, at).replace(alone, "again"))
        }
      })
    )
  })

  it("quotes nothing that JSON would escape, and lets no secret by", () => {
    fc.assert(
      fc.property(fc.oneof(anything, fc.string(), fc.webUrl({ withQueryParameters: true })), (text) => {
        const line = jsonLine("info", "m", { text }, at)
        expect(jsonLine("info", "m", { nested: [text] }, at)).toContain(line.slice(line.indexOf('"text":') + 7, -1))
      })
    )
    expect(jsonLine("info", "m", { a: "https://user:pw@h/x", b: "a?key=1", c: "//u@h" }, at)).not.toMatch(/pw|=1/)
  })
})

describe("long values", () => {
  it("are cut after redaction in every form, and say so", () => {
    const value = `${"a".repeat(longestValue - 12)}?token=SECRET-AND-LONG ${"b".repeat(500_000)}`
    for (const line of [
      jsonLine("info", "x", { value }, at),
      jsonLine("info", "x", { nested: { value } }, at),
      textLine("info", "x", { value }, at),
      prettyLine("info", "x", { value }, at, themeOf("dark"))
    ]) {
      expect(line.length).toBeLessThan(longestValue + 300)
      expect(line).toContain("more characters")
      expect(line).not.toContain("SECRET")
    }
  })
})

describe("pretty", () => {
  it("paints level, counts, health words and names, and nothing of the client's", () => {
    const line = prettyLine("warn", "Endpoint x is Healthy (3)", { endpoint: "desk", path: `${ansi}x` }, at, themeOf("dark"))
    const theme = themeOf("dark")
    expect(line).toContain(`\u001b[${theme.levels.warn}mWARN \u001b[0m`)
    expect(line).toContain(`\u001b[${theme.health["Healthy"]}mHealthy\u001b[0m (\u001b[${theme.number}m3\u001b[0m)`)
    expect(line).toContain(`\u001b[${theme.endpoint}mdesk`)
    expect(line).not.toContain(ansi)
  })

  it("has a default theme for unknown names", () => expect(themeOf("neon")).toBe(themeOf("default")))
})
