/** Certificates of the listener are live: renewed ones serve new handshakes, and what is wrong with them leaves the old ones serving. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { watchFiles } from "./config/FileWatch.ts"
import { renderAll } from "./guard/keys/AccessLoading.ts"
import type { CertificateStore } from "./http/listener/CertificateStore.ts"
import { dueDays, readCertificates } from "./http/listener/Certificates.ts"
import type { InForce } from "./inForce.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

export const watchCertificates = Effect.fnUntraced(function* (inForce: InForce, store: CertificateStore, log: LogSink) {
  const cwd = process.cwd()
  // Which files there are is said at the start.
  const { tls, port } = inForce.current().config.server
  const files = inForce.current().certificateFiles.map((path) => resolve(cwd, path))
  let told = ""
  const look = Effect.sync(() => {
    const now = Date.now()
    const read = readCertificates(tls, port, (path) => readFileSync(resolve(cwd, path), "utf8"), now)
    if (read.certificates === undefined) {
      const text = renderAll(read.diagnostics)
      store.lastError = text
      if (text !== told) log.write("error", "Certificates not loaded", { error: text })
      told = text
      return
    }
    told = ""
    const before = store.current
    store.replace(read.certificates, now)
    if (store.current !== before)
      log.write("info", "Certificates loaded", { not_after: store.current.pairs.map(({ notAfter }) => new Date(notAfter).toISOString()) })
  })
  const remind = Effect.sync(() => {
    for (const { names, notAfter } of store.current.pairs)
      if (notAfter - Date.now() < dueDays * 86_400_000)
        log.write(
          "warn",
          notAfter <= Date.now() ? "A certificate of the listener has expired" : "A certificate of the listener expires soon",
          {
            names,
            not_after: new Date(notAfter).toISOString()
          }
        )
  })
  // What was replaced between the first reading and the first look.
  yield* Effect.forkScoped(
    Effect.andThen(
      look,
      watchFiles(() => files, look)
    )
  )
  yield* Effect.forkScoped(Effect.schedule(remind, Schedule.spaced(Duration.days(1))))
})
