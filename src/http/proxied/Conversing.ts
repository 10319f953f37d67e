/** What all translating surfaces share: the headers and records of their exchange, and the order in which endpoints are tried. */
import type { OllaConfig } from "../../config/OllaConfig.ts"
import type { Exchange } from "../../exchange/Exchange.ts"
import type { Candidate, Inspection } from "../../routing/Router.ts"
import type { RequestRules } from "../../routing/Rules.ts"
import type { Complaint } from "../../translation/Complaint.ts"
import { type JsonRecord, parseJson, recordOf, textOf } from "../../translation/JsonValue.ts"
import type { Opened } from "../../translation/KeepAlive.ts"
import type { AnswerInspector, Conversation, TranslatedExchange, Translator } from "../../translation/Translator.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { attemptGroups, preferredFirst, tiersOf } from "./AttemptOrder.ts"

export interface Conversed {
  readonly request: JsonRecord
  readonly body: Body
  readonly inspection: Inspection
  readonly stream: boolean
  readonly inspector: AnswerInspector | undefined
  readonly opened?: Opened | undefined
}

export const translatedExchange = (
  services: Services,
  context: RequestContext,
  translator: Pick<Translator, "name" | "dialect">,
  { request, body, inspection, stream, inspector, opened }: Conversed
): TranslatedExchange => {
  const { exchange } = context
  const { translation, translators } = services.settings.current()
  return {
    request,
    body,
    inspection,
    query: exchange.query === "" ? "" : `?${exchange.query}`,
    requestId: exchange.id,
    passthrough: translators[translator.name].passthrough_enabled,
    stream,
    keepAlive: keepAliveOf(translation.keep_alive),
    opened,
    reasoning: translation.reasoning,
    thinkTags: translation.think_tags,
    echoesAlias: translation.echo_alias && services.catalogue.snapshot().alias(inspection.spelling) !== undefined,
    onMode: (mode, backend, told) => setMode(context, translator, mode, backend, told),
    inspector,
    ...logging(services, exchange, translator.name)
  }
}

export const keepAliveOf = ({ first, interval }: OllaConfig["translation"]["keep_alive"]): TranslatedExchange["keepAlive"] => ({
  first: first < 0 ? Number.POSITIVE_INFINITY : first,
  interval: interval < 0 ? Number.POSITIVE_INFINITY : interval
})

const logging = (
  { journal }: Services,
  exchange: Exchange,
  translator: string
): Pick<TranslatedExchange, "onOddities" | "onBackendError"> => {
  const who = () => ({ request_id: exchange.id, translator, endpoint: exchange.lastAttempt?.endpointName, model: exchange.model })
  return {
    onOddities: (oddities) => {
      for (const { what, ...rest } of oddities) journal.write("warn", `Oddities in a backend's answer: ${what}`, { ...who(), ...rest })
    },
    onBackendError: (status, body, message) => {
      const error = recordOf(recordOf(parseJson(body))?.["error"])
      journal.write("info", "Translating backend error response", {
        ...who(),
        status_code: status,
        error_message: message,
        error_type: textOf(error?.["type"]),
        error_param: textOf(error?.["param"]),
        error_code: error?.["code"]
      })
    }
  }
}

/** Known for each attempt. The header says only `passthrough`; in translation it is absent. */
export const setMode = (
  { exchange, extra }: RequestContext,
  { name, dialect }: Pick<Translator, "name" | "dialect">,
  mode: "passthrough" | "translation",
  backend: string,
  told: ReadonlyArray<string> = []
): void => {
  exchange.translator = {
    name,
    mode,
    fallbackReason: mode === "translation" ? "cannot_passthrough" : "",
    client: dialect,
    backend,
    dropped: told[told.indexOf("X-Olla-Dropped") + 1 || told.length] ?? ""
  }
  const at = extra.indexOf("X-Olla-Mode")
  if (mode === "passthrough" && at < 0) extra.push("X-Olla-Mode", "passthrough")
  else if (mode === "translation" && at >= 0) extra.splice(at, 2)
}

/** Whom rules prefer, and within them the operator's ranks where those come before who answers natively. */
export const preferredParts = (
  { settings }: Services,
  candidates: ReadonlyArray<Candidate>,
  rules: RequestRules | undefined
): ReadonlyArray<ReadonlyArray<Candidate>> => {
  const { proxy, translation } = settings.current()
  const parts = preferredFirst(candidates, rules)
  return proxy.load_balancer === "priority" && translation.prefer === "priority" ? parts.flatMap(tiersOf) : parts
}

/** Who is tried first, and then; or why nobody can be asked. */
export const ordered = (
  services: Services,
  conversation: Conversation,
  candidates: ReadonlyArray<Candidate>,
  rules: RequestRules | undefined
): { readonly first: ReadonlyArray<Candidate>; readonly next: () => ReadonlyArray<Candidate> } | Complaint | undefined => {
  const groups = attemptGroups(preferredParts(services, candidates, rules), conversation)
  const first = groups.next().value
  if (first !== undefined) return { first, next: () => groups.next().value ?? [] }
  for (const candidate of candidates) {
    const complaint = conversation.complaintFor(candidate)
    if (complaint !== undefined) return complaint
  }
  return undefined
}
