/**
 * Whether an error says that a server has no such route, and not that it has no such model, response or file: only then may another
 * server have what was asked for. Judged by what the servers that are known say; of any other 404 in JSON nothing is concluded.
 */

/** LM Studio says so with 200, in a short sentence: bytes. */
const longestWith200 = 256

/** An answer that may say so. `length`: as its head declares it, in bytes; negative: it does not. */
export const mayRefusePath = (status: number, length: number): boolean =>
  status === 200 ? length > 0 && length <= longestWith200 : status === 404 || status === 405 || status === 501

const lmStudio = /^\s*\{\s*"error"\s*:\s*"unexpected endpoint or method\b/i

/**
 * FastAPI, vLLM and SGLang: `Not Found`; llama.cpp: `File Not Found`; OpenAI: `Invalid URL (POST /v1/x)`; Express: `Cannot POST /v1/x`; Lemonade: `The requested endpoint does not exist`.
 */
const sentences = [
  /^(?:404\b[\s:,-]*)?(?:(?:the )?(?:requested )?(?:file|page|path|route|url|endpoint|resource) )?(?:was )?not found\.?$/i,
  /^invalid url\b/i,
  /^unexpected endpoint or method\b/i,
  /^cannot (?:get|head|post|put|patch|delete|options) \//i,
  /\b(?:no such|unknown|unsupported|unrecognized) (?:route|endpoint|path|url)\b/i,
  /\b(?:route|endpoint|path|url)\b[^.]*\b(?:not found|does not exist|doesn't exist|is not supported)/i
]

const wordsOf = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  const { error, message, detail } = value as { readonly [key: string]: unknown }
  return wordsOf(error) ?? wordsOf(message) ?? wordsOf(detail)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** As a word of its own. */
const names = (text: string, model: string): boolean => {
  const isPart = (character: string | undefined) => character !== undefined && /[a-z0-9]/.test(character)
  for (let at = model === "" ? -1 : text.indexOf(model); at >= 0; at = text.indexOf(model, at + 1))
    if (!isPart(text[at - 1]) && !isPart(text[at + model.length])) return true
  return false
}

/** `body`: what the answer says, uncompressed; `model`: what was asked for, empty for none. */
export const refusesPath = (status: number, body: string, model: string): boolean => {
  // Of the method and of what is not built in, whatever the words.
  if (status === 405 || status === 501) return true
  if (status === 200) return lmStudio.test(body)
  if (status !== 404) return false
  const text = body.trim()
  if (text === "") return true
  if (/\bmodels?\b/i.test(text) || names(text.toLowerCase(), model.toLowerCase())) return false
  const value = parsed(text)
  // A page or a bare line comes of a router or a web server.
  if (value === undefined) return !/^[{[]/.test(text)
  const words = wordsOf(value)
  return words !== undefined && sentences.some((sentence) => sentence.test(words.trim()))
}
