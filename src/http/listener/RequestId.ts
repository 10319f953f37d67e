/** Request ids: the client's own where it is usable, else a llama doing something. */
import { randomBytes } from "node:crypto"
import { redactKeys } from "../../guard/Redaction.ts"

const kinds =
  "alpaca vicuna guanaco huacaya suri woolly shaggy humming curious brave gentle nimble sleepy spotted tawny andean dusty fluffy golden merry".split(
    " "
  )
const doings =
  "trekking grazing humming spitting leaping strolling dozing climbing wading galloping resting browsing pacing trotting wandering snoozing".split(
    " "
  )

const usable = /^[\x21-\x7e]{1,128}$/

let pool = Buffer.alloc(0)
let at = 0

/** Random bytes come in batches: asking the system for six bytes a request costs more than the rest of the id. */
const take = (count: number): Buffer => {
  if (at + count > pool.length) {
    pool = randomBytes(4096)
    at = 0
  }
  at += count
  return pool.subarray(at - count, at)
}

/** `given`: the client's `X-Request-ID`; empty when absent. */
export const requestId = (given: string): string => {
  if (given !== "" && usable.test(given) && redactKeys(given) === given) return given
  const bytes = take(6)
  return `${kinds[(bytes[0] as number) % kinds.length]}-${doings[(bytes[1] as number) % doings.length]}-${bytes.toString("hex", 2, 6)}`
}
