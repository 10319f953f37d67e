import { describe, expect, it } from "vitest"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import { type Story, stories } from "../src/simulator/Stories.ts"
import { storyLog, storyYaml, tallyLine } from "../src/story.ts"
import { newTally } from "../src/storyLoad.ts"
import { makeLog } from "../src/telemetry/LogSink.ts"

describe.each(Object.entries(stories))("the story %s", (name, story: Story) => {
  it("is told with configurations that are in order", () => {
    const urls = story.hosts.map((_, index) => `http://127.0.0.1:${4000 + index}`)
    for (const which of ["own", "other"] as const) {
      const { diagnostics, config } = decodeConfig(storyYaml(story, urls, which), `${name}.yaml`, {})
      expect(diagnostics).toEqual([])
      expect(config?.discovery.static.endpoints.map((endpoint) => endpoint.name)).toEqual(story.hosts.map((host) => host.name))
    }
  })
  it("begins with its own configuration, ends its rounds with the other, and only asks for models that are there", () => {
    const switches = story.events.flatMap(({ at, configuration }) => (configuration === undefined ? [] : [[at, configuration]]))
    expect(switches[0]).toEqual([0, "own"])
    expect(switches.at(-1)?.[1]).toBe("other")
    expect(Math.max(...story.events.map(({ at }) => at))).toBeLessThan(story.round)
    for (const { ask, count } of story.clients)
      for (const turn of [0, 1, 9]) {
        const { model, stream } = ask(count - 1, turn)
        expect([story.hosts.some(({ models }) => models.includes(String(model))), stream]).toEqual([true, true])
      }
  })
})

describe("a report", () => {
  it("says how many answers there were, how soon, and what failed", () => {
    const tally = newTally()
    tally.good = 3
    tally.firstToken.push(100, 300)
    expect(tallyLine("chat", tally)).toBe("chat: 3 answers; first token 0.20 s, p95 0.30 s")
    tally.bad.set(503, 2).set(0, 1)
    tally.queued.push(4_000, 0)
    tally.again = 4
    expect(tallyLine("chat", tally)).toBe(
      "chat: 3 answers, FAILED: 2 with 503, 1 broken off; first token 0.20 s, p95 0.30 s; waited in line 2.00 s; 4 tried again elsewhere"
    )
  })
})

describe("a story's log", () => {
  it("has what is wrong, and no line for each request", () => {
    let out = ""
    const log = storyLog(makeLog({ env: { OLLA_PRETTY_LOGS: "false" }, isTerminal: false, out: (text) => (out += text), now: () => 0 }))
    log.release()
    log.write("info", "Olla started")
    log.write("warn", "Request failed", { request_id: "x" })
    log.write("warn", "Endpoint status changed: gpu-1")
    log.flush()
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { msg: string }).msg)
    ).toEqual(["Endpoint status changed: gpu-1"])
  })
})
