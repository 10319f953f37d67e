/** Token counts: a backend's own where one can count, else the estimate; whatever goes wrong with a backend, the estimate. */
import type { BodyLimit } from "../../guard/SizeLimits.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision, ProviderScope } from "../../routing/Router.ts"
import { isRecord, parseJson } from "../../translation/JsonValue.ts"
import type { Translator } from "../../translation/Translator.ts"
import { errorTable } from "../ErrorTable.ts"
import type { Body, BodyProblem } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { type Asked, copiesInTranslation, type Plan, type Settling, type Surface } from "./Surface.ts"
import { messageLimit, problemOf, shapeProblem, textOfBody } from "./TranslatedRequest.ts"

/** An agent counts before it asks: a backend that takes longer than this, in milliseconds, is not waited for. */
const countWithin = 5_000

export class CountSurface implements Surface {
  readonly #services: Services
  readonly #context: RequestContext
  readonly #translator: Translator
  readonly #within: number
  readonly bodyLimit: BodyLimit
  readonly copies = copiesInTranslation
  /** The model counts whatever the content type says. */
  readonly contentType = "application/json"
  readonly route: Surface["route"]
  readonly details = undefined
  #estimate = 0

  /** `scope`: of the provider below whose prefix it was asked. `within`: milliseconds that a backend may take. */
  constructor(
    services: Services,
    context: RequestContext,
    translator: Translator,
    scope: ProviderScope | undefined = undefined,
    within = countWithin
  ) {
    this.route = { scope, path: undefined }
    this.#services = services
    this.#context = context
    this.#translator = translator
    this.#within = within
    this.bodyLimit = messageLimit(services, translator)
  }

  unread(walk: Settling, problem: BodyProblem): void {
    const refusal = problemOf(this.#services, this.#context, problem, this.bodyLimit)
    walk.settle({ _tag: "rejected", status: errorTable[refusal.name].status, reason: refusal.name })
    this.#context.refuseUpload(refusal)
  }

  understand(walk: Settling, body: Body, seen: BodyInspector): Asked | undefined {
    const misshapen = shapeProblem(seen)
    if (misshapen !== undefined) return this.#refuse(walk, misshapen)
    const request = parseJson(textOfBody(body))
    if (!isRecord(request)) {
      const why = body.size === 0 ? "the body is empty" : "the body is not a JSON object"
      return this.#refuse(walk, `failed to parse request: ${why}`)
    }
    this.#estimate = this.#translator.estimate(request)
    const inspection = seen.end(body.chunks, "")
    const passes = this.#services.settings.current().translators[this.#translator.name].passthrough_enabled
    if (passes && inspection.model !== "") return { inspection, stream: undefined }
    return this.#answerEstimate(walk)
  }

  nobody(walk: Settling): void {
    this.#answerEstimate(walk)
  }

  plan(walk: Settling, { inspection }: Asked, body: Body, decision: Decision): Plan | undefined {
    const translator = this.#translator
    const able = (all: ReadonlyArray<Candidate>) => all.filter(({ endpoint }) => translator.canCount(endpoint))
    const candidates = able(decision.candidates)
    if (candidates.length === 0) return this.#answerEstimate(walk)
    const dialect = translator.countDialect(body, inspection, this.#estimate)
    return { target: "", candidates, regroup: (all) => ({ candidates: able(all) }), dialect, within: this.#within }
  }

  refused(): void {
    this.#answer()
  }

  turnedAway(): void {
    this.#answer()
  }

  #refuse(walk: Settling, what: string): undefined {
    walk.settle({ _tag: "rejected", status: errorTable.badMessage.status, reason: "badMessage" })
    this.#context.error("badMessage", { what })
  }

  #answerEstimate(walk: Settling): undefined {
    walk.settle({ _tag: "completed", status: 200 })
    this.#answer()
  }

  #answer(): void {
    this.#context.json(this.#translator.countDocument(this.#estimate))
  }
}
