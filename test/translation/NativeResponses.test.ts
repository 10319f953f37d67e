import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { UnservedPaths } from "../../src/endpoint/UnservedPaths.ts"
import { failure } from "../../src/exchange/Failure.ts"
import { Lessons } from "../../src/translation/Lessons.ts"
import { NativeAnswer } from "../../src/translation/NativeAnswer.ts"
import { NativeMemory } from "../../src/translation/NativeMemory.ts"
import {
  hasRefused,
  type ResponsesFeatures,
  type ResponsesRefusal,
  responsesFeatures,
  responsesForm,
  responsesRefusalOf,
  speaksResponses
} from "../../src/translation/responses/NativeResponses.ts"
import { feed } from "./answers.ts"

const endpoint = (support: object | undefined) =>
  ({ profile: { responses: support }, unserved: new UnservedPaths(() => 0) }) as unknown as Endpoint
const functionsOnly = { enabled: true, responsesPath: "/v1/responses", limitations: ["functions_only"], stateful: false }
const memory = () => new NativeMemory<ResponsesRefusal>(new Lessons(() => 0))
const answersResponses = (shown: ReturnType<typeof memory>, server: Endpoint, model: string, features: ResponsesFeatures) =>
  speaksResponses(server.profile?.responses, features) &&
  shown.mayAnswer(server, model, "/v1/responses", (refusal) => hasRefused(features, refusal))
const asked = (request: object, support: object | undefined = functionsOnly) =>
  answersResponses(memory(), endpoint(support), "m", responsesFeatures({ model: "m", input: "x", ...request }))

describe("who answers Responses natively", () => {
  it.each([
    [{}, true],
    [{ tools: [{ type: "function", name: "a" }, { type: "web_search" }] }, true],
    [{ tools: [{ type: "custom", name: "apply_patch" }] }, false],
    [{ tools: [{ type: "namespace", name: "n", tools: [] }] }, false],
    [{ tools: [{ type: "local_shell" }] }, false],
    [
      {
        input: [
          { role: "user", content: "x" },
          { type: "function_call", call_id: "c" }
        ]
      },
      true
    ],
    [{ input: [{ type: "custom_tool_call", call_id: "c" }] }, false],
    [{ input: [{ type: "tool_search_output", call_id: "c" }] }, false],
    [{ previous_response_id: "resp_1" }, false]
  ])("is whose server can do what %j asks: %s", (request, native) => {
    expect(asked(request)).toBe(native)
    expect(asked(request, { ...functionsOnly, enabled: false })).toBe(false)
    expect(asked(request, { ...functionsOnly, limitations: [], stateful: true })).toBe(true)
  })

  it("is no more who has refused it", () => {
    const shown = memory()
    const server = endpoint(functionsOnly)
    const withTools = responsesFeatures({ tools: [{ type: "function", name: "a" }] })
    shown.refused(server, "m", "/v1/responses", 400, "tools")
    expect([answersResponses(shown, server, "m", withTools), answersResponses(shown, server, "m", responsesFeatures({}))]).toEqual([
      false,
      true
    ])
    shown.refused(server, "m", "/v1/responses", 404, "route")
    expect(answersResponses(shown, server, "n", responsesFeatures({}))).toBe(false)
  })
})

describe("a native answer of the Responses API", () => {
  const features = responsesFeatures({ tools: [{ type: "function", name: "a" }], input: [{ type: "function_call" }] })
  const answer = (refusals: Array<string>) =>
    new NativeAnswer<ResponsesRefusal>({
      form: responsesForm,
      model: "m",
      requestId: "",
      streaming: true,
      keepAlive: { first: 10_000, interval: 15_000 },
      opened: { sent: false },
      translated: () => ({ target: "", body: [], headers: [], answer: undefined }),
      refuses: (status, sentence) => responsesRefusalOf(status, sentence, features),
      onRefusal: (refusal) => refusals.push(refusal),
      onBytes: undefined
    })
  const seen = (status: number, body: string) => {
    const refusals: Array<string> = []
    return [feed(answer(refusals), status, ["content-type", "application/json"], [Buffer.from(body)]).end, ...refusals]
  }

  it.each([
    [404, '{"detail":"Not Found"}', ["again", "route"]],
    [200, '{"error":"Unexpected endpoint or method. (POST /v1/responses)"}', ["again", "route"]],
    [400, '{"error":{"message":"tool type custom is not supported"}}', ["again", "tools"]],
    [422, '{"error":{"message":"input[1]: unknown item type"}}', ["again", "items"]],
    [404, '{"error":{"message":"model m not found"}}', ["good"]],
    [400, '{"error":{"message":"too long"}}', ["good"]],
    [200, '{"id":"resp_1","object":"response","error":null}', ["good"]]
  ])("of %i %s", (status, body, expected) => {
    expect(seen(status, body)).toEqual(expected)
  })

  it("is relayed byte for byte, and says where it breaks off", () => {
    const native = answer([])
    expect(native.head({ status: 200, headers: ["content-type", "text/event-stream"] })?.status).toBe(200)
    const bytes = Buffer.from('event: response.created\ndata: {"type":"response.created"}\n\n')
    expect(native.push(bytes)?.bytes).toEqual(bytes)
    expect(native.fail(failure("truncated", "x"))?.bytes.toString()).toMatch(/^event: error\ndata: \{"type":"error","code":"server_error"/)
  })
})
