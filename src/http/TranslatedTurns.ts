/**
 * One turn of a conversation through a translator (anthropic.md 3): admit, read, check, decide, then natively where the
 * endpoint speaks the client's dialect, in translation where it does not.
 */
import * as Effect from "effect/Effect"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import { ruleOf } from "../exchange/Failure.ts"
import type { Refused } from "../proxy/Carrier.ts"
import type { AnswerHead } from "../proxy/Dialect.ts"
import type { Candidate, Decision, Inspection } from "../routing/Router.ts"
import type { Inspector } from "../translation/Inspector.ts"
import { type JsonRecord, parseJson, recordOf, textOf } from "../translation/JsonValue.ts"
import type { AnswerInspector, TranslatedExchange, Translator } from "../translation/Translator.ts"
import { type ErrorName, errorTable, fill } from "./ErrorTable.ts"
import { admit, carry, decide, describe, reject, retryAfter } from "./ProxyRoutes.ts"
import type { Body } from "./RequestBody.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { SystemServices } from "./SystemRoutes.ts"
import { parseTranslated, readTranslated } from "./TranslatedBody.ts"

/** Of a relayed answer at most this much is kept for the inspector, bytes. */
const maxInspected = 64 * 1024 * 1024

export class TranslatedTurns {
  readonly #services: SystemServices
  readonly #translator: Translator
  readonly #inspector: () => Inspector | undefined

  constructor(services: SystemServices, translator: Translator, inspector: () => Inspector | undefined) {
    this.#services = services
    this.#translator = translator
    this.#inspector = inspector
  }

  handle(context: RequestContext): void {
    const services = this.#services
    const { exchange } = context
    if (!admit(services, context)) return
    const mode = { name: this.#translator.name, mode: "translation" as const, fallbackReason: "" }
    exchange.translator = mode
    readTranslated(services, this.#translator, context, true, (body, seen) => {
      const request = parseTranslated(body)
      if (typeof request === "string") {
        this.#refuse(context, "badMessage", { what: request })
        return
      }
      exchange.stream = request["stream"] === true
      const wrong = this.#translator.check(request)
      if (wrong !== undefined) {
        this.#refuse(context, "badMessage", { what: `invalid request: ${wrong}` })
        return
      }
      const inspection = seen.end(body.chunks, "")
      decide(services, context, { scope: undefined, target: "", path: undefined }, inspection, (decision) => {
        exchange.stream = request["stream"] === true
        services.log.received(exchange, context.header("user-agent"))
        if (decision.candidates.length === 0) this.#nobody(context, decision, inspection)
        else this.#serve(context, request, body, inspection, decision.candidates)
      })
    })
  }

  #refuse(context: RequestContext, name: ErrorName, values: Readonly<Record<string, string>>, headers: ReadonlyArray<string> = []): void {
    const { status } = errorTable[name]
    reject(this.#services, context, status, name)
    this.#services.log.untranslated(context.exchange, status, fill(name, values))
    context.error(name, values, headers)
  }

  #nobody(context: RequestContext, { verdict }: Decision, inspection: Inspection): void {
    const services = this.#services
    const { translator } = context.exchange
    if (translator !== undefined) translator.fallbackReason = "no_compatible_endpoints"
    const headers = context.decisionHeaders()
    if (verdict === undefined || verdict.status < 400) {
      this.#refuse(context, "noModelEndpoint", { model: inspection.spelling }, headers)
      return
    }
    if (verdict.status === 503) headers.push(...retryAfter(services))
    reject(services, context, verdict.status, verdict.reason)
    const sentence = `${verdict.reason}: ${describe(services, verdict.reason, inspection.spelling)}`
    services.log.untranslated(context.exchange, verdict.status, sentence)
    context.fail(verdict.status, sentence, verdict.reason, headers)
  }

  #serve(context: RequestContext, request: JsonRecord, body: Body, inspection: Inspection, candidates: ReadonlyArray<Candidate>): void {
    const services = this.#services
    const { exchange } = context
    const passthrough = services.settings.current().translators[this.#translator.name].passthrough_enabled
    const conversation = this.#translator.converse({
      request,
      body: body.chunks,
      inspection,
      query: exchange.query === "" ? "" : `?${exchange.query}`,
      requestId: exchange.id,
      passthrough,
      onMode: (mode) => setMode(context, mode),
      inspector: this.#inspect(context, request, body),
      ...this.#logging(exchange)
    })
    const natives = candidates.filter(({ endpoint }) => conversation.isNative(endpoint))
    if (natives.length === 0) {
      setMode(context, "translation")
      const complaint = conversation.complaint()
      if (complaint !== undefined) {
        const translator = this.#translator
        context.errors = ({ exchange: { id } }, status, message) => ({
          contentType: "application/json",
          body: translator.errorBody(status, message, id, complaint.details)
        })
        reject(services, context, complaint.status, "badMessage")
        context.fail(complaint.status, fill("badMessage", { what: complaint.message }), null)
        return
      }
      this.#warnOfTools(exchange, conversation.droppedTools())
    } else setMode(context, "passthrough")
    const { dialect } = conversation
    const first = natives.length === 0 ? candidates : natives
    // When nobody of those who speak it can be reached, the rest may try in translation (B23).
    const secondChoice = () =>
      natives.length === 0 || conversation.complaint() !== undefined
        ? []
        : candidates.filter((candidate) => !natives.includes(candidate) && isRoutable(candidate.endpoint.state.status))
    carry(services, context, { target: "", body, inspection, candidates: first, secondChoice, dialect }, (refused) =>
      this.#failed(context, refused)
    )
  }

  #failed(context: RequestContext, refused: Refused): void {
    if (refused.failure.kind === "internal") {
      context.error("internal", { id: context.exchange.id }, context.decisionHeaders())
      return
    }
    const detail = context.exchange.translator?.mode === "passthrough" ? refused.message : `proxy request failed: ${refused.message}`
    const { status } = ruleOf(refused.failure)
    const message = fill("untranslated", { detail })
    this.#services.log.untranslated(context.exchange, status, message)
    context.fail(status, message, null, context.decisionHeaders())
  }

  #warnOfTools(exchange: Exchange, tools: ReadonlyArray<string>): void {
    if (tools.length === 0) return
    this.#services.fork(
      Effect.logWarning("Tools that only Anthropic's servers can run were left out", { request_id: exchange.id, tools: tools.join(", ") })
    )
  }

  #logging(exchange: Exchange): Pick<TranslatedExchange, "onOddities" | "onBackendError"> {
    const services = this.#services
    const who = () => ({
      request_id: exchange.id,
      translator: this.#translator.name,
      endpoint: exchange.lastAttempt?.endpointName,
      model: exchange.model
    })
    return {
      onOddities: (oddities) => {
        for (const { what, ...rest } of oddities)
          services.fork(Effect.logWarning(`Oddities in a backend's answer: ${what}`, { ...who(), ...rest }))
      },
      onBackendError: (status, body, message) => {
        const error = recordOf(recordOf(parseJson(body))?.["error"])
        services.fork(
          Effect.logInfo("Translating backend error response", {
            ...who(),
            status_code: status,
            error_message: message,
            error_type: textOf(error?.["type"]),
            error_param: textOf(error?.["param"]),
            error_code: error?.["code"]
          })
        )
      }
    }
  }

  #inspect(context: RequestContext, request: JsonRecord, body: Body): AnswerInspector | undefined {
    const files = this.#inspector()
    if (files === undefined) return undefined
    const session = files.sessionOf((name) => context.header(name))
    files.request(session, textOf(request["model"]) ?? "", Buffer.concat(body.chunks).toString("utf8"))
    const relayed: Array<Buffer> = []
    let size = 0
    let answered: AnswerHead | undefined
    context.res.once("close", () => {
      if (answered !== undefined) files.response(session, this.#translator.relayedAnswer(answered, Buffer.concat(relayed)))
    })
    return {
      answered: (answer) => files.response(session, answer),
      relayed: (bytes, head) => {
        answered = head
        if (size > maxInspected) return
        size += bytes.length
        relayed.push(bytes)
      }
    }
  }
}

/** Known for each attempt. The header says only `passthrough`; in translation it is absent. */
const setMode = (context: RequestContext, mode: "passthrough" | "translation"): void => {
  const { translator } = context.exchange
  if (translator !== undefined) {
    translator.mode = mode
    translator.fallbackReason = mode === "translation" ? "cannot_passthrough" : ""
  }
  const { extra } = context
  const at = extra.indexOf("X-Olla-Mode")
  if (mode === "passthrough" && at < 0) extra.push("X-Olla-Mode", "passthrough")
  else if (mode === "translation" && at >= 0) extra.splice(at, 2)
}
