/**
 * Whether a relayed stream has said its last word. Clients of Chat Completions hang up at `data: [DONE]`, and a server may take its time
 * to end the answer after it: who left then has missed nothing.
 */

/** Pieces up to this size, in bytes, may be no more than the end of a chunk's frame or the last frame: `\r\n0\r\n\r\n`. */
export const longestFrameEnd = 7

/** The last word, ends of lines, and what a chunk's frame adds to it. */
const lastWord = /(?:^|\n)data: ?\[DONE\]\s*(?:0\s*)?$/

/** Bytes that are looked at. */
const most = 64

export const endsWithLastWord = (piece: Uint8Array | string): boolean =>
  lastWord.test(typeof piece === "string" ? piece.slice(-most) : Buffer.from(piece.subarray(-most)).toString("latin1"))
