/** HTTPS with certificates that renew under it, a port that redirects, and a socket file. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { request as plainRequest } from "node:http"
import { type RequestOptions, request } from "node:https"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls } from "node:tls"
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { hashOf, makeKey } from "../../src/guard/keys/KeyForm.ts"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Made, selfSigned, signedBy } from "./certificates.ts"
import { type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const key = makeKey()
let made: string
let first: Made
let lab: Made
let client: Made
let stranger: Made
let authority: Made
let backend: SimulatedBackend
let daemon: Daemon
let redirectPort: number

interface Said {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

const read = (send: typeof request | typeof plainRequest, options: RequestOptions, body?: string): Promise<Said> =>
  new Promise((resolve, reject) => {
    const asking = send({ agent: false, ...options }, (answer) => {
      let text = ""
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString()
      })
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }))
      answer.on("error", reject)
    })
    asking.on("error", reject)
    asking.end(body)
  })

const secure = (path: string, more: RequestOptions = {}, body?: string) =>
  read(request, { host: "127.0.0.1", port: daemon.port, path, rejectUnauthorized: false, ...more }, body)

const served = (servername?: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connectTls(
      { host: "127.0.0.1", port: daemon.port, rejectUnauthorized: false, ...(servername === undefined ? {} : { servername }) },
      () => {
        const { subject } = socket.getPeerCertificate()
        socket.end()
        resolve(String(subject.CN))
      }
    )
    socket.once("error", reject)
  })

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), "olla-certificates-"))
  first = selfSigned(made, "first", ["olla.example.com"])
  lab = selfSigned(made, "lab", ["lab.example.com", "*.lab.example.com"])
  authority = selfSigned(made, "authority", ["clients"])
  client = signedBy(made, "authority", "build-server")
  stranger = selfSigned(made, "stranger", ["build-server"])
  backend = await startBackend({ kind: "ollama", models: ["small:1b"] })
  redirectPort = await freePort()
  daemon = await startDaemon(`access: {keys_file: keys.yaml}\n${endpointsYaml([{ name: "office", backend }], rareChecks)}`, {
    settles: false,
    server: `  tls: {cert_file: first.pem, key_file: first.key, certificates: [{cert_file: lab.pem, key_file: lab.key}], client_ca_file: authority.pem, client_auth: request, redirect_port: ${redirectPort}}\n  unix_socket: {path: olla.sock, mode: "0600"}\n`,
    files: {
      "first.pem": first.cert,
      "first.key": first.key,
      "lab.pem": lab.cert,
      "lab.key": lab.key,
      "authority.pem": authority.cert,
      "keys.yaml": `keys:\n  - {name: ci, hash: "${hashOf(key)}"}\n  - {name: builder, certificates: ["build-*"]}\n  - {name: here, networks: [unix]}\n`
    }
  })
})
afterAll(async () => {
  await daemon?.stop()
  await backend?.stop()
})

const bearer = { authorization: `Bearer ${key}` }

describe("HTTPS", () => {
  it("serves clients and their streams, and tells backends so", async () => {
    const openai = new OpenAI({
      baseURL: `https://127.0.0.1:${daemon.port}/v1`,
      apiKey: key,
      maxRetries: 0,
      fetch: (async (url: string, init: RequestInit) => {
        const answer = await secure(
          new URL(url).pathname,
          { method: init.method ?? "GET", headers: Object.fromEntries(new Headers(init.headers)) },
          init.body as string
        )
        return new Response(answer.text, { status: answer.status, headers: { "content-type": String(answer.headers["content-type"]) } })
      }) as unknown as typeof fetch
    })
    let text = ""
    for await (const chunk of await openai.chat.completions.create({ model: "small:1b", stream: true, messages: [] }))
      text += chunk.choices[0]?.delta.content ?? ""
    expect(text).not.toBe("")
    expect(backend.inference()[0]?.header("x-forwarded-proto")).toBe("https")
    expect((await secure("/internal/status")).text).toContain('"tls"')
  })

  it("speaks HTTP/1.1 and nothing older than TLS 1.2", async () => {
    const protocols = await new Promise<unknown>((resolve, reject) => {
      const socket = connectTls(
        { host: "127.0.0.1", port: daemon.port, rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] },
        () => {
          resolve([socket.alpnProtocol, socket.getProtocol()])
          socket.end()
        }
      )
      socket.once("error", reject)
    })
    expect(protocols).toEqual(["http/1.1", "TLSv1.3"])
    await expect(secure("/internal/health", { maxVersion: "TLSv1.1", minVersion: "TLSv1" })).rejects.toThrow()
  })

  it.each([
    [undefined, "olla.example.com"],
    ["olla.example.com", "olla.example.com"],
    ["LAB.example.com", "lab.example.com"],
    ["gpu.lab.example.com", "lab.example.com"],
    ["a.gpu.lab.example.com", "olla.example.com"],
    ["unknown.example.com", "olla.example.com"]
  ])("asked for %s it is %s", async (name, common) => {
    expect(await served(name)).toBe(common)
  })

  it("answers plain HTTP with one line, and survives what is neither", async () => {
    const plain = await read(plainRequest as typeof request, { host: "127.0.0.1", port: daemon.port, path: "/v1/models", headers: bearer })
    expect(plain.status).toBe(400)
    expect(plain.text).toMatch(/^Bad Request: this port speaks HTTPS.*\n$/)
    for (const bytes of ["\x16\x03\x01\x00\x05garbage", "\x16", "\x00\x00", ""])
      await new Promise<void>((resolve) => {
        const socket = connect({ host: "127.0.0.1", port: daemon.port }, () => socket.end(bytes, "latin1"))
        socket.resume()
        socket.on("error", () => {})
        socket.once("close", () => resolve())
      })
    expect((await secure("/internal/health")).status).toBe(200)
  })

  it("knows who verified by a certificate, and nobody by one that does not", async () => {
    const models = (certificate: Made | undefined) =>
      secure("/v1/models", certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key })
    expect((await models(client)).headers["x-olla-client"]).toBe("builder")
    expect((await models(stranger)).status).toBe(401)
    expect((await models(undefined)).status).toBe(401)
  })

  it("is asked for its health by its own machine", () => {
    const main = join(import.meta.dirname, "..", "..", "dist", "main.js")
    for (const command of [["healthcheck"], ["status", "--json"]])
      expect(
        execFileSync(process.execPath, [main, ...command, "--config", "olla.yaml"], { cwd: daemon.folder, encoding: "utf8" })
      ).toBeDefined()
  })
})

describe("a renewed certificate", () => {
  const replace = (name: string, text: string) => {
    writeFileSync(join(daemon.folder, `${name}.new`), text)
    renameSync(join(daemon.folder, `${name}.new`), join(daemon.folder, name))
  }
  const errors = async () => JSON.parse((await secure("/internal/status")).text).tls.certificates[0].last_error as string | null

  it("serves from then on, a half renewed one does not, and streams go on", async () => {
    backend.setFault({ _tag: "endless" })
    let pieces = 0
    const stream = new Promise<void>((resolve, reject) => {
      const asking = request(
        {
          host: "127.0.0.1",
          port: daemon.port,
          path: "/v1/chat/completions",
          method: "POST",
          rejectUnauthorized: false,
          agent: false,
          headers: { ...bearer, "content-type": "application/json" }
        },
        (answer) => {
          answer.on("data", () => {
            pieces++
          })
          answer.on("error", reject)
          finish = () => {
            asking.destroy()
            resolve()
          }
        }
      )
      asking.on("error", () => {})
      asking.end(JSON.stringify({ model: "small:1b", stream: true, messages: [] }))
    })
    let finish = () => {}
    await eventually(
      () => pieces,
      (count) => count > 0
    )
    const next = selfSigned(made, "next", ["renewed.example.com"])
    replace("first.pem", next.cert)
    expect(await eventually(errors, (error) => error !== null)).toMatch(/first\.key does not fit the certificate in first\.pem/)
    expect(await served()).toBe("olla.example.com")
    replace("first.key", next.key)
    expect(
      await eventually(
        () => served(),
        (name) => name !== "olla.example.com"
      )
    ).toBe("renewed.example.com")
    expect(await errors()).toBeNull()
    const then = pieces
    await eventually(
      () => pieces,
      (count) => count > then
    )
    finish()
    await stream
    backend.setFault(undefined)
    const { text } = await secure("/internal/metrics")
    expect(text).toMatch(/olla_tls_certificate_expiry_timestamp_seconds\{name="renewed\.example\.com"\} \d+/)
    expect(text).toMatch(/olla_tls_handshake_failures_total\{reason="\w+"\} \d+/)
  })
})

describe("the port that redirects", () => {
  const ask = (path: string, options: RequestOptions = {}) =>
    read(plainRequest as typeof request, { host: "127.0.0.1", port: redirectPort, path, headers: { host: "olla.example.com" }, ...options })

  it("sends readers on, and nobody who has a key", async () => {
    const sent = await ask("/v1/models?x=1")
    expect([sent.status, sent.headers["location"]]).toEqual([308, `https://olla.example.com:${daemon.port}/v1/models?x=1`])
    for (const options of [{ method: "POST" }, { headers: { host: "olla.example.com", ...bearer } }]) {
      const refused = await ask("/v1/models", options)
      expect([refused.status, refused.headers["location"]]).toEqual([403, undefined])
      expect(refused.text).toContain(`https://olla.example.com:${daemon.port}`)
    }
    const told = await eventually(
      () => daemon.output(),
      (text) => text.includes("A key came in clear")
    )
    expect(told).toContain('"key":"ci"')
    expect(told).not.toContain(key)
  })
})

describe("the socket file", () => {
  const local = (path: string, options: RequestOptions = {}) =>
    read(plainRequest as typeof request, { socketPath: join(daemon.folder, "olla.sock"), path, ...options })

  it("has its mode, knows its clients, and gives backends no address", async () => {
    expect(statSync(join(daemon.folder, "olla.sock")).mode & 0o777).toBe(0o600)
    backend.requests.length = 0
    const models = await local("/v1/models")
    expect([models.status, models.headers["x-olla-client"]]).toEqual([200, "here"])
    const body = JSON.stringify({ model: "small:1b", messages: [] })
    const chat = await new Promise<number>((resolve, reject) => {
      const asking = plainRequest(
        {
          socketPath: join(daemon.folder, "olla.sock"),
          path: "/v1/chat/completions",
          method: "POST",
          headers: { "content-type": "application/json" }
        },
        (got) => {
          got.resume()
          resolve(got.statusCode ?? 0)
        }
      )
      asking.on("error", reject)
      asking.end(body)
    })
    expect(chat).toBe(200)
    const [asked] = backend.inference()
    expect(asked?.header("x-forwarded-for")).toBeUndefined()
    expect((await local("/internal/status")).status).toBe(200)
  })
})

describe("a start is refused", () => {
  const main = join(import.meta.dirname, "..", "..", "dist", "main.js")
  const start = (yaml: string): string => {
    writeFileSync(join(made, "wrong.yaml"), yaml)
    const { status, stdout } = spawnSync(process.execPath, [main, "--config", "wrong.yaml"], {
      cwd: made,
      encoding: "utf8",
      timeout: 20_000,
      env: { PATH: process.env["PATH"] }
    })
    expect(status).toBe(1)
    return stdout
  }

  it("with everything that is wrong with certificates and socket, and no content of a file", () => {
    writeFileSync(join(made, "none.pem"), "nothing")
    execFileSync("openssl", ["ec", "-in", "first.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key"], {
      cwd: made,
      stdio: "pipe"
    })
    const said = start(
      'server: {tls: {cert_file: first.pem, key_file: lab.key, client_auth: require, certificates: [{cert_file: none.pem, key_file: lab.key}, {cert_file: first.pem, key_file: locked.key}, {cert_file: gone.pem, key_file: gone.key}]}, unix_socket: {mode: "9"}}\n'
    )
    for (const part of [
      "the key in lab.key does not fit the certificate in first.pem",
      "needs server.tls.client_ca_file",
      "none.pem is no certificate in PEM form",
      "the key in locked.key is encrypted, and there is no server.tls.key_password_file",
      "gone.pem cannot be read",
      'server.unix_socket.mode: \\"9\\" is no mode'
    ])
      expect(said).toContain(part)
    expect(said).not.toContain(readFileSync(join(made, "lab.key"), "utf8").split("\n")[1])
  })

  it("when something else is at the socket's path, which stays", () => {
    writeFileSync(join(made, "precious"), "data")
    const said = start("server: {port: 1, unix_socket: {path: precious, only: true}}\n")
    expect(said).toContain("is no socket: it is left alone")
    expect(readFileSync(join(made, "precious"), "utf8")).toBe("data")
  })
})
