/**
 * Debug facility: writes whole conversations to disk, one JSON object a line. Off by default. Writes
 * are queued and never delay a request; a failed write warns and loses that line only.
 */
import { appendFile, mkdir } from "node:fs/promises"
import { join } from "node:path"
import { parseJson } from "./JsonValue.ts"
import { redacted } from "./Redaction.ts"

export interface InspectorOptions {
  readonly outputDir: string
  readonly sessionHeader: string
  /** Texts are left out; see `redacted`. */
  readonly redact: boolean
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

const pad = (n: number, width = 2): string => String(n).padStart(width, "0")

/** Local date and RFC 3339 time to the second. */
const stamp = (at: Date): { readonly day: string; readonly time: string } => {
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`
  const offset = -at.getTimezoneOffset()
  const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`
  return { day, time: `${day}T${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}${zone}` }
}

/** A name that cannot leave the folder: 64 characters of a closed set, else `default`. */
export const sessionFileOf = (session: string): string | undefined => (/^[a-zA-Z0-9_-]{1,64}$/.test(session) ? session : undefined)

/** Line breaks cannot stand in a JSON text's strings, so they may go without changing it: it stays as the client wrote it. */
const oneLine = (json: string): string => json.replace(/[\r\n]+/g, " ").trim()

/** Lines that may wait for the disk; what comes beyond is dropped with a warning. */
const maxQueued = 1_000

export class Inspector {
  readonly #options: InspectorOptions
  #queue: Promise<void> = Promise.resolve()
  #queued = 0
  #announced = false

  constructor(options: InspectorOptions) {
    this.#options = options
  }

  /** The session of a request, from its raw headers. */
  sessionOf(header: (name: string) => string): string {
    const named = header(this.#options.sessionHeader.toLowerCase()) || header("x-request-id")
    if (named === "") return "default"
    const session = sessionFileOf(named)
    if (session === undefined) this.#options.warn("Inspector session id is not usable, writing to default.jsonl", { length: named.length })
    return session ?? "default"
  }

  request(session: string, model: string, body: string): void {
    this.#write(
      session,
      (time) =>
        `{"type":"request","ts":"${time}"${model === "" ? "" : `,"model":${JSON.stringify(model)}`},"body":${this.#options.redact ? JSON.stringify(redacted(parseJson(body))) : oneLine(body)}}\n`
    )
  }

  /** `body`: what the client was told, to be written as JSON. */
  response(session: string, body: unknown): void {
    this.#write(
      session,
      (time) => `{"type":"response","ts":"${time}","body":${JSON.stringify(this.#options.redact ? redacted(body) : body)}}\n`
    )
  }

  /** Resolves when everything queued so far is on disk. */
  settled(): Promise<void> {
    return this.#queue
  }

  #write(session: string, line: (time: string) => string): void {
    if (!this.#announced) {
      this.#announced = true
      this.#options.warn("Anthropic Inspector Enabled, may log sensitive data to disk - DO NOT use in production", {
        output_directory: this.#options.outputDir,
        session_header: this.#options.sessionHeader
      })
    }
    if (this.#queued >= maxQueued) {
      this.#options.warn("Inspector cannot keep up, a line was dropped", { session })
      return
    }
    const { day, time } = stamp(new Date())
    this.#queued++
    this.#queue = this.#queue
      .then(async () => {
        const folder = join(this.#options.outputDir, day)
        await mkdir(folder, { recursive: true, mode: 0o700 })
        await appendFile(join(folder, `${session}.jsonl`), line(time), { mode: 0o600 })
      })
      .catch((error: unknown) => this.#options.warn("Inspector could not write", { error: String(error) }))
      .finally(() => {
        this.#queued--
      })
  }
}
