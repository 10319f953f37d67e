import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../../src/endpoint/Endpoint.ts"
import { attemptGroups, tiersOf } from "../../../src/http/proxied/AttemptOrder.ts"
import type { Candidate } from "../../../src/routing/Router.ts"
import { Complaint } from "../../../src/translation/Complaint.ts"

const candidate = (name: string, priority: number): Candidate => ({
  endpoint: { name, priority, state: { status: "healthy" }, inService: true } as unknown as Endpoint,
  nativeName: "m"
})

const native1 = candidate("native1", 100)
const other1 = candidate("other1", 100)
const mute1 = candidate("mute1", 100)
const native2 = candidate("native2", 200)
const other3 = candidate("other3", 50)
const all = [native1, other1, mute1, native2, other3]
const conversation = {
  isNative: ({ name }: Endpoint) => name.startsWith("native"),
  complaintFor: ({ endpoint }: Candidate) => (endpoint.name.startsWith("mute") ? new Complaint("cannot be said") : undefined)
}
const names = (groups: Iterable<ReadonlyArray<Candidate>>) => [...groups].map((group) => group.map(({ endpoint }) => endpoint.name))

describe("the order of attempts", () => {
  it("has of each priority those who answer natively, then those for whom the request can be translated", () => {
    expect(names(attemptGroups(tiersOf(all), conversation))).toEqual([["native2"], ["native1"], ["other1"], ["other3"]])
  })

  it("has all natives first where priorities do not count", () => {
    expect(names(attemptGroups([all], conversation))).toEqual([
      ["native1", "native2"],
      ["other1", "other3"]
    ])
  })

  it("reads no request while a native is left", () => {
    const groups = attemptGroups([all], {
      ...conversation,
      complaintFor: () => {
        throw new Error("read")
      }
    })
    expect(groups.next().value).toEqual([native1, native2])
  })
})
