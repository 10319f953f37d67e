/** Sends a document: encoded by its Schema, compressed or with an entity tag where its route says so. */
import { acceptsGzip, entityTag, gzip, matchesTag, minGzip } from "./Conditional.ts"
import { type DocumentSchema, encodeDocument } from "./documents/Encoding.ts"
import type { RequestContext } from "./RequestContext.ts"

const json = "application/json"

/** As it is, to everybody. */
export const answerDocument = <S extends DocumentSchema>(
  context: RequestContext,
  schema: S,
  value: S["Type"],
  status = 200,
  headers: ReadonlyArray<string> = []
): void => context.answer(status, json, JSON.stringify(encodeDocument(schema, value)), headers)

/** With an entity tag that stays while nothing but the clock has changed; 304 where the client has it already. */
export const answerConditional = <S extends DocumentSchema>(context: RequestContext, schema: S, value: S["Type"]): void => {
  const document = encodeDocument(schema, value)
  const tag = entityTag(document)
  const headers = ["ETag", tag, "Cache-Control", "private, no-cache"]
  if (matchesTag(context.headers("if-none-match"), tag)) context.answer(304, json, "", [...headers, ...varying(context)])
  else compressed(context, JSON.stringify(document), headers)
}

const compressed = (context: RequestContext, body: string, headers: ReadonlyArray<string>): void =>
  answerText(context, Buffer.from(body), headers)

/** JSON that is written already; gzip where the client takes it and the body is worth it. */
export const answerText = (context: RequestContext, body: Buffer, headers: ReadonlyArray<string> = []): void => {
  const all = [...headers, ...varying(context)]
  if (body.length >= minGzip && acceptsGzip(context.headers("accept-encoding")))
    context.answer(200, json, gzip(body), [...all, "Content-Encoding", "gzip"])
  else context.answer(200, json, body, all)
}

/** `Vary` in one line with what CORS has put there. */
export const varying = (context: RequestContext, header = "Accept-Encoding"): ReadonlyArray<string> => {
  const at = context.extra.indexOf("Vary")
  if (at < 0) return ["Vary", header]
  context.extra[at + 1] += `, ${header}`
  return []
}
