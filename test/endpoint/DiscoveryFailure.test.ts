import { describe, expect, it } from "@effect/vitest"
import {
  type DiscoveryFailure,
  describe as describeFailure,
  isRecoverable,
  operatorMessage,
  statusCause
} from "../../src/endpoint/DiscoveryFailure.ts"

describe("operator messages", () => {
  const base: DiscoveryFailure = {
    _tag: "DiscoveryFailure",
    operation: "http_request",
    innermost: "http_request",
    url: "http://a",
    profile: "vllm",
    status: 0,
    latency: 1500,
    cause: "network error for http://a: no route to host"
  }
  it("follow the cause", () => {
    expect(operatorMessage(base)).toBe("endpoint unreachable")
    expect(operatorMessage({ ...base, cause: "connection reset" })).toBe("network error")
    expect(operatorMessage({ ...base, innermost: "get_profile" })).toBe("discovery failed")
    expect(describeFailure(base)).toBe(
      "discovery http_request failed for http://a (profile: vllm, latency: 1.5s): network error for http://a: no route to host"
    )
    expect(statusCause(499)).toBe("HTTP 499: 499")
  })
  it("only a 4xx cannot pass by itself", () => {
    expect([0, 200, 399, 400, 499, 500].map((status) => isRecoverable({ ...base, status }))).toEqual([true, true, true, false, false, true])
  })
})
