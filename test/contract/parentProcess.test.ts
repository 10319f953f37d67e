/** A runtime that is too old starts the shipped one (main.ts): signals, exit codes and deaths pass between the two. */
import type { Writable } from "node:stream"
import { describe, expect, it } from "vitest"
import { freePort } from "./freePort.ts"
import { asParent, endpoints, openEnded, type Run, server, silent, start, streaming } from "./lifecycle.ts"

/** The child's id, as its first record has it. */
const childOf = (run: Run): number => Number(run.records()[0]?.["pid"])

describe("a child of an older runtime", () => {
  // The order of the two ways is not known: each comes first once.
  it.each(["parent", "system"] as const)("takes a signal that came both ways for one, first from the %s", async (first) => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port, ", shutdown_timeout: 60s") + endpoints(backend.url), { OLLA_PARENT_PIPE: "3" }, [], true)
    await run.saw("Olla started")
    const stream = await streaming(port)
    const pipe = run.child.stdio[3] as Writable
    const hangups = () => run.records().filter(({ msg }) => String(msg).startsWith("SIGHUP")).length
    const [one, other] =
      first === "parent"
        ? [() => pipe.write("SIGINT\n"), () => run.child.kill("SIGINT")]
        : [() => run.child.kill("SIGINT"), () => pipe.write("SIGINT\n")]
    one()
    await run.saw("Shutdown signal received")
    other()
    // Told on both ways after it: what was sent before has arrived.
    run.child.kill("SIGHUP")
    pipe.write("SIGHUP\nSIGHUP\n")
    while (hangups() < 2) await new Promise((resolve) => run.child.stdout?.once("data", resolve))
    backend.finish()
    expect(await stream.whole).toContain("data: [DONE]")
    expect(await run.ended).toBe(0)
  })

  it("ends at once at a second signal of the parent's", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port, ", shutdown_timeout: 60s") + endpoints(backend.url), { OLLA_PARENT_PIPE: "3" }, [], true)
    await run.saw("Olla started")
    await streaming(port)
    ;(run.child.stdio[3] as Writable).write("SIGINT\nSIGTERM\n")
    expect(await run.ended).toBe(143)
  })
})

describe("an older runtime", () => {
  it("passes a stop on, waits for the drain, and hands the exit code back", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port) + endpoints(backend.url), asParent)
    await run.saw("Olla started")
    expect(childOf(run)).not.toBe(run.child.pid)
    const stream = await streaming(port)
    run.child.kill("SIGTERM")
    await run.saw("Shutdown signal received")
    backend.finish()
    expect(await stream.whole).toContain("data: [DONE]")
    expect(await run.ended).toBe(0)
  })

  it("that is stopped before the daemon is up ends with 0", async () => {
    const run = start(server(await freePort()) + endpoints(await silent()), asParent)
    await run.saw("+----")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
  })

  it("leaves no child behind when it is killed", async () => {
    const run = start(server(await freePort()) + endpoints(), asParent)
    await run.saw("Olla started")
    run.child.kill("SIGKILL")
    // The output closes when the child is gone too.
    expect(await run.ended).toBe("SIGKILL")
    expect(run.out()).toContain("Olla has shutdown")
  })

  it("dies as its child did", async () => {
    const run = start(server(await freePort()) + endpoints(), asParent)
    await run.saw("Olla started")
    process.kill(childOf(run), "SIGKILL")
    expect(await run.ended).toBe("SIGKILL")
  })

  it.each([
    [["--nope"], 2],
    [["validate"], 1]
  ])("hands on the exit code of %j", async (args, code) => expect(await start("server: {port: 0}\n", asParent, args).ended).toBe(code))
})
