import fc from "fast-check"
import { expect, it } from "vitest"
import { ActiveSet } from "../../src/exchange/ActiveSet.ts"

class Member {
  place = -1
}

it("holds what a Set would hold, in any order of coming and going", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9))), (steps) => {
      const members = Array.from({ length: 10 }, () => new Member())
      const active = new ActiveSet<Member>()
      const set = new Set<Member>()
      for (const [comes, index] of steps) {
        const member = members[index] as Member
        if (comes) {
          active.add(member)
          set.add(member)
        } else {
          active.delete(member)
          set.delete(member)
        }
        expect(active.size).toBe(set.size)
        expect(new Set(active)).toEqual(set)
        for (const one of members) expect(active.has(one)).toBe(set.has(one))
      }
    })
  )
})

it("goes on with those that were there when somebody leaves meanwhile", () => {
  const active = new ActiveSet<Member>()
  const members = [new Member(), new Member(), new Member()]
  for (const member of members) active.add(member)
  const seen: Array<Member> = []
  for (const member of active) {
    seen.push(member)
    active.delete(member)
  }
  expect(seen).toEqual(members)
  expect(active.size).toBe(0)
})
