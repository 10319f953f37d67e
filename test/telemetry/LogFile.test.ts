import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { LogFile } from "../../src/telemetry/LogFile.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "olla-rotation-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const settings = (changes: Partial<{ maxSize: number; maxBackups: number; maxAge: number }> = {}) => ({
  folder,
  maxSize: 20,
  maxBackups: 7,
  maxAge: 14,
  ...changes
})
const day = 24 * 3_600_000
const start = Date.UTC(2026, 2, 4, 5, 6, 7, 89)

describe("olla.log", () => {
  it("is renamed by time and compressed when a line would not fit", async () => {
    const file = new LogFile(settings(), () => new Date(start))
    file.write("first line....\n")
    file.write("second line...\n")
    await file.settled()
    file.close()
    expect(readdirSync(folder).sort()).toEqual(["olla-2026-03-04T05-06-07.089.log.gz", "olla.log"])
    expect(readFileSync(join(folder, "olla.log"), "utf8")).toBe("second line...\n")
    expect(gunzipSync(readFileSync(join(folder, "olla-2026-03-04T05-06-07.089.log.gz"))).toString()).toBe("first line....\n")
  })

  it("never cuts a line, even one that is larger than the limit, and loses none of a batch", async () => {
    const file = new LogFile(settings(), () => new Date(start))
    const lines = Array.from({ length: 6 }, (_, n) => `${"x".repeat(n * 8)}${n}\n`)
    file.write(lines.join(""))
    await file.settled()
    file.close()
    const texts = readdirSync(folder).map((name) => {
      const bytes = readFileSync(join(folder, name))
      return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString()
    })
    expect(texts.join("").split("\n").filter(Boolean).sort()).toEqual(lines.map((line) => line.trimEnd()).sort())
    for (const text of texts) expect(text.endsWith("\n")).toBe(true)
  })

  it("is begun anew when somebody took it, or its folder, away", async () => {
    const file = new LogFile(settings(), () => new Date(start))
    file.write("first line....\n")
    rmSync(folder, { recursive: true })
    file.write("second line...\n")
    await file.settled()
    expect(readFileSync(join(folder, "olla.log"), "utf8")).toBe("second line...\n")
    file.close()
  })

  it("goes on where it was when it cannot be renamed", () => {
    const file = new LogFile(settings(), () => new Date(start))
    file.write("first line....\n")
    rmSync(folder, { recursive: true })
    writeFileSync(folder, "no folder")
    expect(() => file.write("second line...\n")).toThrow()
    expect(() => file.close()).not.toThrow()
  })

  it("is appended to across restarts, its size counted", async () => {
    const before = new LogFile(settings())
    before.write("first line....\n")
    before.close()
    const after = new LogFile(settings())
    after.write("more\n")
    expect(readFileSync(after.path, "utf8")).toBe("first line....\nmore\n")
    after.write("rotate\n")
    await after.settled()
    after.close()
    expect(readdirSync(folder)).toHaveLength(2)
  })

  it("begins a new line after a disk that was full in the middle of one", () => {
    let room = 12
    const file = new LogFile(settings({ maxSize: 1_000 }), undefined, (to, bytes) => {
      if (room === 0) throw new Error("ENOSPC")
      const part = writeSync(to, bytes.subarray(0, room))
      room -= part
      return part
    })
    file.write("whole\n")
    expect(() => file.write("cut in two\n")).toThrow("ENOSPC")
    expect(() => file.write("not at all\n")).toThrow("ENOSPC")
    room = 100
    file.write("whole again\n")
    file.close()
    expect(readFileSync(join(folder, "olla.log"), "utf8")).toBe("whole\ncut in\nwhole again\n")
  })

  it("is pruned by count, the oldest first", async () => {
    let now = start
    const file = new LogFile(settings({ maxBackups: 2 }), () => new Date(now))
    for (let n = 0; n < 5; n++) {
      now += 1000
      file.write(`line number ${n}...\n`)
    }
    await file.settled()
    file.close()
    expect(readdirSync(folder).sort()).toEqual(["olla-2026-03-04T05-06-11.089.log.gz", "olla-2026-03-04T05-06-12.089.log.gz", "olla.log"])
  })

  it("is pruned by age, and keeps what is not its own", async () => {
    // One was copied here just now, another has only just been touched: the name says how old it is.
    const stamp = (ago: number) => new Date(start - ago).toISOString().slice(0, -1).replaceAll(":", "-")
    const [gone, kept] = [`olla-${stamp(14 * day + 1)}.log.gz`, `olla-${stamp(14 * day)}-1.log`]
    for (const name of [gone, kept, "other-2020.log"]) writeFileSync(join(folder, name), "")
    utimesSync(join(folder, kept), new Date(start - 20 * day), new Date(start - 20 * day))
    const file = new LogFile(settings({ maxAge: 14, maxBackups: 0 }), () => new Date(start))
    file.write("first line....\n")
    file.write("second line...\n")
    await file.settled()
    file.close()
    expect(readdirSync(folder).sort()).toEqual([kept, "olla-2026-03-04T05-06-07.089.log.gz", "olla.log", "other-2020.log"])
  })
})
