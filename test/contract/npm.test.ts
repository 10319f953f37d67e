/** npm as the parent: what `npm start` and `npm run demo` leave behind when they are stopped. */
import { spawn } from "node:child_process"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { freePort } from "./freePort.ts"

const root = join(import.meta.dirname, "..", "..")

const running: Array<() => void> = []
afterEach(() => {
  for (const end of running.splice(0)) end()
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Resolves once the daemon serves. */
const npm = async (args: ReadonlyArray<string>, port: number) => {
  const child = spawn("npm", args, {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", OLLA_SERVER_PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.push(() => child.kill("SIGKILL"))
  let out = ""
  const started = new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString()
      if (out.includes("Olla started")) resolve()
    })
    child.once("exit", (code) => reject(new Error(`npm ended with ${code}: ${out}`)))
  })
  child.stderr.resume()
  // Not before everybody who holds the output is gone.
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  await started
  const daemon = Number(/"pid":(\d+)/.exec(out)?.[1])
  running.push(() => {
    if (isAlive(daemon)) process.kill(daemon, "SIGKILL")
  })
  return { child, daemon, ended, out: () => out }
}

describe("npm", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("takes the daemon of `npm start` with it at %s", async (signal) => {
    const file = join(mkdtempSync(join(tmpdir(), "olla-npm-")), "olla.yaml")
    writeFileSync(file, "discovery: {static: {endpoints: []}}\n")
    const run = await npm(["start", "--", "--config", file], await freePort())
    expect(run.daemon).not.toBe(run.child.pid)
    run.child.kill(signal)
    await run.ended
    expect(isAlive(run.daemon)).toBe(false)
    expect(run.out()).toContain("Olla has shutdown")
  })

  it("takes the demo with it", async () => {
    const run = await npm(["run", "demo"], await freePort())
    run.child.kill("SIGTERM")
    await run.ended
    expect(isAlive(run.daemon)).toBe(false)
    expect(run.out()).toContain("Olla has shutdown")
  })
})
