/**
 * Finds the small text fields of a multipart form (RFC 7578) while its chunks arrive. Only headers of parts are looked at by
 * hand; what is between two boundaries is searched natively and never copied, files least of all. Lines may end in a bare line feed, as
 * some readers of forms allow (Go's): the line of the first boundary tells.
 */

/** Bytes of one part's headers; longer ones end the search. */
const maxHeaders = 16 * 1024
/** Fields that are kept: no honest client repeats one a hundred times. */
const mostFields = 100
/** Bytes of a field's value that are read: no model has a longer name. */
const maxValue = 4096

export type FormField = "model" | "stream"

export interface FoundField {
  readonly field: FormField
  /** Byte offsets in the body, from the first byte of the value to the one behind its last. */
  readonly start: number
  readonly end: number
}

/** Of a `Content-Type`; `undefined`: it is no form, or has no boundary. */
export const boundaryOf = (contentType: string): string | undefined => {
  const match = /^\s*multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType)
  return match?.[1] ?? match?.[2]
}

const disposition = /^content-disposition:\s*form-data\s*(;.*)$/i
const fieldName = /;\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i
const fileName = /;\s*filename\*?\s*=/i

const fieldOf = (line: string): FormField | undefined => {
  const parameters = disposition.exec(line)?.[1]
  if (parameters === undefined || fileName.test(parameters)) return undefined
  const match = fieldName.exec(parameters)
  const name = match?.[1] ?? match?.[2]
  return name === "model" || name === "stream" ? name : undefined
}

const nothing = Buffer.alloc(0)

export class FormScan {
  readonly found: Array<FoundField> = []
  readonly #boundary: string
  #delimiter: Buffer
  /** How lines end; known with the first boundary. */
  #lineEnd = "\n"
  #isFirst = true
  #state: "content" | "delimited" | "headers" | "over" = "content"
  /** The last bytes before this chunk, in which a delimiter may have begun. The first one has no line before it. */
  #tail: Buffer = Buffer.from("\n")
  /** The line that is being read. */
  #line = ""
  #headers = 0
  #field: FormField | undefined
  #start = 0
  /** Offset of this chunk's first byte. */
  #base = 0

  constructor(boundary: string) {
    this.#boundary = boundary
    this.#delimiter = Buffer.from(`\n--${boundary}`, "latin1")
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state !== "over") at = this.#state === "content" ? this.#content(chunk, at) : this.#lines(chunk, at)
    this.#base += chunk.length
  }

  /** Up to the next delimiter, which may lie across chunks. */
  #content(chunk: Buffer, at: number): number {
    const { length } = this.#delimiter
    if (this.#tail.length > 0) {
      const seam = Buffer.concat([this.#tail, chunk.subarray(at, at + length - 1)])
      const found = seam.indexOf(this.#delimiter)
      if (found >= 0) return this.#delimit(at - this.#tail.length + found)
    }
    const found = chunk.indexOf(this.#delimiter, at)
    if (found >= 0) return this.#delimit(found)
    const rest = chunk.length - at
    this.#tail =
      rest >= length - 1 ? chunk.subarray(chunk.length - length + 1) : Buffer.concat([this.#tail, chunk.subarray(at)]).subarray(-length + 1)
    return chunk.length
  }

  /** `from`: where in this chunk the delimiter begins; negative where it began before. */
  #delimit(from: number): number {
    if (this.#field !== undefined && this.found.length < mostFields)
      this.found.push({ field: this.#field, start: this.#start, end: this.#base + from })
    this.#field = undefined
    this.#tail = nothing
    this.#line = ""
    this.#state = "delimited"
    return from + this.#delimiter.length
  }

  #learn(lineEnd: string): void {
    this.#isFirst = false
    this.#lineEnd = lineEnd
    this.#delimiter = Buffer.from(`${lineEnd}--${this.#boundary}`, "latin1")
  }

  /** The rest of a delimiter's line, then header lines up to an empty one. */
  #lines(chunk: Buffer, at: number): number {
    const newline = chunk.indexOf(10, at)
    const end = newline < 0 ? chunk.length : newline
    this.#headers += end - at
    this.#line += chunk.toString("latin1", at, Math.min(end, at + maxHeaders))
    if (this.#headers > maxHeaders || (this.#state === "delimited" && this.#line.startsWith("--"))) {
      this.#state = "over"
      return chunk.length
    }
    if (newline < 0) return chunk.length
    const line = this.#line.trimEnd()
    if (this.#isFirst) this.#learn(this.#line.endsWith("\r") ? "\r\n" : "\n")
    this.#line = ""
    if (this.#state === "delimited") {
      this.#state = "headers"
      this.#headers = 0
    } else if (line === "") {
      this.#state = "content"
      this.#headers = 0
      this.#start = this.#base + newline + 1
      // The line end before a delimiter may be this one, where a part is empty.
      this.#tail = Buffer.from(this.#lineEnd)
    } else this.#field = fieldOf(line) ?? this.#field
    return newline + 1
  }
}

/** The text of one field, from the chunks that it lies in. */
export const fieldText = (body: ReadonlyArray<Buffer>, { start, end }: FoundField): string => {
  const parts: Array<Buffer> = []
  const until = Math.min(end, start + maxValue)
  let at = 0
  for (const chunk of body) {
    if (at >= until) break
    if (at + chunk.length > start) parts.push(chunk.subarray(Math.max(0, start - at), until - at))
    at += chunk.length
  }
  return Buffer.concat(parts).toString("utf8")
}
