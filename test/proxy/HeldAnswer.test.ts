/** Errors that are held back while somebody else may do better. */
import { assert, describe, it } from "vitest"
import { HeldAnswer } from "../../src/proxy/HeldAnswer.ts"

describe("an error that is held back", () => {
  /** How often it was judged. */
  const judged = (feed: (answer: HeldAnswer) => unknown): readonly [number, unknown] => {
    let count = 0
    const answer = new HeldAnswer({
      translator: undefined,
      maySpeakOtherwise: false,
      model: "m",
      mayRefusePath: false,
      judge: {
        goesOn: () => {
          count++
          return false
        },
        retryAfter: () => undefined
      }
    })
    answer.head({ status: 503, headers: ["Content-Type", "application/json"] })
    const last = feed(answer)
    return [count, last]
  }
  const said = (last: unknown) => (last as { readonly bytes: Buffer }).bytes.toString()

  it("is judged once, though it comes so slowly that it is asked for every second", () => {
    const [count, last] = judged((answer) => {
      answer.push(Buffer.from('{"error":'))
      for (const silence of [1_000, 2_000, 3_000, 4_000]) assert.isUndefined(answer.silent(silence))
      answer.push(Buffer.from('"busy"}'))
      return answer.end()
    })
    assert.strictEqual(count, 1)
    assert.strictEqual(said(last), '{"error":"busy"}')
  })

  it("is judged once, though it turns out to be too long after it was slow", () => {
    const [count, last] = judged((answer) => {
      answer.silent(2_000)
      return answer.push(Buffer.alloc(64 * 1024 + 1, "x"))
    })
    assert.strictEqual(count, 1)
    assert.strictEqual(said(last).length, 64 * 1024 + 1)
  })
})
