/** Clients of the chaos run: each asks again and again, leaves now and then, and keeps what it saw. */
import { Agent, request } from "node:http"
import { isWhole, textOf } from "./chaosBackends.ts"

export interface Seen {
  readonly id: string
  readonly stream: boolean
  readonly start: number
  end: number
  /** 0: no answer at all. */
  status: number
  /** Whose answer it is. */
  backend: string
  /** Of an answer that is Olla's own. */
  text: string
  /** Backends that were asked, as far as the head tells. */
  attempts: number
  /** `whole`: exactly one backend's answer; `cut`: its beginning; `left`: by this client; `wrong`: anything else; `none`: no head came. */
  how: "whole" | "cut" | "left" | "wrong" | "refused" | "none"
  /** Milliseconds until there was a connection; a SYN that was lost is sent again after 1, 3 and 7 seconds. */
  connect: number
  /** Milliseconds from there to the head, and the longest silence after it. */
  head: number
  gap: number
}

export interface Aim {
  readonly port: number
  readonly path: string
  readonly run: string
  /** Milliseconds without anything from the server after which a client gives up. */
  readonly patience: number
}

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** Runs until `until` (epoch milliseconds) or for `most` requests; resolves when the last one is through. */
export const runClients = async (aim: Aim, count: number, until: number, most: number): Promise<ReadonlyArray<Seen>> => {
  const seen: Array<Seen> = []
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  let next = 0
  const client = async () => {
    while (Date.now() < until && next < most) {
      const last = await one(aim, agent, `${aim.run}-${next++}`)
      seen.push(last)
      await pause(20 + Math.random() * (last.how === "refused" ? 1_000 : 150))
    }
  }
  await Promise.all(Array.from({ length: count }, client))
  agent.destroy()
  return seen
}

const one = (aim: Aim, agent: Agent, id: string): Promise<Seen> =>
  new Promise((resolve) => {
    const stream = Math.random() < 0.5
    const tokens = stream ? 5 + Math.floor(Math.random() * 40) : 0
    const leaves = Math.random() < 0.05
    const seen: Seen = {
      id,
      stream,
      start: Date.now(),
      end: 0,
      status: 0,
      backend: "",
      text: "",
      attempts: 1,
      how: "none",
      connect: 0,
      head: 0,
      gap: 0
    }
    const body = JSON.stringify({ model: "test-model", stream, messages: [{ role: "user", content: `${id} ${"x".repeat(200)}` }] })
    let text = ""
    let left = false
    let last = 0
    const done = (how: Seen["how"]) => {
      if (seen.end !== 0) return
      seen.end = Date.now()
      seen.how = left ? "left" : how
      seen.text = how === "refused" || how === "wrong" ? text.slice(0, 300) : ""
      resolve(seen)
    }
    const asked = request(
      {
        agent,
        port: aim.port,
        host: "127.0.0.1",
        path: aim.path,
        method: "POST",
        headers: { "content-type": "application/json", "content-length": body.length, "x-chaos-id": id, "x-tokens": tokens }
      },
      (answer) => {
        last = Date.now()
        seen.head = last - seen.start - seen.connect
        seen.status = answer.statusCode ?? 0
        seen.attempts = Number(answer.headers["x-olla-attempts"] ?? 1)
        answer.setEncoding("latin1")
        answer.on("data", (part: string) => {
          const now = Date.now()
          seen.gap = Math.max(seen.gap, now - last)
          last = now
          text += part
          if (leaves && text.length > 200) {
            left = true
            asked.destroy()
          }
        })
        const judged = (whole: boolean): Seen["how"] => {
          if (seen.status !== 200) return "refused"
          const backend = /^(?:data: \S+ |\{"id":"[^"]*","backend":")(b\d)/.exec(text)?.[1] ?? ""
          seen.backend = backend
          if (!whole) return !stream || textOf(id, backend, tokens).startsWith(text) || text === "" ? "cut" : "wrong"
          return (stream ? textOf(id, backend, tokens) === text : isWhole(text, id, backend)) ? "whole" : "wrong"
        }
        answer.on("end", () => done(judged(true)))
        answer.on("error", () => done(judged(false)))
        answer.on("close", () => {
          seen.gap = Math.max(seen.gap, Date.now() - last)
          done(judged(answer.complete))
        })
      }
    )
    asked.setTimeout(aim.patience, () => asked.destroy())
    asked.once("socket", (socket) => {
      if (!socket.connecting) return
      socket.once("connect", () => {
        seen.connect = Date.now() - seen.start
      })
    })
    // After a head the answer itself tells its end.
    const none = () => {
      if (seen.status === 0) done("none")
    }
    asked.on("error", none)
    asked.on("close", none)
    asked.end(body)
  })
