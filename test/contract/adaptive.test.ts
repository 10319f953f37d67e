/** `load_balancer: adaptive` in front of servers that tell what they have in memory and what they have to do. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"

/** Milliseconds until a first byte: what is measured is then more than noise. */
const readsFor = 40

/** A server that does what it is told, and says of itself what it is told. */
class Scripted {
  readonly name: string
  readonly type: "ollama" | "vllm"
  readonly models: ReadonlyArray<string>
  readonly #server: Server
  /** What Ollama has in memory. */
  loaded: ReadonlyArray<string> = []
  /** What vLLM says that it does, and what waits there. */
  running = 0
  waiting = 0
  /** Answers that are not begun before they are released. */
  holds = false
  /** Whoever is asked for is loaded, and nobody else is then. */
  keepsOne = false
  readonly #held: Array<() => void> = []
  #looks: Array<() => void> = []
  asked = 0
  /** Models in the order in which they were asked for. */
  readonly order: Array<string> = []

  constructor(type: "ollama" | "vllm", name: string, models: ReadonlyArray<string>) {
    this.type = type
    this.name = name
    this.models = models
    this.#server = createServer((req, res) => this.#serve(req, res))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
  listen(): Promise<unknown> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve(undefined)))
  }
  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  release(): void {
    this.holds = false
    for (const begin of this.#held.splice(0)) begin()
  }

  /** It has been asked for its load, and what it said before has been read: one look begins when the one before is over. */
  async told(): Promise<void> {
    for (let looks = 0; looks < 2; looks++) await new Promise<void>((resolve) => this.#looks.push(resolve))
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const json = (value: unknown) => res.setHeader("content-type", "application/json").end(JSON.stringify(value))
    switch (req.url) {
      case "/":
      case "/health":
        res.end("ok")
        return
      case "/api/tags":
        json({ models: this.models.map((name) => ({ name, model: name })) })
        return
      case "/v1/models":
        json({ object: "list", data: this.models.map((id) => ({ id, object: "model", owned_by: this.type })) })
        return
      case "/api/ps":
        this.#look()
        json({ models: this.loaded.map((name) => ({ name, model: name })) })
        return
      case "/metrics":
        this.#look()
        res.end(
          this.models
            .map(
              (model) =>
                `vllm:num_requests_running{model_name="${model}"} ${this.running}\nvllm:num_requests_waiting{model_name="${model}"} ${this.waiting}\n`
            )
            .join("")
        )
        return
      case "/v1/chat/completions":
        this.asked++
        void text(req).then((body) => {
          const { model } = JSON.parse(body) as { readonly model: string }
          this.order.push(model)
          if (this.type === "ollama" && this.keepsOne) this.loaded = [model]
          const begin = () => setTimeout(() => json({ choices: [{ message: { role: "assistant", content: this.name } }] }), readsFor)
          if (this.holds) this.#held.push(begin)
          else begin()
        })
        return
      default:
        res.writeHead(404).end()
    }
  }

  #look(): void {
    const looks = this.#looks
    this.#looks = []
    for (const seen of looks) seen()
  }
}

const boxes = [new Scripted("ollama", "box-a", ["warm", "cold"]), new Scripted("ollama", "box-b", ["warm", "cold"])] as const
const engines = [new Scripted("vllm", "gpu-a", ["chat"]), new Scripted("vllm", "gpu-b", ["chat"])] as const
/** Has room for one model, and does one thing at a time. */
const small = new Scripted("ollama", "small", ["x", "y"])
const all = [...boxes, ...engines, small]
let daemon: Daemon

beforeAll(async () => {
  await Promise.all(all.map((server) => server.listen()))
  boxes[1].loaded = ["warm"]
  small.loaded = ["x"]
  small.keepsOne = true
  const endpoints = all.map(
    ({ url, name, type }) =>
      `      - {url: "${url}", name: ${name}, type: ${type}, ${rareChecks}${name === "small" ? ", max_concurrent: 1, max_resident: 1" : ""}}`
  )
  daemon = await startDaemon(
    `proxy: {load_balancer: adaptive}\ntraffic: {signals: {interval: 1s}}\ndiscovery:\n  static:\n    endpoints:\n${endpoints.join("\n")}\n`
  )
})
afterAll(async () => {
  await daemon?.stop()
  for (const server of all) server.close()
})
beforeEach(() => {
  for (const server of all) server.holds = false
})

/** Who answered. */
const ask = async (model: string, text = "hello", more: ReadonlyArray<unknown> = []): Promise<string> => {
  const answer = await fetch(`${daemon.url}/olla/proxy/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: text }, ...more] })
  })
  expect(answer.status).toBe(200)
  await answer.text()
  return answer.headers.get("x-olla-endpoint") ?? ""
}

const times = async (count: number, once: () => Promise<string>): Promise<ReadonlyArray<string>> => {
  const out: Array<string> = []
  for (let n = 0; n < count; n++) out.push(await once())
  return out
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe("a request", () => {
  it("goes where its model is in memory, as often as that one is free", async () => {
    // A look that fails on a busy machine is made good by the next ones.
    await eventually(
      () => times(4, () => ask("warm")),
      (names) => names.every((name) => name === "box-b")
    )
  })

  it("joins the one that already loads its model", async () => {
    for (const box of boxes) box.holds = true
    const before = boxes.map(({ asked }) => asked)
    const began = () => boxes.map(({ asked }, n) => asked - (before[n] as number))
    const first = ask("cold")
    await until(() => began().includes(1))
    const second = ask("cold")
    await until(() => began().some((count) => count === 2) || began().every((count) => count === 1))
    for (const box of boxes) box.loaded = ["cold"]
    for (const box of boxes) box.release()
    expect(await second).toBe(await first)
  })

  it("is shared by equals, while nothing sets them apart", async () => {
    expect(new Set(await times(2, () => ask("chat")))).toEqual(new Set(["gpu-a", "gpu-b"]))
  })

  it("goes where its prompt is kept, and elsewhere when that one says that it has much to do", async () => {
    const prompt = "a long prompt ".repeat(3000)
    const [first = "", ...rest] = await times(4, () => ask("chat", prompt))
    expect(rest).toEqual([first, first, first])
    // The next turn has all of it, and something new.
    expect(await ask("chat", prompt, [{ role: "assistant", content: "and more ".repeat(200) }])).toBe(first)
    const busy = engines.find(({ name }) => name === first) as Scripted
    busy.running = 4
    busy.waiting = 40
    await busy.told()
    expect(await ask("chat", prompt)).not.toBe(first)
    busy.running = busy.waiting = 0
    await busy.told()
  })

  it("does not go where others already wait, as that server says", async () => {
    engines[0].running = 2
    engines[0].waiting = 10
    await engines[0].told()
    expect(new Set(await times(4, () => ask("chat")))).toEqual(new Set(["gpu-b"]))
  })

  it("whose model is in memory goes before those that would push it out, and these follow one another", async () => {
    small.holds = true
    const first = ask("x")
    await until(() => small.asked === 1)
    const others: Array<Promise<string>> = []
    for (const model of ["y", "x", "y", "x"]) {
      others.push(ask(model))
      // Whoever was sent before is in line by then.
      for (let n = 0; n < 3; n++) await fetch(`${daemon.url}/internal/health`)
    }
    expect(small.asked).toBe(1)
    small.release()
    await Promise.all([first, ...others])
    expect(small.order.join(" ")).toBe("x x x y y")
  })
})
