/** The headers that every request is asked for, found in one pass. Of each the first value that says anything; empty when none does. */

const is = (name: string, usual: string, low: string): boolean => name === usual || name === low || name.toLowerCase() === low

export class KnownHeaders {
  host = ""
  origin = ""
  expect = ""
  contentType = ""
  requestId = ""
  contentLength = ""
  transferEncoding = ""

  /** `raw`: flat name/value pairs as received. Names are told apart by their length before anything is compared. */
  constructor(raw: ReadonlyArray<string>) {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i] as string
      const value = raw[i + 1] as string
      switch (name.length) {
        case 4:
          if (this.host === "" && is(name, "Host", "host")) this.host = value
          break
        case 6:
          if (this.origin === "" && is(name, "Origin", "origin")) this.origin = value
          else if (this.expect === "" && is(name, "Expect", "expect")) this.expect = value
          break
        case 12:
          if (this.contentType === "" && is(name, "Content-Type", "content-type")) this.contentType = value
          else if (this.requestId === "" && is(name, "X-Request-ID", "x-request-id")) this.requestId = value
          break
        case 14:
          if (this.contentLength === "" && is(name, "Content-Length", "content-length")) this.contentLength = value
          break
        case 17:
          if (this.transferEncoding === "" && is(name, "Transfer-Encoding", "transfer-encoding")) this.transferEncoding = value
          break
      }
    }
  }
}
