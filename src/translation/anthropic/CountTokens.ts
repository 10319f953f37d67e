/** Token counts asked of a backend that can count; whatever goes wrong, the estimate is the answer. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { AnswerHead, AnswerTranslator, Dialect, Translated } from "../../proxy/Dialect.ts"
import { rewriteModel } from "../../routing/ModelRewrite.ts"
import { chunksFor, type HygienicBody } from "../../routing/PromptHygiene.ts"
import type { Inspection } from "../../routing/Router.ts"
import { answerHeaders } from "../AnswerHeaders.ts"
import { numberOf, parseJson, recordOf } from "../JsonValue.ts"

/** Bytes of an answer that are read. */
const maxAnswer = 64 * 1024

class CountedAnswer implements AnswerTranslator {
  readonly #estimate: number
  #head: AnswerHead = { status: 0, headers: [] }
  #held: Array<Buffer> = []
  #size = 0

  constructor(estimate: number) {
    this.#estimate = estimate
  }

  head(head: AnswerHead): undefined {
    this.#head = head
  }

  push(bytes: Buffer): Translated | undefined {
    this.#size += bytes.length
    if (this.#size > maxAnswer) return this.#answer(this.#estimate)
    this.#held.push(bytes)
    return undefined
  }

  end(): Translated {
    const counted = numberOf(recordOf(parseJson(Buffer.concat(this.#held).toString("utf8")))?.["input_tokens"])
    return this.#answer(this.#head.status === 200 && counted !== undefined ? counted : this.#estimate)
  }

  fail(): undefined {
    return undefined
  }

  #answer(tokens: number): Translated {
    const bytes = Buffer.from(JSON.stringify({ input_tokens: tokens }))
    const headers = answerHeaders(this.#head.headers, "application/json", "")
    headers.push("content-length", String(bytes.length))
    return { head: { status: 200, headers }, bytes, done: true }
  }
}

const countingPath = ({ profile }: Endpoint): string => `${profile?.anthropic?.messagesPath ?? "/v1/messages"}/count_tokens`

export const countTokensDialect = (body: HygienicBody, inspection: Inspection, estimate: number): Dialect => ({
  speak: (endpoint, nativeName) => {
    const own = chunksFor(body, endpoint)
    return {
      target: countingPath(endpoint),
      body: nativeName !== "" && nativeName !== inspection.spelling ? rewriteModel(own, inspection, nativeName) : own,
      headers: ["accept-encoding", "identity"],
      answer: () => new CountedAnswer(estimate)
    }
  },
  target: countingPath
})
