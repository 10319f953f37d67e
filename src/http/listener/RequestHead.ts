/**
 * The head of a request, walked once: the headers that are needed of every request, how large they are, and what is wrong with
 * them. Of each header the first value that is not empty; empty when there is none.
 *
 * What is wrong is what node's parser accepts and a server must refuse (RFC 9112 2.3, 3.2, 6.1; RFC 9110 10.1.1): requests
 * without a version or, in HTTP/1.1, without `Host`, a `Host` twice or with something in it that no host has, codings that would
 * be taken for the body's own bytes.
 */
import type { KeyHeaders } from "../../guard/keys/Presented.ts"
import type { MeasuredHead } from "../../guard/SizeLimits.ts"
import type { ErrorName } from "../ErrorTable.ts"

export interface Received {
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  /** Flat name/value pairs. */
  readonly rawHeaders: ReadonlyArray<string>
}

const hostCharacters = /^[A-Za-z0-9!$%&'()*+,\-.:;=[\]_~]*$/

/** Nearly every client comes with the same one. */
let lastGoodHost = ""

const isHost = (value: string): boolean => {
  if (value === lastGoodHost) return true
  if (!hostCharacters.test(value)) return false
  lastGoodHost = value
  return true
}

const is = (name: string, usual: string, low: string): boolean => name === usual || name === low || name.toLowerCase() === low

export class RequestHead implements MeasuredHead, KeyHeaders {
  readonly rawHeaders: ReadonlyArray<string>
  headerBytes = 0
  host = ""
  /** Two values are joined, and then match no token. */
  origin = ""
  expect = ""
  userAgent = ""
  traceparent = ""
  contentType = ""
  requestId = ""
  contentLength = ""
  authorization = ""
  apiKey = ""
  xApiKey = ""
  hasConflict = false
  /** All of its values, in order. */
  contentEncoding = ""
  transferEncoding = ""
  /** `undefined`: nothing. */
  readonly problem: ErrorName | undefined

  constructor({ httpVersionMajor, httpVersionMinor, rawHeaders }: Received) {
    this.rawHeaders = rawHeaders
    let hosts = 0
    let problem: ErrorName | undefined
    // Names are told apart by their length before anything is compared.
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string
      const value = rawHeaders[i + 1] as string
      this.headerBytes += name.length + value.length + 4
      switch (name.length) {
        case 4:
          if (!is(name, "Host", "host")) break
          this.headerBytes -= 4 + value.length + 4
          if (this.host === "") this.host = value
          if (++hosts > 1 || !isHost(value)) problem ??= "badHost"
          break
        case 6:
          if (is(name, "Origin", "origin")) {
            if (this.origin !== "") problem ??= "badOrigin"
            this.origin = this.origin === "" ? value : `${this.origin}, ${value}`
          } else if (is(name, "Expect", "expect")) {
            if (this.expect === "") this.expect = value
            if (value.toLowerCase() !== "100-continue") problem ??= "badExpectation"
          }
          break
        case 7:
          if (!is(name, "Api-Key", "api-key")) break
          if (this.apiKey !== "" && this.apiKey !== value) this.hasConflict = true
          this.apiKey = value
          break
        case 9:
          if (!is(name, "X-Api-Key", "x-api-key")) break
          if (this.xApiKey !== "" && this.xApiKey !== value) this.hasConflict = true
          this.xApiKey = value
          break
        case 13:
          if (!is(name, "Authorization", "authorization")) break
          if (this.authorization !== "" && this.authorization !== value) this.hasConflict = true
          this.authorization = value
          break
        case 10:
          if (this.userAgent === "" && is(name, "User-Agent", "user-agent")) this.userAgent = value
          break
        case 11:
          // Of several, none is valid.
          if (is(name, "Traceparent", "traceparent")) this.traceparent = this.traceparent === "" ? value : "several"
          break
        case 12:
          if (this.contentType === "" && is(name, "Content-Type", "content-type")) this.contentType = value
          else if (this.requestId === "" && is(name, "X-Request-ID", "x-request-id")) this.requestId = value
          break
        case 14:
          if (this.contentLength === "" && is(name, "Content-Length", "content-length")) this.contentLength = value
          break
        case 16:
          if (is(name, "Content-Encoding", "content-encoding"))
            this.contentEncoding = this.contentEncoding === "" ? value : `${this.contentEncoding},${value}`
          break
        case 17:
          if (!is(name, "Transfer-Encoding", "transfer-encoding")) break
          if (this.transferEncoding === "") this.transferEncoding = value
          if (value.toLowerCase() !== "chunked") problem ??= "unknownCoding"
          break
      }
    }
    if (httpVersionMajor !== 1) problem = "badVersion"
    else if (hosts === 0 && httpVersionMinor === 1) problem ??= "noHost"
    this.problem = problem
  }

  /** Of the body, as the client declared it; -1: it did not. node has refused what is no number. */
  get declaredLength(): number {
    return this.contentLength === "" ? -1 : Number(this.contentLength)
  }

  get hasBody(): boolean {
    const length = this.declaredLength
    return length > 0 || (length < 0 && this.transferEncoding !== "")
  }
}
