/**
 * What an error says that a server has not got: the route, or a model. Only without the route may another server, or the same one on
 * another route, have what was asked for. Judged by what the servers that are known say; any other 404 in JSON does not say it.
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

export type Missing = "route" | "model" | "unclear"

/** Of an answer that `mayRefusePath`. `body`: what it says, uncompressed; `model`: what was asked for, empty for none. */
export const missingBy = (status: number, body: string, model: string): Missing => {
  // Of the method and of what is not built in, whatever the words.
  if (status === 405 || status === 501) return "route"
  if (status === 200) return lmStudio.test(body) ? "route" : "unclear"
  const text = body.trim()
  if (text === "") return "route"
  if (/\bmodels?\b|model_not_found/i.test(text) || names(text.toLowerCase(), model.toLowerCase())) return "model"
  const value = parsed(text)
  // A page or a bare line comes of a router or a web server.
  if (value === undefined) return /^[{[]/.test(text) ? "unclear" : "route"
  const words = wordsOf(value)
  return words !== undefined && sentences.some((sentence) => sentence.test(words.trim())) ? "route" : "unclear"
}
