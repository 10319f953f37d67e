import { expect, it } from "vitest"
import { inATurnOfItsOwn } from "../../../src/http/proxied/LongSteps.ts"

it("Steps that wait at the same time have others' turns between them, and stay in order", async () => {
  const order: Array<string> = []
  const ended = new Promise<void>((resolve) => {
    inATurnOfItsOwn(() => {
      order.push("one")
      inATurnOfItsOwn(() => {
        order.push("four")
        resolve()
      })
    })
    inATurnOfItsOwn(() => order.push("two"))
    inATurnOfItsOwn(() => order.push("three"))
  })
  let others = 0
  const other = () => {
    order.push("others")
    if (++others < 3) setImmediate(other)
  }
  setImmediate(other)
  await ended
  expect(order).toEqual(["one", "others", "two", "others", "three", "others", "four"])
})
