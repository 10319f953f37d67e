/** What stands at `/`: a word that Ollama's clients look for, and for people which base URL which client takes. */
import { build } from "../version.ts"
import type { RequestContext } from "./RequestContext.ts"

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

export const welcome = (context: RequestContext): void => {
  if (!context.headers("accept").toLowerCase().includes("text/html")) {
    context.answer(200, "text/plain; charset=utf-8", "Ollama is running")
    return
  }
  const proto = context.header("x-forwarded-proto").toLowerCase() === "https" ? "https" : "http"
  const base = escaped(`${proto}://${context.head.host}`)
  context.answer(200, "text/html; charset=utf-8", page(base), [
    "Content-Security-Policy",
    "default-src 'none'; style-src 'unsafe-inline'",
    "Vary",
    "Accept"
  ])
}

const page = (base: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${build.name}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}code{font-size:.95em}</style></head>
<body><h1>${build.name}</h1>
<p>This is a proxy in front of model servers: one address, every model of the fleet, in the API that the client speaks.</p>
<table><tr><th>Client</th><th>Base URL</th></tr>
<tr><td>OpenAI's SDKs, Codex, Cursor, Continue, Cline, aider, opencode</td><td><code>${base}/v1</code></td></tr>
<tr><td>Anthropic's SDKs, Claude Code</td><td><code>${base}</code></td></tr>
<tr><td>Ollama's SDKs, VS Code Copilot, Zed, Home Assistant, Open WebUI</td><td><code>${base}</code></td></tr>
</table>
<p><a href="/v1/models">Models</a> · <a href="/internal/status">Status</a> · <a href="/internal/openapi.json">All routes</a></p>
</body></html>
`
