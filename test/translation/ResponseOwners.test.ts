import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { ResponseOwners } from "../../src/translation/responses/ResponseOwners.ts"

const endpoint = (removed = false) => ({ removed }) as Endpoint

describe("the memory of who made an answer", () => {
  it.each([1, 7, 1_000])("finds the id in an answer that comes in pieces of %d bytes", (size) => {
    const owners = new ResponseOwners(() => 0)
    const one = endpoint()
    const watch = owners.watch(one)
    const text =
      'event: response.created\ndata: {"type":"response.created","response":{"object":"response","id":"resp_0a-b_c","model":"m"}}\n\n'
    for (let at = 0; at < text.length; at += size) watch(Buffer.from(text.slice(at, at + size)))
    expect(owners.of("resp_0a-b_c")).toBe(one)
    expect(owners.size).toBe(1)
  })

  it("looks at no more than the first four kilobytes", () => {
    const owners = new ResponseOwners(() => 0)
    const watch = owners.watch(endpoint())
    watch(Buffer.from(`{"x":"${"y".repeat(4_090)}`))
    watch(Buffer.from('","id":"resp_1"}'))
    expect(owners.size).toBe(0)
  })

  it("holds for an hour, for ten thousand answers, and while the endpoint is configured", () => {
    let now = 0
    const owners = new ResponseOwners(() => now)
    const one = endpoint()
    owners.learn("resp_first", one)
    owners.learn("resp_gone", endpoint(true))
    expect([owners.of("resp_first"), owners.of("resp_gone"), owners.of("resp_none")]).toEqual([one, undefined, undefined])
    now = 60 * 60_000 + 1
    expect(owners.of("resp_first")).toBeUndefined()
    for (let n = 0; n < 10_000; n++) owners.learn(`resp_${n}`, one)
    expect([owners.size, owners.of("resp_first"), owners.of("resp_0")]).toEqual([10_000, undefined, one])
    owners.learn("resp_more", one)
    expect([owners.size, owners.of("resp_0"), owners.of("resp_1")]).toEqual([10_000, undefined, one])
  })
})
