/** A backend that costs as little as possible: what is measured is the proxy. Prints its port, ends with its parent. */
import { createServer } from "node:http"
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

const resets = process.argv[2] === "resets"

const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, (req, res) => {
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
  req.resume()
  req.on("end", () => {
    if (tokens === 0) {
      res.writeHead(200, { "content-type": "application/json", "content-length": answer.length })
      res.end(answer)
      return
    }
    res.writeHead(200, { "content-type": "text/event-stream" })
    res.flushHeaders()
    let sent = 0
    const timer = setInterval(() => {
      if (++sent > tokens) {
        clearInterval(timer)
        res.end(final)
      } else res.write(token)
    }, every)
    res.on("close", () => clearInterval(timer))
  })
})
server.listen(0, "127.0.0.1", 4096, () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
process.stdin.resume().on("end", () => process.exit(0))
