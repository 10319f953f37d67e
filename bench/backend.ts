/**
 * A backend that costs as little as possible: what is measured is the proxy. Arguments: `resets` or `serves`, and how many ports it listens on.
 * Prints its ports, ends with its parent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

const answer = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "test-model",
  choices: [
    { index: 0, message: { role: "assistant", content: "Hello there, how can I help you today?".repeat(10) }, finish_reason: "stop" }
  ],
  usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }
})
const models = JSON.stringify({ object: "list", data: [{ id: "test-model", object: "model", created: 1, owned_by: "vllm" }] })
const token = `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "test-model", choices: [{ index: 0, delta: { content: " token" }, finish_reason: null }] })}\n\n`
const final = `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "test-model", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`
// The same in Messages, for the route that passes them on.
const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
const message = JSON.stringify({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "test-model",
  content: [{ type: "text", text: "Hello there, how can I help you today?".repeat(10) }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 10, output_tokens: 20 }
})
const opening =
  event("message_start", {
    message: { ...JSON.parse(message), content: [], stop_reason: null }
  }) + event("content_block_start", { index: 0, content_block: { type: "text", text: "" } })
const textDelta = event("content_block_delta", { index: 0, delta: { type: "text_delta", text: " token" } })
const closing =
  event("content_block_stop", { index: 0 }) +
  event("message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 20 } }) +
  event("message_stop", {})

const resets = process.argv[2] === "resets"

const serve = (req: IncomingMessage, res: ServerResponse): void => {
  if (req.method === "GET") {
    res.writeHead(200, { "content-type": "application/json", "content-length": models.length })
    res.end(models)
    return
  }
  if (resets) {
    req.socket.resetAndDestroy()
    return
  }
  // Rate and count of tokens stand in headers, so that nothing has to be parsed.
  const tokens = Number(req.headers["x-tokens"] ?? 0)
  const every = Number(req.headers["x-every"] ?? 20)
  const native = req.url?.startsWith("/v1/messages") === true
  req.resume()
  req.on("end", () => {
    if (tokens === 0) {
      const whole = native ? message : answer
      res.writeHead(200, { "content-type": "application/json", "content-length": whole.length })
      res.end(whole)
      return
    }
    res.writeHead(200, { "content-type": "text/event-stream" })
    res.flushHeaders()
    if (native) res.write(opening)
    let sent = 0
    const timer = setInterval(() => {
      if (++sent > tokens) {
        clearInterval(timer)
        res.end(native ? closing : final)
      } else res.write(native ? textDelta : token)
    }, every)
    res.on("close", () => clearInterval(timer))
  })
}

const listen = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, serve)
    server.listen(0, "127.0.0.1", 4096, () => resolve((server.address() as AddressInfo).port))
  })

const ports = await Promise.all(Array.from({ length: Number(process.argv[3] ?? 1) }, listen))
process.stdout.write(`${ports.join(" ")}\n`)
process.stdin.resume().on("end", () => process.exit(0))
