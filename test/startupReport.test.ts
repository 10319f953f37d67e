import { describe, expect, it } from "vitest"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import { reportFatal } from "../src/startupReport.ts"
import { makeSink } from "../src/telemetry/LogSink.ts"

const { diagnostics } = decodeConfig("server: {port: 0}\nproxy: {engine: x}\n", "olla.yaml", {})

const told = (isWatched: boolean): { readonly log: string; readonly list: string } => {
  let [log, list] = ["", ""]
  const sink = makeSink({ level: "info", form: "text", out: (text) => (log += text) })
  reportFatal(sink, diagnostics, isWatched ? (text) => (list += text) : undefined)
  return { log, list }
}

describe("why a start cannot go on", () => {
  it("is one record of everything where nobody watches", () => {
    const { log, list } = told(false)
    expect(log.match(/olla\.yaml:\d+:\d+/g)).toHaveLength(2)
    expect(list).toBe("")
  })

  it("is one list for a person at a terminal, and not said twice", () => {
    const { log, list } = told(true)
    expect(log).toContain("problems=2")
    expect(log).not.toContain("olla.yaml")
    expect(list.trim().split("\n")).toEqual([
      expect.stringMatching(/^olla\.yaml:1:16: server\.port must be/),
      expect.stringMatching(/^olla\.yaml:2:17: .*unknown proxy implementation: x/)
    ])
  })
})
