/**
 * `server.read_timeout` for bodies: an upload that keeps coming is let go on, one
 * that has stopped or drips is ended. Open requests are looked at now and then, so that none of them needs a timer.
 */
import type { IncomingMessage, ServerResponse } from "node:http"

/** Bytes a second that each stretch of `read_timeout` must bring for the upload to be given another. */
export const leastPace = 32 * 1024
/** Milliseconds between two looks. */
const lookEvery = 500

/** Milliseconds that the slowest permitted upload of the largest body takes. 0: no limit. */
export const longestUpload = (readTimeout: number, maxBody: number): number =>
  readTimeout > 0 && maxBody > 0 ? Math.ceil(readTimeout + (maxBody / leastPace) * 1_000) : 0

interface Stretch {
  readonly began: number
  /** Of its connection, when the stretch began. */
  readonly bytes: number
  /** It brought too little at the last look: what came meanwhile may only wait to be read, after the daemon was held up. */
  readonly late: boolean
}

/** `readTimeout`: asked for at each look; 0: none. `tooSlow` is called once or more for each upload that is. Ends with the returned function. */
export const watchUploads = <Response extends ServerResponse<IncomingMessage>>(
  open: Iterable<Response>,
  readTimeout: () => number,
  tooSlow: (res: Response) => void
): (() => void) => {
  let stretches = new Map<Response, Stretch>()
  const look = () => {
    const now = performance.now()
    const next = new Map<Response, Stretch>()
    const limit = readTimeout()
    for (const res of limit > 0 ? open : []) {
      const { req } = res
      if (req.complete || req.socket.destroyed) continue
      const { bytesRead } = req.socket
      const stretch = stretches.get(res)
      const took = stretch === undefined ? 0 : now - stretch.began
      if (stretch !== undefined && took < limit) next.set(res, stretch)
      else if (stretch !== undefined && bytesRead - stretch.bytes < (leastPace * took) / 1_000)
        if (stretch.late) tooSlow(res)
        else next.set(res, { ...stretch, late: true })
      else next.set(res, { began: now, bytes: bytesRead, late: false })
    }
    stretches = next
  }
  const timer = setInterval(look, lookEvery)
  timer.unref()
  return () => clearInterval(timer)
}
