import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { absent, type FilePrints, look, printsOf, type WatchState, watchFiles } from "../../src/config/FileWatch.ts"

const prints = (entries: Readonly<Record<string, string>>): FilePrints => new Map(Object.entries(entries))

/** Looks every 250 ms at what `story` tells, one entry a look; the times at which the files would be read. */
const dueAt = (story: ReadonlyArray<Readonly<Record<string, string>>>): ReadonlyArray<number> => {
  const first = prints(story[0] ?? {})
  let state: WatchState = { settled: first, latest: first, changedAt: 0 }
  return story.flatMap((entries, index) => {
    const next = look(state, prints(entries), index * 250)
    state = next.state
    return next.isDue ? [index * 250] : []
  })
}

describe("a change of files", () => {
  const [old, fresh] = [{ a: "1" }, { a: "2" }]

  it("is read when it has rested, and once", () => {
    expect(dueAt([old, old, fresh, fresh, fresh, fresh, fresh])).toEqual([1000])
  })

  it("waits as long as another one follows", () => {
    expect(dueAt([old, { a: "2" }, { a: "3" }, { a: "4" }, { a: "5" }, { a: "5" }, { a: "5" }, { a: "5" }])).toEqual([1500])
  })

  it("that is taken back in time is none", () => {
    expect(dueAt([old, fresh, old, old, old, old])).toEqual([])
  })

  it("of a file that is gone waits for a second, for it may be on its way", () => {
    const gone = { a: absent }
    expect(dueAt([old, gone, gone, fresh, fresh, fresh, fresh])).toEqual([1250])
    expect(dueAt([old, gone, gone, gone, gone, gone, gone, gone])).toEqual([1250])
    expect(dueAt([gone, gone, gone])).toEqual([])
  })

  it("is also that another file is watched", () => {
    expect(dueAt([old, { a: "1", b: "1" }, { a: "1", b: "1" }, { a: "1", b: "1" }])).toEqual([750])
  })
})

describe("a watch", () => {
  it.effect("coalesces a hundred changes a second and goes on after each reading", () =>
    Effect.gen(function* () {
      let [version, readings] = [0, 0]
      const onChange = Effect.sync(() => {
        readings++
      })
      yield* Effect.forkScoped(
        watchFiles(
          () => ["a"],
          onChange,
          (paths) => Promise.resolve(new Map(paths.map((path) => [path, String(version)])))
        )
      )
      const pass = Effect.fnUntraced(function* (milliseconds: number, changes: boolean) {
        for (let n = 0; n < milliseconds; n += 10) {
          if (changes) version++
          yield* TestClock.adjust(10)
          // The look itself is a promise.
          yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        }
      })
      yield* pass(500, false)
      expect(readings).toBe(0)
      yield* pass(2_000, true)
      expect(readings).toBe(0)
      yield* pass(1_500, false)
      expect(readings).toBe(1)
      yield* pass(10, true)
      yield* pass(1_500, false)
      expect(readings).toBe(2)
    }).pipe(Effect.scoped)
  )
})

describe("what a file looks like", () => {
  const folder = () => mkdtempSync(join(tmpdir(), "olla-watch-"))
  const changed = async (path: string, change: () => void): Promise<boolean> => {
    const before = await printsOf([path])
    change()
    return (await printsOf([path])).get(path) !== before.get(path)
  }

  it("differs after a write, a replacement with the same size and time, and a removal", async () => {
    const at = folder()
    const [path, other] = [join(at, "c.yaml"), join(at, "new")]
    writeFileSync(path, "one")
    expect(await changed(path, () => {})).toBe(false)
    expect(await changed(path, () => writeFileSync(path, "three"))).toBe(true)
    const replace = () => {
      writeFileSync(other, "seven")
      utimesSync(other, 1, 1)
      renameSync(other, path)
    }
    replace()
    expect(await changed(path, replace)).toBe(true)
    expect(await changed(path, () => unlinkSync(path))).toBe(true)
    expect((await printsOf([path])).get(path)).toBe(absent)
  })

  it("differs when a link on the way leads elsewhere, as Kubernetes does it", async () => {
    const at = folder()
    for (const version of ["..1", "..2"]) {
      mkdirSync(join(at, version))
      writeFileSync(join(at, version, "c.yaml"), "same")
    }
    symlinkSync("..1", join(at, "..data"))
    symlinkSync(join("..data", "c.yaml"), join(at, "c.yaml"))
    const swap = () => {
      symlinkSync("..2", join(at, "..data_tmp"))
      renameSync(join(at, "..data_tmp"), join(at, "..data"))
      rmSync(join(at, "..1"), { recursive: true })
    }
    expect(await changed(join(at, "c.yaml"), swap)).toBe(true)
  })

  it("of a folder are its YAML files, however deep", async () => {
    const at = folder()
    expect(await changed(at, () => writeFileSync(join(at, "notes.txt"), "x"))).toBe(false)
    expect(await changed(at, () => writeFileSync(join(at, "a.yaml"), "x"))).toBe(true)
    mkdirSync(join(at, "deep"))
    expect(await changed(at, () => writeFileSync(join(at, "deep", "b.yaml"), "x"))).toBe(true)
    expect(await changed(at, () => unlinkSync(join(at, "a.yaml")))).toBe(true)
  })
})
