import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { TlsConfig } from "../../src/config/OllaConfig.ts"
import { BackendClient } from "../../src/endpoint/BackendClient.ts"
import { resolveTls } from "../../src/endpoint/EndpointTls.ts"

/** Made for these tests alone: an authority, a server called backend.test and a client. */
const file = (name: string): string => join(import.meta.dirname, "tls", name)
const pem = (name: string): string => readFileSync(file(name), "utf8")
const sources = { env: {}, readFile: (path: string) => readFileSync(path, "utf8") }

/** Answers with the name in the client's certificate, if it has one. */
const server = (requestCert = false) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      const secure = createServer(
        { cert: pem("server.pem"), key: pem("server.key"), ca: pem("ca.pem"), requestCert, rejectUnauthorized: requestCert },
        (request, response) => {
          const name = (request.socket as TLSSocket).getPeerCertificate().subject?.CN
          response.end(typeof name === "string" ? name : "nobody")
        }
      )
      secure.listen(0, "127.0.0.1", () => resume(Effect.succeed((secure.address() as AddressInfo).port)))
      servers.add(secure)
    }),
    () =>
      Effect.sync(() => {
        for (const each of servers) {
          each.closeAllConnections()
          each.close()
        }
        servers.clear()
      })
  )
const servers = new Set<ReturnType<typeof createServer>>()

const ask = (port: number, config: TlsConfig | undefined) => {
  const { tls, complaints } = resolveTls(config, "gpu", true, sources)
  expect(complaints.filter(({ severity }) => severity === "error")).toEqual([])
  return BackendClient.use((client) =>
    client.get({
      url: `https://127.0.0.1:${port}/`,
      headers: [],
      credentials: { headers: [], names: new Set() },
      tls,
      maxBody: 1000,
      body: "text"
    })
  ).pipe(
    Effect.map(({ body }) => body),
    Effect.catch(({ cause }) => Effect.succeed(cause)),
    Effect.provide(BackendClient.layer)
  )
}

describe("an https backend", () => {
  it.live("with an unknown authority is not trusted", () =>
    Effect.gen(function* () {
      expect(yield* ask(yield* server(), undefined)).toContain("the certificate is not trusted")
    })
  )
  it.live("is trusted by its own authority under its own name", () =>
    Effect.gen(function* () {
      const port = yield* server()
      expect(yield* ask(port, { ca_file: file("ca.pem"), server_name: "backend.test" })).toBe("nobody")
      expect(yield* ask(port, { ca_file: file("ca.pem") })).toContain("the certificate is not trusted")
    })
  )
  it.live("is not looked at when verification is switched off", () =>
    Effect.gen(function* () {
      expect(yield* ask(yield* server(), { insecure_skip_verify: true })).toBe("nobody")
    })
  )
  it.live("that wants a client certificate gets it", () =>
    Effect.gen(function* () {
      const port = yield* server(true)
      const config = { ca_file: file("ca.pem"), server_name: "backend.test", cert_file: file("client.pem"), key_file: file("client.key") }
      expect(yield* ask(port, config)).toBe("olla.test")
      expect(yield* ask(port, { ca_file: file("ca.pem"), server_name: "backend.test" })).not.toBe("olla.test")
    })
  )
})
