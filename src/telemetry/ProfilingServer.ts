/**
 * The profiling server of `--profile`: CPU and heap profiles of the running daemon in V8's own
 * formats, on the loopback only. A heap snapshot holds every secret of the process, so a request must also name a
 * loopback host: a web page whose name was pointed at 127.0.0.1 gets nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { Session } from "node:inspector/promises"
import type { AddressInfo } from "node:net"
import { pipeline } from "node:stream/promises"
import { getHeapSnapshot } from "node:v8"
import { hostName } from "../guard/CrossSite.ts"

export const profilingPort = 19841

/** Seconds of a profile without `?seconds=`, and the most that may be asked for. */
const usualSeconds = 10
const mostSeconds = 600

const loopbacks: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1"])

interface Page {
  readonly help: string
  readonly answer: (url: URL, response: ServerResponse, signal: AbortSignal) => Promise<void> | void
}

class BadRequest extends Error {}

const secondsOf = (url: URL): number => {
  const written = url.searchParams.get("seconds")
  if (written === null) return usualSeconds
  const seconds = Number(written)
  if (!(seconds > 0 && seconds <= mostSeconds)) throw new BadRequest(`seconds must be more than 0 and at most ${mostSeconds}`)
  return seconds
}

const pause = (seconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      resolve()
    })
  })

const text = (response: ServerResponse, body: string, status = 200): void => {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff" }).end(body)
}

const download = (response: ServerResponse, name: string, body: unknown): void => {
  response
    .writeHead(200, { "Content-Type": "application/json", "Content-Disposition": `attachment; filename="${name}"` })
    .end(JSON.stringify(body))
}

const stampOf = (): string => new Date().toISOString().slice(0, 19).replaceAll(":", "-")

/** One inspector session for as long as the profile takes. */
const inside = async <A>(use: (session: Session) => Promise<A>): Promise<A> => {
  const session = new Session()
  session.connect()
  try {
    return await use(session)
  } finally {
    session.disconnect()
  }
}

/** The profiler of a process is one: a second request would stop the first one's. */
let profiling = false

const exclusively = async (work: () => Promise<void>): Promise<void> => {
  if (profiling) throw new BadRequest("another profile is being taken")
  profiling = true
  try {
    await work()
  } finally {
    profiling = false
  }
}

const cpuProfile: Page["answer"] = (url, response, signal) =>
  exclusively(() =>
    inside(async (session) => {
      const seconds = secondsOf(url)
      await session.post("Profiler.enable")
      await session.post("Profiler.start")
      await pause(seconds, signal)
      const { profile } = await session.post("Profiler.stop")
      download(response, `olla-${stampOf()}.cpuprofile`, profile)
    })
  )

const allocations: Page["answer"] = (url, response, signal) =>
  exclusively(() =>
    inside(async (session) => {
      const seconds = secondsOf(url)
      await session.post("HeapProfiler.startSampling", {
        samplingInterval: 32_768,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true
      } as { samplingInterval: number })
      await pause(seconds, signal)
      const { profile } = await session.post("HeapProfiler.stopSampling")
      download(response, `olla-${stampOf()}.heapprofile`, profile)
    })
  )

const heap: Page["answer"] = async (_url, response) => {
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Disposition": `attachment; filename="olla-${stampOf()}.heapsnapshot"`
  })
  await pipeline(getHeapSnapshot(), response)
}

const resources: Page["answer"] = (_url, response) => {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1)
  text(response, [...counts].map(([name, count]) => `${count}\t${name}\n`).join("") || "none\n")
}

const base = "/debug/pprof/"

const pages: Readonly<Record<string, Page>> = {
  profile: { help: `CPU profile, ?seconds=${usualSeconds}; open it in a browser's developer tools`, answer: cpuProfile },
  heap: { help: "heap snapshot; stops the process while it is taken", answer: heap },
  allocs: { help: `sampled allocations, ?seconds=${usualSeconds}`, answer: allocations },
  goroutine: { help: "live asynchronous resources by kind", answer: resources },
  cmdline: { help: "command line", answer: (_url, response) => text(response, process.argv.join("\0")) },
  symbol: { help: "nothing to resolve: V8's profiles carry their names", answer: (_url, response) => text(response, "num_symbols: 1\n") },
  trace: { help: "same as profile: V8 has no execution trace of this kind", answer: cpuProfile }
}

const index = (response: ServerResponse): void => {
  const rows = Object.entries(pages).map(([name, { help }]) => `<li><a href="${name}">${name}</a>: ${help}</li>`)
  response
    .writeHead(200, { "Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff" })
    .end(`<!doctype html><title>Olla: profiles</title><h1>/debug/pprof/</h1><ul>${rows.join("")}</ul>\n`)
}

const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  if (!loopbacks.has(hostName(request.headers.host ?? ""))) {
    text(response, "only requests to localhost are answered\n", 403)
    return
  }
  const url = new URL(request.url ?? "/", "http://localhost")
  if (url.pathname === base) {
    index(response)
    return
  }
  if (url.pathname === base.slice(0, -1)) {
    response.writeHead(307, { Location: base }).end()
    return
  }
  const name = url.pathname.startsWith(base) ? url.pathname.slice(base.length) : ""
  const page = Object.hasOwn(pages, name) ? pages[name] : undefined
  if (page === undefined) {
    text(response, "404 page not found\n", 404)
    return
  }
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  try {
    await page.answer(url, response, gone.signal)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else text(response, `${error instanceof Error ? error.message : String(error)}\n`, error instanceof BadRequest ? 400 : 500)
  }
}

export interface ProfilingServer {
  /** `http://localhost:19841/debug/pprof/` */
  readonly url: string
  readonly close: () => Promise<void>
}

const listen = (port: number, host: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((request, response) => void answer(request, response))
    server.once("error", reject)
    server.listen(port, host, () => {
      server.off("error", reject)
      server.unref()
      resolve(server)
    })
  })

/** Rejects when the port is taken; whoever starts it says so and goes on. */
export const startProfilingServer = async (port: number = profilingPort): Promise<ProfilingServer> => {
  const first = await listen(port, "127.0.0.1")
  const bound = (first.address() as AddressInfo).port
  const servers = [first]
  // Not every machine has an IPv6 loopback.
  await listen(bound, "::1").then(
    (server) => servers.push(server),
    () => {}
  )
  return {
    url: `http://localhost:${bound}${base}`,
    close: async () => {
      await Promise.all(
        servers.map((server) => {
          server.closeAllConnections()
          return new Promise<void>((resolve) => server.close(() => resolve()))
        })
      )
    }
  }
}
