import { expect, it } from "vitest"
import { type Lookup, sharedLookup } from "../../src/endpoint/NameLookup.ts"

it("a name is looked up once for all who ask meanwhile, and anew afterwards", () => {
  const asked: Array<string> = []
  const answers: Array<() => void> = []
  const resolver: Lookup = (hostname, _, callback) => {
    asked.push(hostname)
    answers.push(() => callback(null, [{ address: `10.0.0.${answers.length}`, family: 4 }]))
  }
  const lookup = sharedLookup(resolver)
  const got: Array<unknown> = []
  const ask = (hostname: string, all = true) => lookup(hostname, { all }, (error, found) => got.push([hostname, error, found]))
  ask("gpu")
  ask("gpu")
  ask("other")
  ask("gpu", false)
  expect(asked).toEqual(["gpu", "other", "gpu"])
  answers[0]?.()
  const first = ["gpu", null, [{ address: "10.0.0.3", family: 4 }]]
  expect(got).toEqual([first, first])
  ask("gpu")
  expect(asked).toHaveLength(4)
})

it("a failure is everybody's, and the next one asks again", () => {
  let count = 0
  const fail: Array<() => void> = []
  const lookup = sharedLookup((_, __, callback) => {
    count++
    fail.push(() => callback(Object.assign(new Error("getaddrinfo EAI_AGAIN gpu"), { code: "EAI_AGAIN" }), []))
  })
  const codes: Array<unknown> = []
  const ask = () => lookup("gpu", {}, (error) => codes.push(error?.code))
  ask()
  ask()
  fail[0]?.()
  ask()
  expect([count, codes]).toEqual([2, ["EAI_AGAIN", "EAI_AGAIN"]])
})
