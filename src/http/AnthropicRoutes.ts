/**
 * Anthropic's Messages API under /olla/anthropic (anthropic.md): the same phases as a proxied request, with a dialect that
 * speaks to each endpoint natively where it can and in translation where it must.
 */
import * as Effect from "effect/Effect"
import { modelsOfInventory } from "../catalogue/Listing.ts"
import { displayId } from "../catalogue/ModelOrder.ts"
import { nearestNames, nearestText } from "../catalogue/NearestName.ts"
import type { UnifiedModel } from "../catalogue/Snapshot.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { ruleOf } from "../exchange/Failure.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import type { Refused } from "../proxy/Carrier.ts"
import { BodyInspector } from "../routing/Inspecting.ts"
import type { Candidate, Inspection } from "../routing/Router.ts"
import { type AnswerInspector, anthropicDialect, prepareTranslation } from "../translation/anthropic/AnthropicDialect.ts"
import { Complaint } from "../translation/anthropic/ContentBlocks.ts"
import { countTokensDialect } from "../translation/anthropic/CountTokens.ts"
import { errorBody } from "../translation/anthropic/ErrorEnvelope.ts"
import { Inspector } from "../translation/anthropic/Inspector.ts"
import { checkMessagesRequest, featuresOf } from "../translation/anthropic/MessagesRequest.ts"
import { NativeSupport } from "../translation/anthropic/NativeSupport.ts"
import { estimateTokens } from "../translation/anthropic/TokenEstimate.ts"
import { isRecord, type JsonRecord, parseJson } from "../translation/JsonValue.ts"
import { errorTable } from "./ErrorTable.ts"
import { admit, carry, decide, reject, retryAfter } from "./ProxyRoutes.ts"
import { type Body, discardBody, readBody } from "./RequestBody.ts"
import type { ErrorRenderer, RequestContext } from "./RequestContext.ts"
import type { RouteModule } from "./Routes.ts"
import type { SystemServices } from "./SystemRoutes.ts"

const base = "/olla/anthropic"

/** Routes of the API that a fleet of backends does not have. */
const absent = /^\/v1\/(?:messages\/batches|files|complete|skills)(?:\/|$)/

const defaultSize = 10 * 1024 * 1024

/** What a body's model is when it is no string, in the reference's words. */
const kindOf = (value: unknown): string =>
  value === null ? "Null" : value === true ? "True" : value === false ? "False" : typeof value === "number" ? "Number" : "JSON"

/** The parsed request, or what is wrong with its model (anthropic.md 3, step 2). */
const parse = (body: Body): JsonRecord | string => {
  if (body.size === 0) return "empty request body"
  const value = parseJson(Buffer.concat(body.chunks).toString("utf8"))
  if (!isRecord(value) || value["model"] === undefined) return "model field is required (body may not be valid JSON)"
  const { model } = value
  if (typeof model !== "string") return `model field must be a string, got ${kindOf(model)}`
  return model.trim() === "" ? "model field must not be empty" : value
}

const anthropicErrors: ErrorRenderer = (context, status, message) => ({
  contentType: "application/json",
  body: errorBody(status, message, context.exchange.id)
})

export const anthropicRoutes = (services: SystemServices): RouteModule => {
  const native = new NativeSupport()
  services.fleet.onEvent(native.onFleetEvent)
  const config = () => services.settings.current().translators.anthropic
  let inspector: Inspector | undefined
  const inspectorFor = (): Inspector | undefined => {
    const { enabled, output_dir, session_header } = config().inspector
    if (!enabled) return undefined
    inspector ??= new Inspector({
      outputDir: output_dir === "" ? "./inspector-logs" : output_dir,
      sessionHeader: session_header.trim() === "" ? "X-Session-ID" : session_header.trim(),
      warn: (message, fields) => services.fork(Effect.logWarning(message, fields))
    })
    return inspector
  }

  const limit = (): number =>
    Math.min(config().max_message_size > 0 ? config().max_message_size : defaultSize, services.guard.maxBodySize())

  /** The body and its parsed form, or an answered error. */
  const read = (context: RequestContext, counted: boolean, then: (body: Body, inspector: BodyInspector) => void): void => {
    // The model counts whatever the content type says (B8).
    const seen = new BodyInspector("application/json")
    const most = limit()
    readBody(
      context,
      most,
      seen,
      (body) => {
        context.exchange.requestBytes = body.size
        context.exchange.timings.received = performance.now()
        then(body, seen)
      },
      (problem) => {
        const { status } = errorTable[problem]
        if (problem === "tooLarge" && most === services.guard.maxBodySize()) services.guard.bodyOverflow(context.exchange, most + 1)
        if (counted) reject(services, context, status, problem)
        if (problem === "tooLarge") context.fail(status, `request body exceeds maximum size (${most} bytes)`, null, ["Connection", "close"])
        else context.refuseUpload(problem)
      }
    )
  }

  const refuse = (context: RequestContext, status: number, message: string, headers: ReadonlyArray<string> = []): void => {
    reject(services, context, status, message)
    context.fail(status, message, null, headers)
  }

  const messages = (context: RequestContext): void => {
    const { exchange } = context
    const translator = { name: "anthropic", mode: "translation" as "passthrough" | "translation", fallbackReason: "" }
    exchange.dialect = "anthropic"
    if (!admit(services, context)) return
    exchange.translator = translator
    read(context, true, (body, seen) => {
      const request = parse(body)
      if (typeof request === "string") {
        refuse(context, 400, request)
        return
      }
      exchange.stream = request["stream"] === true
      const wrong = checkMessagesRequest(request)
      if (wrong !== undefined) {
        refuse(context, 400, `invalid request: ${wrong}`)
        return
      }
      const inspection = seen.end(body.chunks, "")
      decide(services, context, { scope: undefined, target: "", path: undefined }, inspection, (decision) => {
        exchange.stream = request["stream"] === true
        services.log.received(exchange, context.header("user-agent"))
        if (decision.candidates.length === 0) {
          translator.fallbackReason = "no_compatible_endpoints"
          const { verdict } = decision
          if (verdict !== undefined && verdict.status >= 400) {
            const hint = verdict.status === 503 ? retryAfter(services) : []
            refuse(
              context,
              verdict.status,
              `${verdict.reason}: no endpoint can serve the model "${inspection.spelling}"${nearest(services, inspection.model)}`,
              [...context.decisionHeaders(), ...hint]
            )
          } else refuse(context, 404, `no healthy endpoints available for model: ${inspection.spelling}`, context.decisionHeaders())
          return
        }
        serve(context, request, body, inspection, decision.candidates)
      })
    })
  }

  const serve = (
    context: RequestContext,
    request: JsonRecord,
    body: Body,
    inspection: Inspection,
    candidates: ReadonlyArray<Candidate>
  ): void => {
    const { exchange } = context
    const { translator } = exchange
    if (translator === undefined) return
    const features = featuresOf(request)
    const isNative = (candidate: Candidate) => config().passthrough_enabled && native.canAnswer(candidate.endpoint, features)
    const natives = candidates.filter(isNative)
    let converted: ReturnType<typeof prepareTranslation> | undefined
    const conversion = () => {
      converted ??= prepareTranslation(request)
      return converted
    }
    const query = exchange.query === "" ? "" : `?${exchange.query}`
    const dialect = anthropicDialect(
      {
        request,
        body: body.chunks,
        inspection,
        query,
        requestId: exchange.id,
        isNative: (endpoint) => config().passthrough_enabled && native.canAnswer(endpoint, features),
        onUnsupported: (endpoint) => native.refused(endpoint),
        onMode: (mode) => {
          translator.mode = mode
          translator.fallbackReason = mode === "translation" ? "cannot_passthrough" : ""
          setMode(context.extra, mode)
        },
        inspector: inspect(context, request, body)
      },
      conversion
    )
    const failed = (refused: Refused) => {
      const { status } = ruleOf(refused.failure)
      const message = translator.mode === "passthrough" ? refused.message : `proxy request failed: ${refused.message}`
      context.fail(status, `proxy error: ${message}`, null, context.decisionHeaders())
    }
    const go = (some: ReadonlyArray<Candidate>, otherwise: (refused: Refused) => Effect.Effect<void> | undefined) =>
      carry(services, context, { target: "", body, inspection, candidates: some, dialect }, otherwise)
    const translate = (some: ReadonlyArray<Candidate>, refusedBefore: Refused | undefined): void => {
      translator.mode = "translation"
      translator.fallbackReason = "cannot_passthrough"
      setMode(context.extra, "translation")
      const made = conversion()
      if (made instanceof Complaint) {
        if (refusedBefore !== undefined) {
          failed(refusedBefore)
          return
        }
        refuse(context, 400, made.message)
        return
      }
      if (made.droppedTools.length > 0)
        services.fork(
          Effect.logWarning("Tools that only Anthropic's servers can run were left out", {
            request_id: exchange.id,
            tools: made.droppedTools.join(", ")
          })
        )
      go(some, (refused) => {
        failed(refused)
        return undefined
      })
    }
    if (natives.length === 0) {
      translate(candidates, undefined)
      return
    }
    setMode(context.extra, "passthrough")
    translator.mode = "passthrough"
    const others = candidates.filter((candidate) => !natives.includes(candidate) && isRoutable(candidate.endpoint.state.status))
    go(natives, (refused) => {
      // Nobody of those that speak it could be reached: the rest may try in translation (B23).
      if (others.length > 0 && ruleOf(refused.failure).failover && !(conversion() instanceof Complaint)) {
        return services.carrier
          .carry({
            exchange,
            target: "",
            rawHeaders: context.req.rawHeaders,
            trustedPeer: context.trustedPeer,
            body: body.chunks,
            bodySize: body.size,
            inspection,
            candidates: others,
            sticky: undefined,
            dialect,
            replyHeaders: context.extra,
            response: context.res
          })
          .pipe(Effect.catch((again) => Effect.sync(() => failed(again))))
      }
      failed(refused)
      return undefined
    })
  }

  const inspect = (context: RequestContext, request: JsonRecord, body: Body): AnswerInspector | undefined => {
    const files = inspectorFor()
    if (files === undefined) return undefined
    const session = files.sessionOf((name) => context.header(name))
    files.request(session, String(request["model"]), Buffer.concat(body.chunks).toString("utf8"))
    const relayed: Array<Buffer> = []
    context.res.once("close", () => {
      if (relayed.length === 0) return
      const text = Buffer.concat(relayed).toString("utf8")
      files.response(session, parseJson(text) === undefined ? JSON.stringify(text) : text)
    })
    return { message: (message) => files.response(session, JSON.stringify(message)), relayed: (bytes) => relayed.push(bytes) }
  }

  const countTokens = (context: RequestContext): void => {
    if (!admit(services, context)) return
    read(context, false, (body, seen) => {
      const request = parseJson(Buffer.concat(body.chunks).toString("utf8"))
      if (!isRecord(request)) {
        context.fail(400, `failed to parse request: ${body.size === 0 ? "the body is empty" : "the body is not a JSON object"}`, null)
        return
      }
      const estimate = estimateTokens(request)
      const answer = () => context.json({ input_tokens: estimate })
      const inspection = seen.end(body.chunks, "")
      if (!config().passthrough_enabled || inspection.model === "") {
        answer()
        return
      }
      decide(services, context, { scope: undefined, target: "", path: undefined }, inspection, (decision) => {
        const able = decision.candidates.filter(
          ({ endpoint }) => endpoint.profile?.anthropic?.enabled === true && endpoint.profile.anthropic.tokenCount
        )
        if (able.length === 0) {
          answer()
          return
        }
        carry(
          services,
          context,
          { target: "", body, inspection, candidates: able, dialect: countTokensDialect(body.chunks, inspection, estimate) },
          () => {
            answer()
            return undefined
          }
        )
      })
    })
  }

  const models = (context: RequestContext): void => {
    const entries = modelEntries(services)
    const query = new URLSearchParams(context.exchange.query)
    const asked = query.get("limit")
    const most = asked === null ? entries.length : Number(asked)
    if (asked !== null && !(Number.isInteger(most) && most >= 1 && most <= 1000)) {
      context.fail(400, "limit must be a whole number from 1 to 1000", null)
      return
    }
    const after = query.get("after_id")
    const before = query.get("before_id")
    const start = after === null ? 0 : entries.findIndex((entry) => entry.id === after) + 1
    const end = before === null ? -1 : entries.findIndex((entry) => entry.id === before)
    const data = before !== null && end >= 0 ? entries.slice(Math.max(0, end - most), end) : entries.slice(start, start + most)
    const more = before !== null && end >= 0 ? end - most > 0 : start + most < entries.length
    context.json({ data, has_more: more, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null })
  }

  const allowed = (context: RequestContext, methods: ReadonlyArray<string>): boolean => {
    if (methods.includes(context.exchange.method)) return true
    context.fail(405, `use ${methods.join(" or ")} for this route`, null, ["Allow", methods.join(", ")])
    return false
  }

  /** Answered here, whatever the body says. */
  const local = (context: RequestContext, rest: string): void => {
    if (rest === "") {
      if (allowed(context, ["GET", "HEAD"])) context.json({ status: "ok" })
    } else if (rest === "/v1/models") {
      if (allowed(context, ["GET", "HEAD"])) models(context)
    } else if (rest.startsWith("/v1/models/")) {
      if (!allowed(context, ["GET", "HEAD"])) return
      const id = decoded(rest.slice("/v1/models/".length))
      const entry =
        modelEntries(services).find((one) => one.id === id) ??
        modelEntries(services).find((one) => one.id.toLowerCase() === id.toLowerCase())
      if (entry === undefined) context.fail(404, `model not found: ${id}`, null)
      else context.json(entry)
    } else context.fail(404, "Olla does not offer this part of the API", null)
  }

  return {
    handle: (_services, context, path) => {
      if ((path !== base && !path.startsWith(`${base}/`)) || !config().enabled) return false
      const rest = path.slice(base.length)
      const { exchange } = context
      const known =
        rest === "" ||
        rest === "/v1/messages" ||
        rest === "/v1/messages/count_tokens" ||
        rest === "/v1/models" ||
        rest.startsWith("/v1/models/") ||
        absent.test(rest)
      if (!known) return false
      context.extra.push("request-id", exchange.id)
      context.errors = anthropicErrors
      if (rest === "/v1/messages") {
        if (allowed(context, ["POST"])) messages(context)
      } else if (rest === "/v1/messages/count_tokens") {
        if (allowed(context, ["POST"])) countTokens(context)
      } else discardBody(services.guard, context, () => local(context, rest))
      return true
    }
  }
}

/** The header says only `passthrough`; in translation it is absent. */
const setMode = (extra: Array<string>, mode: "passthrough" | "translation"): void => {
  const at = extra.indexOf("X-Olla-Mode")
  if (mode === "passthrough" && at < 0) extra.push("X-Olla-Mode", "passthrough")
  else if (mode === "translation" && at >= 0) extra.splice(at, 2)
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

interface ModelEntry {
  readonly type: "model"
  readonly id: string
  readonly display_name: string
  readonly created_at: string
}

/** Every model that somebody can serve, and the aliases that lead to one; ascending by id. */
const modelEntries = (services: SystemServices): ReadonlyArray<ModelEntry> => {
  const config = services.settings.current()
  const snapshot = services.catalogue.snapshot()
  const unified = config.model_registry.enable_unifier ? snapshot.unified : modelsOfInventory(snapshot.inventory)
  const served = (model: UnifiedModel) => model.sources.some((source) => isRoutable(source.endpoint.state.status))
  const aliases = Object.keys(config.model_aliases).filter(
    (alias) => snapshot.alias(alias)?.offer.endpoints.some((endpoint) => isRoutable(endpoint.state.status)) === true
  )
  const created = new Date(Math.floor(services.statistics.startedAt / 1000) * 1000).toISOString().replace(".000Z", "Z")
  return [...new Set([...unified.filter(served).map(displayId), ...aliases])]
    .sort(compareBytes)
    .map((id) => ({ type: "model", id, display_name: id, created_at: created }))
}

/** Known names near to it. */
const nearest = (services: SystemServices, model: string): string =>
  nearestText(nearestNames(services.catalogue.snapshot(), model, Object.keys(services.settings.current().model_aliases)))
