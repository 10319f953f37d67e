import fc from "fast-check"
import { expect, it } from "vitest"
import { Roster } from "../../src/exchange/Roster.ts"

class Member {
  place = -1
}

it("holds what a Set would hold, in any order of coming and going", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9))), (steps) => {
      const members = Array.from({ length: 10 }, () => new Member())
      const roster = new Roster<Member>()
      const set = new Set<Member>()
      for (const [comes, index] of steps) {
        const member = members[index] as Member
        if (comes) {
          roster.add(member)
          set.add(member)
        } else {
          roster.delete(member)
          set.delete(member)
        }
        expect(roster.size).toBe(set.size)
        expect(new Set(roster)).toEqual(set)
        for (const one of members) expect(roster.has(one)).toBe(set.has(one))
      }
    })
  )
})

it("goes on with those that were there when somebody leaves meanwhile", () => {
  const roster = new Roster<Member>()
  const members = [new Member(), new Member(), new Member()]
  for (const member of members) roster.add(member)
  const seen: Array<Member> = []
  for (const member of roster) {
    seen.push(member)
    roster.delete(member)
  }
  expect(seen).toEqual(members)
  expect(roster.size).toBe(0)
})
