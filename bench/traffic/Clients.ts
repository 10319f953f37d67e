/** Clients of the live trials: each asks again as soon as it has its answer, and judges that. */
import { Agent, request } from "node:http"

export interface Seen {
  /** Milliseconds of `performance.now()`. */
  readonly at: number
  readonly took: number
  /** 0: no answer. */
  readonly status: number
  /** A whole answer with 200. */
  readonly good: boolean
  readonly endpoint: string
  readonly attempts: number
  /** Of a refusal. */
  readonly text: string
}

export interface Load {
  readonly port: number
  readonly path: string
  readonly clients: number
  readonly body: (stream: boolean) => string
  readonly headers?: Readonly<Record<string, string>>
  /** Milliseconds after which a client gives up. */
  readonly patience: number
}

/** Runs until `stop` is called, which resolves when every client has its last answer. */
export const startClients = (load: Load): { readonly seen: ReadonlyArray<Seen>; readonly stop: () => Promise<void> } => {
  const seen: Array<Seen> = []
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  let on = true
  const client = async (index: number) => {
    for (let turn = index; on; turn++) seen.push(await ask(load, agent, turn % 2 === 0))
  }
  const all = Promise.all(Array.from({ length: load.clients }, (_, index) => client(index)))
  return {
    seen,
    stop: async () => {
      on = false
      await all
      agent.destroy()
    }
  }
}

export const ask = (load: Load, agent: Agent, stream: boolean): Promise<Seen> =>
  new Promise((resolve) => {
    const at = performance.now()
    const body = load.body(stream)
    let status = 0
    let endpoint = ""
    let attempts = 1
    let text = ""
    let complete = false
    const asked = request(
      {
        agent,
        host: "127.0.0.1",
        port: load.port,
        path: load.path,
        method: "POST",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...load.headers }
      },
      (answer) => {
        status = answer.statusCode ?? 0
        endpoint = String(answer.headers["x-olla-endpoint"] ?? "")
        attempts = Number(answer.headers["x-olla-attempts"] ?? 1)
        answer.setEncoding("latin1")
        answer.on("data", (part: string) => {
          text = (text + part).slice(-2_000)
        })
        answer.on("end", () => {
          complete = answer.complete
        })
        answer.on("error", () => {})
      }
    )
    asked.setTimeout(load.patience, () => asked.destroy())
    asked.on("error", () => {})
    asked.on("close", () => {
      const isWhole = stream ? text.endsWith("data: [DONE]\n\n") : text.trimEnd().endsWith("}")
      const good = complete && status === 200 && isWhole
      resolve({ at, took: performance.now() - at, status, good, endpoint, attempts, text: good ? "" : text.slice(0, 300) })
    })
    asked.end(body)
  })
