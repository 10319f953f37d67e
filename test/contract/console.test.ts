/** The console's address before there is a console. */
import { describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { startDaemon } from "./daemon.ts"

const nobody = "discovery: {static: {endpoints: []}}\n"

describe("the console's address", () => {
  it("says in every method that there is none yet, and no line of the start leads there", async () => {
    const daemon = await startDaemon(nobody)
    expect(daemon.output()).not.toMatch(/internal\/ui|dashboard/i)
    for (const path of ["/internal/ui", "/internal/ui/", "/internal/ui/app.js"])
      for (const method of ["GET", "HEAD", "POST"]) {
        const answer = await ask(daemon.port, { path, method })
        expect([path, method, answer.status]).toEqual([path, method, 503])
        expect(answer.text.includes("no operator console yet")).toBe(method !== "HEAD")
      }
    expect((await ask(daemon.port, { path: "/internal/uix" })).status).toBe(404)
    await daemon.stop()
  })

  it("is unknown when the dashboard is off", async () => {
    const daemon = await startDaemon(`dashboard: {enabled: false}\n${nobody}`)
    expect((await ask(daemon.port, { path: "/internal/ui/" })).status).toBe(404)
    await daemon.stop()
  })
})
