/**
 * What operators do with the running daemon: `POST /internal/endpoints/{name}/drain|resume|probe` and `POST /internal/reload`. Who
 * may is judged first, then whether there is such an endpoint, then what was asked; each action, refused ones too, is one record.
 */
import * as Effect from "effect/Effect"
import { lostModels } from "../catalogue/LostModels.ts"
import { findingOf } from "../config/Diagnostic.ts"
import { nearest } from "../config/NearestWord.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { type ActionOrder, readAction } from "./ActionBody.ts"
import { type AskedAction, actionOf } from "./ActionPath.ts"
import { answerDocument } from "./DocumentAnswer.ts"
import { ActionRefusal, ReloadedDocument } from "./documents/ActionDocuments.ts"
import { endpointIds } from "./EndpointIds.ts"
import { discardBody, readText } from "./listener/RequestBody.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"

type Refusal = typeof ActionRefusal.Type

/** Bytes of a body; far more than any has. */
const longestBody = 16 * 1024

const statuses = {
  forbidden: 403,
  unauthorised: 401,
  not_found: 404,
  ambiguous: 409,
  bad_request: 400,
  models_lost: 409,
  config_invalid: 422
} as const satisfies Readonly<Record<Refusal["code"], number>>

/** The endpoint of this name, or else of this id. */
const endpointsNamed = ({ fleet }: Services, name: string): ReadonlyArray<Endpoint> => {
  const named = fleet.endpoints.filter((endpoint) => endpoint.name === name)
  if (named.length > 0) return named
  return [...endpointIds(fleet.endpoints)].filter(([, id]) => id === name).map(([endpoint]) => endpoint)
}

const notFound = ({ fleet }: Services, name: string): Refusal => {
  const near = nearest(
    name,
    fleet.endpoints.map((endpoint) => endpoint.name)
  )
  return {
    code: "not_found",
    message: `no endpoint is named ${JSON.stringify(name.slice(0, 200))}${near === undefined ? "; /internal/status/endpoints has all names" : `; did you mean ${JSON.stringify(near)}?`}`,
    ...(near === undefined ? {} : { nearest: near })
  }
}

const ambiguous = ({ fleet }: Services, name: string, endpoints: ReadonlyArray<Endpoint>): Refusal => {
  const ids = endpointIds(fleet.endpoints)
  return {
    code: "ambiguous",
    message: `${endpoints.length} endpoints are named ${JSON.stringify(name)}: ask by id`,
    ids: endpoints.map((endpoint) => ids.get(endpoint) ?? "").sort()
  }
}

/** Of one request. */
class OperatorAction {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #asked: AskedAction
  #reason = ""

  constructor(services: Services, context: RequestContext, asked: AskedAction) {
    this.#services = services
    this.#context = context
    this.#asked = asked
  }

  start(): void {
    const { guard } = this.#services
    const { exchange, head, req } = this.#context
    const refusal = guard.operator(exchange, this.#asked.path, head.host || undefined, req.rawHeaders)
    if (refusal !== undefined) return this.#refuseUnread(refusal, refusal.status)
    const { action, name } = this.#asked
    if (name === undefined) return this.#read((order) => this.#reload(order))
    const endpoints = endpointsNamed(this.#services, name)
    const [endpoint] = endpoints
    if (endpoint === undefined) return this.#refuseUnread(notFound(this.#services, name))
    this.#read((order) => {
      if (endpoints.length > 1) this.#refuse(ambiguous(this.#services, name, endpoints))
      else if (action === "drain") this.#drain(endpoint, order)
      else if (action === "resume") this.#resume(endpoint)
      else this.#probe(endpoint)
    })
  }

  /** Goes on with what the body says, or answers what is wrong with it. */
  #read(then: (order: ActionOrder) => void): void {
    readText(this.#services.guard, this.#context, longestBody, {
      received: (text) => {
        const body = readAction(this.#asked.action, text)
        this.#reason = body._tag === "Order" ? body.order.reason : body.reason
        if (body._tag === "Order") then(body.order)
        else this.#refuse({ code: "bad_request", message: body.problem })
      },
      tooLong: () => this.#refuse({ code: "bad_request", message: `the body is longer than ${longestBody} bytes` }),
      unread: () => this.#record("bad_request")
    })
  }

  #drain(endpoint: Endpoint, { time, force }: ActionOrder): void {
    const { catalogue, fleet } = this.#services
    const models = force || !endpoint.inService ? [] : lostModels(catalogue.snapshot(), endpoint)
    if (models.length > 0) {
      const some = models.slice(0, 5).join(", ")
      const more = models.length > 5 ? ` and ${models.length - 5} more` : ""
      this.#refuse({
        code: "models_lost",
        message: `no other endpoint that can be asked now has ${some}${more}: drain it all the same with "force": true`,
        models
      })
      return
    }
    fleet.drain(endpoint, time)
    this.#done()
  }

  #resume(endpoint: Endpoint): void {
    this.#services.fleet.resume(endpoint)
    this.#done()
  }

  #probe(endpoint: Endpoint): void {
    const { fleet, fork } = this.#services
    fork(
      Effect.matchCause(fleet.probe(endpoint), {
        onFailure: (cause) => this.#context.fault(cause),
        onSuccess: () => this.#done()
      })
    )
  }

  #reload(_order: ActionOrder): void {
    const { fork, reload } = this.#services
    fork(
      Effect.matchCause(reload.reload("post"), {
        onFailure: (cause) => this.#context.fault(cause),
        onSuccess: (outcome) => {
          if (outcome._tag === "Refused") {
            const { message, findings } = outcome
            this.#refuse({ code: "config_invalid", message, findings: findings.map(findingOf) })
            return
          }
          const { generation, changed, restartNeeded } = outcome
          this.#record("done")
          answerDocument(this.#context, ReloadedDocument, { generation, changed, restart_needed: restartNeeded })
        }
      })
    )
  }

  #done(): void {
    this.#record("done")
    this.#context.answer(204, "", "")
  }

  #refuseUnread(refusal: Refusal, status: number = statuses[refusal.code]): void {
    discardBody(this.#services.guard, this.#context, () => this.#refuse(refusal, status))
  }

  #refuse({ code, message, nearest, ids, models, findings }: Refusal, status: number = statuses[code]): void {
    this.#record(code)
    this.#services.statistics.rejected(status)
    const document: Refusal = {
      code,
      message,
      ...(nearest === undefined ? {} : { nearest }),
      ...(ids === undefined ? {} : { ids }),
      ...(models === undefined ? {} : { models }),
      ...(findings === undefined ? {} : { findings })
    }
    const headers = status === 401 ? ["WWW-Authenticate", 'Bearer realm="olla"'] : []
    answerDocument(this.#context, ActionRefusal, document, status, headers)
  }

  #record(result: string): void {
    const { exchange } = this.#context
    const { action, name } = this.#asked
    this.#services.journal.write(result === "done" ? "info" : "warn", "Operator action", {
      request_id: exchange.id,
      action,
      ...(name === undefined ? {} : { endpoint: name.slice(0, 200) }),
      reason: this.#reason,
      result,
      client_ip: exchange.clientIp
    })
  }
}

export const actionRoutes: RouteModule = {
  handle: (services, context, path) => {
    const asked = actionOf(path, context.exchange.path)
    if (asked === undefined) return false
    if (context.exchange.method === "POST") new OperatorAction(services, context, asked).start()
    else discardBody(services.guard, context, () => context.error("method", { allow: "POST" }, ["Allow", "POST"]))
    return true
  }
}
