import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { SessionStore } from "../../src/balancing/SessionStore.ts"

const at = (capacity: number, ttl: number) => {
  const clock = { now: 0 }
  return {
    clock,
    store: new SessionStore<string>(
      () => capacity,
      () => ttl,
      () => clock.now
    )
  }
}

const figures = ({ active, insertions, hits, misses, evictions }: SessionStore<string>) => ({ active, insertions, hits, misses, evictions })

describe("sessions", () => {
  it("are found where they were pinned, and counted", () => {
    const { store } = at(10, 1_000)
    expect(store.find("a")).toBeUndefined()
    store.pin("a", "http://one")
    expect(store.find("a")).toBe("http://one")
    store.pin("a", "http://two")
    expect(store.find("a")).toBe("http://two")
    expect(figures(store)).toEqual({ active: 1, insertions: 1, hits: 2, misses: 1, evictions: 0 })
  })

  it("slide: each look and each pin renews them, and their end counts as an eviction", () => {
    const { clock, store } = at(10, 1_000)
    store.pin("a", "u")
    store.pin("b", "u")
    clock.now = 900
    store.find("a")
    clock.now = 1_100
    expect(store.find("b")).toBeUndefined()
    expect(store.find("a")).toBe("u")
    clock.now = 2_099
    expect(store.active).toBe(1)
    clock.now = 2_100
    expect(figures(store)).toEqual({ active: 0, insertions: 2, hits: 2, misses: 1, evictions: 2 })
  })

  it("never end where no time to live is set, and have no bound where none is set", () => {
    const { clock, store } = at(0, 0)
    for (let n = 0; n < 20_000; n++) store.pin(String(n), "u")
    clock.now = Number.MAX_SAFE_INTEGER
    expect(store.active).toBe(20_000)
  })

  it("make room by leaving out whom nobody looked at for longest", () => {
    const { store } = at(2, 1_000)
    store.pin("a", "u")
    store.pin("b", "u")
    store.find("a")
    store.pin("c", "u")
    expect([store.find("a"), store.find("b"), store.find("c")]).toEqual(["u", undefined, "u"])
    expect(store.evictions).toBe(1)
  })

  it("of an endpoint that is gone are all removed, and nobody else's", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.constantFrom("a", "b", "c"))),
        fc.constantFrom("a", "b", "c"),
        (pins, gone) => {
          const { store } = at(0, 0)
          const expected = new Map(pins)
          for (const [key, url] of pins) store.pin(key, url)
          store.purge(gone)
          for (const [key, url] of expected) expect(store.find(key)).toBe(url === gone ? undefined : url)
          expect(store.active).toBe([...expected.values()].filter((url) => url !== gone).length)
        }
      )
    )
  })
})
