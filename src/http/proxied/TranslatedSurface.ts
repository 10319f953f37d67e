/**
 * One turn of a conversation on a translator's route: natively where an endpoint speaks the client's dialect, in translation
 * where it does not.
 */
import { ruleOf } from "../../exchange/Failure.ts"
import type { BodyLimit } from "../../guard/SizeLimits.ts"
import type { CandidateGroups, Refused, TurnedAway } from "../../proxy/Carrier.ts"
import type { AnswerHead } from "../../proxy/Dialect.ts"
import type { EarlyForm } from "../../proxy/EarlyStream.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision, ProviderScope } from "../../routing/Router.ts"
import { Complaint } from "../../translation/Complaint.ts"
import type { Inspector } from "../../translation/Inspector.ts"
import { isRecord, type JsonRecord, parseJson, textOf } from "../../translation/JsonValue.ts"
import type { Opened } from "../../translation/KeepAlive.ts"
import type { AnswerInspector, Conversation, Translator } from "../../translation/Translator.ts"
import { type ErrorName, errorTable, fill, queueRefusals } from "../ErrorTable.ts"
import type { Body, BodyProblem } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { permitOf } from "../VisibleModels.ts"
import { ordered, setMode, translatedExchange } from "./Conversing.ts"
import { earlyFormOf } from "./EarlyForms.ts"
import { describeRejection, describeShortage, retryAfter, shortWait } from "./Refusals.ts"
import { type Asked, copiesInTranslation, type Plan, type Settling, type Surface } from "./Surface.ts"
import { messageLimit, parseTurn, problemOf, shapeProblem, textOfBody } from "./TranslatedRequest.ts"

/** Of a relayed answer at most this much is kept for the inspector, bytes. */
const maxInspected = 64 * 1024 * 1024

export class TranslatedSurface implements Surface {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #translator: Translator
  readonly #files: Inspector | undefined
  readonly bodyLimit: BodyLimit
  readonly copies = copiesInTranslation
  /** The model counts whatever the content type says. */
  readonly contentType = "application/json"
  readonly route: Surface["route"]
  readonly details = undefined
  readonly #opened: Opened = { sent: false }
  #request: JsonRecord = {}
  #answerInspected: (() => void) | undefined

  /** `files`: where conversations are written to for inspection, if anywhere. `scope`: of the provider below whose prefix it was asked. */
  constructor(
    services: Services,
    context: RequestContext,
    translator: Translator,
    files: Inspector | undefined,
    scope: ProviderScope | undefined = undefined
  ) {
    this.route = { scope, path: undefined }
    this.#services = services
    this.#context = context
    this.#translator = translator
    this.#files = files
    this.bodyLimit = messageLimit(services, translator)
  }

  admitted(): void {
    const { name, dialect } = this.#translator
    this.#context.exchange.translator = { name, mode: "translation", fallbackReason: "", client: dialect, backend: "", dropped: "" }
  }

  unread(walk: Settling, problem: BodyProblem): void {
    const { name, values = {}, headers = [] } = problemOf(this.#services, this.#context, problem, this.bodyLimit)
    this.#refuse(walk, name, values, [...headers, "Connection", "close"])
  }

  understand(walk: Settling, body: Body, seen: BodyInspector): Asked | undefined {
    const misshapen = shapeProblem(seen)
    const request = misshapen ?? parseTurn(body)
    if (typeof request === "string") {
      // A dialect may have words of its own for what is missing.
      const parsed = misshapen === undefined ? parseJson(textOfBody(body)) : undefined
      const known = isRecord(parsed) ? this.#translator.check(parsed) : undefined
      return known instanceof Complaint ? this.#refuseComplaint(walk, known) : this.#refuse(walk, "badMessage", { what: request })
    }
    const stream = this.#translator.streams(request)
    this.#context.exchange.stream = stream
    const wrong = this.#translator.check(request)
    if (wrong instanceof Complaint) return this.#refuseComplaint(walk, wrong)
    if (wrong !== undefined) return this.#refuse(walk, "badMessage", { what: `invalid request: ${wrong}` })
    this.#request = request
    return { inspection: seen.end(body.chunks, ""), stream }
  }

  early({ inspection }: Asked): EarlyForm | undefined {
    const path = this.#translator.routes.find(({ kind }) => kind === "create")?.path
    return typeof path === "string" ? earlyFormOf(path, inspection.spelling, this.#opened) : undefined
  }

  nobody(walk: Settling, { inspection }: Asked, { verdict }: Decision): void {
    const services = this.#services
    const context = this.#context
    const { exchange } = context
    if (exchange.translator !== undefined) exchange.translator = { ...exchange.translator, fallbackReason: "no_compatible_endpoints" }
    const headers = context.decisionHeaders()
    if (verdict === undefined || verdict.status < 400) {
      this.#refuse(
        walk,
        "noModelEndpoint",
        { model: inspection.spelling },
        headers,
        describeShortage(services, undefined, permitOf(context))
      )
      return
    }
    const { status, reason } = verdict
    if (status === 503) headers.push(...retryAfter(services))
    const { sentence, detail } = describeRejection(services, reason, inspection.spelling, permitOf(context))
    walk.settle({ _tag: "rejected", status, reason, detail })
    const text = `${reason}: ${sentence}`
    services.log.untranslated(context.exchange, status, text)
    context.fail(status, text, reason, headers)
  }

  plan(walk: Settling, asked: Asked, body: Body, { candidates }: Decision): Plan | undefined {
    const context = this.#context
    const translator = this.#translator
    const conversation = this.#converse(asked, body)
    const order = ordered(this.#services, conversation, candidates, walk.rules)
    const here = hasNative(order, conversation) ? undefined : translator.answerHere?.(this.#request)
    if (here !== undefined) {
      walk.settle({ _tag: "completed", status: 200 })
      context.json(here, context.decisionHeaders())
      return undefined
    }
    if (order === undefined || order instanceof Complaint)
      return order === undefined
        ? this.#refuse(walk, "noModelEndpoint", { model: asked.inspection.spelling })
        : this.#refuseComplaint(walk, order)
    if (hasNative(order, conversation)) setMode(context, translator, "passthrough", translator.dialect)
    else {
      setMode(context, translator, "translation", "")
      if (translator.warnsOfTools) this.#warnOfTools(conversation.droppedTools())
    }
    const regroup = (all: ReadonlyArray<Candidate>): CandidateGroups => {
      const others = ordered(this.#services, conversation, all, walk.rules)
      return others === undefined || others instanceof Complaint
        ? { candidates: [] }
        : { candidates: others.first, nextChoice: others.next }
    }
    return { target: "", candidates: order.first, nextChoice: order.next, regroup, dialect: conversation.dialect, refusesRedirects: true }
  }

  refused({ failure, message, code }: Refused): void {
    const context = this.#context
    const { exchange } = context
    if (failure.kind === "internal") {
      context.error("internal", { id: exchange.id }, context.decisionHeaders())
      return
    }
    const detail = exchange.translator?.mode === "passthrough" ? message : `proxy request failed: ${message}`
    const { status } = ruleOf(failure)
    const text = fill("untranslated", { detail })
    this.#services.log.untranslated(exchange, status, text)
    context.fail(status, text, code ?? null, [...shortWait(failure), ...context.decisionHeaders()])
  }

  turnedAway({ code, status, retryAfter: seconds }: TurnedAway): void {
    const context = this.#context
    const text = `${code}: ${queueRefusals[code].text}`
    this.#services.log.untranslated(context.exchange, status, text)
    context.fail(status, text, code, ["Retry-After", String(seconds), ...context.decisionHeaders()])
  }

  settled(): void {
    this.#answerInspected?.()
  }

  #refuse(
    walk: Settling,
    name: ErrorName,
    values: Readonly<Record<string, string>>,
    headers: ReadonlyArray<string> = [],
    detail = ""
  ): undefined {
    const context = this.#context
    const { status } = errorTable[name]
    const text = fill(name, values)
    walk.settle({ _tag: "rejected", status, reason: name, detail: detail === "" ? text : detail })
    this.#services.log.untranslated(context.exchange, status, text)
    context.error(name, values, headers, detail)
  }

  #refuseComplaint(walk: Settling, { status, message, details }: Complaint): undefined {
    const context = this.#context
    const translator = this.#translator
    context.errors = ({ exchange: { id } }, told, text) => ({
      contentType: "application/json",
      body: translator.errorBody(told, text, id, details)
    })
    walk.settle({ _tag: "rejected", status, reason: "badMessage", detail: message })
    context.fail(status, fill("badMessage", { what: message }), null)
  }

  #converse({ inspection }: Asked, body: Body): Conversation {
    const context = this.#context
    const { exchange } = context
    return this.#translator.converse(
      translatedExchange(this.#services, context, this.#translator, {
        request: this.#request,
        body,
        inspection,
        stream: exchange.stream === true,
        opened: this.#opened,
        inspector: this.#files === undefined ? undefined : this.#inspect(this.#files, body)
      })
    )
  }

  #warnOfTools(tools: ReadonlyArray<string>): void {
    if (tools.length === 0) return
    const fields = { request_id: this.#context.exchange.id, tools: tools.join(", ") }
    this.#services.journal.write("warn", "Tools that only Anthropic's servers can run were left out", fields)
  }

  #inspect(files: Inspector, body: Body): AnswerInspector {
    const context = this.#context
    const translator = this.#translator
    const session = files.sessionOf((name) => context.header(name))
    files.request(session, textOf(this.#request["model"]) ?? "", textOfBody(body))
    const relayed: Array<Buffer> = []
    let size = 0
    let answered: AnswerHead | undefined
    this.#answerInspected = () => {
      if (answered !== undefined) files.response(session, translator.relayedAnswer(answered, Buffer.concat(relayed)))
    }
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

const hasNative = (order: ReturnType<typeof ordered>, { isNative }: Conversation): boolean =>
  order !== undefined && !(order instanceof Complaint) && order.first.some(({ endpoint }) => isNative(endpoint))
