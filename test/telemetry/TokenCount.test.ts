import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Attempt, type Outcome } from "../../src/exchange/Exchange.ts"
import { KeptBody } from "../../src/proxy/KeptBody.ts"
import { type TokenCount, tokensOf } from "../../src/telemetry/TokenCount.ts"
import { noUsage } from "../../src/telemetry/Usage.ts"
import { endpointOf, newExchange } from "./exchanges.ts"

const completed: Outcome = { _tag: "completed", status: 200 }
const whole = "application/json"
const events = "text/event-stream"
const lines = "application/x-ndjson"

interface Answered {
  readonly contentType?: string
  readonly path?: string
  readonly outcome?: Outcome
  readonly status?: number
  readonly requestBytes?: number
  readonly reserved?: number
}

/** `reads`: the answer's body as it came. */
const count = (reads: ReadonlyArray<string>, answered: Answered = {}): TokenCount => {
  const exchange = newExchange({ path: answered.path ?? "/v1/chat/completions" })
  const attempt = new Attempt(
    { endpoint: endpointOf("desk"), endpointName: "desk", endpointType: "vllm", profileName: "vllm", model: "m" },
    exchange.timings.accepted
  )
  attempt.status = answered.status ?? 200
  exchange.attempts.push(attempt)
  exchange.requestBytes = answered.requestBytes ?? 400
  exchange.reserved = answered.reserved ?? 0
  const kept = new KeptBody(exchange.kept, ["Content-Type", answered.contentType ?? whole])
  for (const read of reads) {
    const bytes = Buffer.from(read, "latin1")
    attempt.bytes += bytes.length
    if (bytes.length > 0) kept.push(bytes)
  }
  exchange.settle(answered.outcome ?? completed)
  return tokensOf(exchange, noUsage)
}

const openai = '{"usage":{"prompt_tokens":1200,"completion_tokens":345,"prompt_tokens_details":{"cached_tokens":1024}}}'
const anthropic = '{"usage":{"input_tokens":12,"cache_read_input_tokens":2000,"cache_creation_input_tokens":300,"output_tokens":34}}'
const responses = '{"usage":{"input_tokens":1200,"input_tokens_details":{"cached_tokens":1000},"output_tokens":345}}'
const chunk = (text: string) => `data: {"choices":[{"delta":{"content":"${text}"}}]}`

describe("tokens of an answer that tells them", () => {
  it.each([
    ["OpenAI's, whose cached ones are a part", openai, { in: 1200, cached: 1024, out: 345, estimated: 0 }],
    ["Responses'", responses, { in: 1200, cached: 1000, out: 345, estimated: 0 }],
    ["Anthropic's, whose cached and written ones stand beside", anthropic, { in: 2312, cached: 2000, out: 34, estimated: 0 }],
    ["with blanks", openai.replaceAll(":", " : "), { in: 1200, cached: 1024, out: 345, estimated: 0 }],
    ["with a null", anthropic.replace("2000", "null").replace("300", "null"), { in: 12, cached: 0, out: 34, estimated: 0 }],
    ["with more cached than asked", openai.replace("1024", "5000"), { in: 1200, cached: 0, out: 345, estimated: 0 }],
    ["of embeddings", '{"usage":{"prompt_tokens":7,"total_tokens":7}}', { in: 7, cached: 0, out: 0, estimated: 0 }]
  ])("%s", (_, body, told) => {
    expect(count([body])).toEqual(told)
  })

  it("are the same wherever the body was cut into reads", () => {
    const bodies = [
      { body: openai, contentType: whole },
      { body: anthropic, contentType: whole },
      { body: `${chunk("a")}\n\ndata: ${openai}\n\ndata: [DONE]\n\n`, contentType: events },
      {
        body: `event: message_start\ndata: ${anthropic}\n\nevent: message_delta\ndata: {"usage":{"output_tokens":99}}\n\n`,
        contentType: events
      }
    ]
    fc.assert(
      fc.property(fc.constantFrom(...bodies), fc.array(fc.nat(400), { maxLength: 6 }), ({ body, contentType }, cuts) => {
        const at = [0, ...[...cuts].sort((a, b) => a - b), body.length]
        const reads = at.slice(1).map((end, i) => body.slice(at[i], end))
        expect(count(reads, { contentType })).toEqual(count([body], { contentType }))
      })
    )
  })

  it("are not read out of what a model wrote", () => {
    const said = JSON.stringify({ content: '{"prompt_tokens":1,"cached_tokens":9}', usage: { prompt_tokens: 20, completion_tokens: 3 } })
    expect(count([said])).toEqual({ in: 20, cached: 0, out: 3, estimated: 0 })
  })
})

describe("tokens that nobody counted", () => {
  it.each([
    [events, "\n\n"],
    [events, "\r\n\r\n"],
    [lines, "\n"]
  ])("of %s are one an event, wherever it was cut", (contentType, end) => {
    const body = chunk("word") + end
    const stream = body.repeat(50)
    for (const size of [1, 7, body.length - 1, body.length, stream.length]) {
      const reads = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => stream.slice(i * size, (i + 1) * size))
      expect(count(reads, { contentType }), String(size)).toEqual({ in: 100, cached: 0, out: 50, estimated: 150 })
    }
  })

  it("are a quarter of the bytes of a document, and of a prompt what was taken for it", () => {
    expect(count(["x".repeat(41)], { reserved: 17 })).toEqual({ in: 17, cached: 0, out: 11, estimated: 28 })
    expect(count(["[0.1]"], { path: "/v1/embeddings" })).toEqual({ in: 100, cached: 0, out: 0, estimated: 100 })
  })

  it("are counted where the client left, and not where nothing was given", () => {
    const part = { contentType: events, outcome: { _tag: "cancelled", reason: "client_closed" } as unknown as Outcome }
    expect(count([`${chunk("a")}\n\n`.repeat(3)], part)).toEqual({ in: 100, cached: 0, out: 3, estimated: 103 })
    expect(count([openai], { status: 400 })).toEqual({ in: 0, cached: 0, out: 0, estimated: 0 })
  })
})
