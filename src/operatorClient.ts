/** Speaks with a running daemon for an operator's commands: where it is, with which token, and why it does not answer. */
import { readFileSync } from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import { resolve as resolvePath } from "node:path"
import { type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import { render } from "./config/Diagnostic.ts"
import { localHost } from "./configCommands.ts"
import { loadDashboardToken } from "./guard/DashboardToken.ts"

export interface Reply {
  readonly status: number
  readonly text: string
  /** `undefined`: it is none. */
  readonly json: unknown
}

/** Why there is no reply that could be gone by. */
export class Unreachable extends Error {
  readonly _tag = "Unreachable"
}

export interface OperatorClient {
  /** Where the daemon is asked, for messages. */
  readonly address: string
  readonly hasToken: boolean
  /** Rejects with `Unreachable` alone. `patience`: milliseconds. */
  readonly ask: (method: "GET" | "POST", path: string, patience: number, body?: object) => Promise<Reply>
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no host of that name",
  EAI_AGAIN: "the name of the host cannot be looked up now",
  EHOSTUNREACH: "there is no way to that host",
  ETIMEDOUT: "the connection came to nothing",
  ECONNRESET: "the connection was cut"
}

const reasonOf = (error: NodeJS.ErrnoException): string =>
  reasons[error.code ?? ""] ?? (error.message || error.code || "it cannot be reached")

/** Brackets around an IPv6 address. */
const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host)

/** `url`: instead of the configuration's. Throws `Unreachable` where neither says where the daemon is. */
export const operatorClient = (options: LoadOptions, url: URL | undefined): OperatorClient => {
  const loaded = loadConfig(options)
  const { config } = loaded
  if (config === undefined && url === undefined)
    throw new Unreachable(
      `where the daemon is stands in a configuration that cannot be read; name it with --url\n${loaded.diagnostics
        .filter(({ severity }) => severity === "error")
        .map(render)
        .join("\n")}`
    )
  const { host, port } = config?.server ?? { host: "", port: 0 }
  const isSecure = (config?.server.tls.cert_file ?? "") !== ""
  const socketPath = url === undefined && config?.server.unix_socket.only === true ? config.server.unix_socket.path : undefined
  const base = url ?? new URL(`http${isSecure && socketPath === undefined ? "s" : ""}://${inUrl(localHost(host))}:${port}`)
  const address = base.href.replace(/\/+$/, "").replace(/\/\/[^@/]*@/, "//")
  const whence = url === undefined ? `the address is ${loaded.path === "" ? "the default one" : `that of ${loaded.path}`}; ` : ""
  const token = options.env["OLLA_TOKEN"] || configuredToken(options, config)
  const headers = {
    "X-Olla-Action": "1",
    Accept: "application/json",
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` })
  }
  const prefix = base.pathname.replace(/\/+$/, "")

  const ask: OperatorClient["ask"] = (method, path, patience, body) =>
    new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Unreachable(why))
      const text = body === undefined ? undefined : JSON.stringify(body)
      const asking = (base.protocol === "https:" ? https : http).request(
        {
          host: base.hostname.replace(/^\[|\]$/g, ""),
          ...(base.port === "" ? {} : { port: base.port }),
          ...(socketPath === undefined ? {} : { socketPath: resolvePath(options.cwd, socketPath) }),
          // Its own machine's daemon has a certificate for another name.
          ...(url === undefined && isSecure ? { rejectUnauthorized: false } : {}),
          method,
          path: prefix + path,
          agent: false,
          headers: { ...headers, ...(method === "POST" ? { "Content-Length": Buffer.byteLength(text ?? "") } : {}) }
        },
        (answer) => {
          const chunks: Array<Buffer> = []
          answer.on("data", (chunk: Buffer) => chunks.push(chunk))
          answer.on("error", (error) => fail(`${address} broke off its answer: ${reasonOf(error)}`))
          answer.on("end", () => {
            clearTimeout(timer)
            if (answer.headers["x-olla-request-id"] === undefined) {
              fail(`what answers at ${address} is not Olla (HTTP ${answer.statusCode}): ${whence}name another one with --url`)
              return
            }
            const said = Buffer.concat(chunks).toString("utf8")
            resolve({ status: answer.statusCode ?? 0, text: said, json: parsed(said) })
          })
        }
      )
      const timer = setTimeout(
        () => asking.destroy(Object.assign(new Error(`no answer within ${patience / 1000}s`), { code: "" })),
        patience
      )
      asking.on("error", (error) => {
        clearTimeout(timer)
        fail(
          `no Olla answers at ${address}: ${reasonOf(error)}. Is it running? ${whence}name another one with --url`.replace(
            /\? (\w)/,
            (_, letter: string) => `? ${letter.toUpperCase()}`
          )
        )
      })
      asking.end(text)
    })
  return { address, hasToken: token !== undefined, ask }
}

/** What cannot be read is no token: the daemon says whether it wants one. */
const configuredToken = ({ env }: LoadOptions, config: ReturnType<typeof loadConfig>["config"]): string | undefined =>
  config === undefined
    ? undefined
    : loadDashboardToken(config.dashboard.access_policy, { env, readFile: (path) => readFileSync(path, "utf8") }).token

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
