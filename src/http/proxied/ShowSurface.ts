/** What Ollama's `show` tells of a model: the server's own answer where it is Ollama, else what is known of the model. */
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision } from "../../routing/Router.ts"
import { isRecord, type JsonRecord, parseJson, textOf } from "../../translation/JsonValue.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { PlainSurface, type ProxyTarget } from "./PlainSurface.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"
import { shapeProblem, textOfBody } from "./TranslatedRequest.ts"

export class ShowSurface extends PlainSurface {
  readonly #documentOf: (name: string) => unknown
  #request: JsonRecord = {}

  /** `documentOf`: what is known of a model; `undefined`: nothing. */
  constructor(services: Services, context: RequestContext, target: ProxyTarget, documentOf: (name: string) => unknown) {
    super(services, context, target)
    this.#documentOf = documentOf
  }

  /** Older clients call the model `name`. */
  override understand(walk: Settling, body: Body, seen: BodyInspector): Asked {
    const { inspection } = super.understand(walk, body, seen)
    const parsed = shapeProblem(seen) === undefined ? parseJson(textOfBody(body)) : undefined
    this.#request = isRecord(parsed) ? parsed : {}
    const name = textOf(this.#request["model"]) ?? textOf(this.#request["name"]) ?? ""
    return { inspection: { ...inspection, model: name.trim().toLowerCase(), spelling: name, capabilities: [] }, stream: undefined }
  }

  override plan(walk: Settling, asked: Asked, _body: Body, decision: Decision): Plan | undefined {
    const { context } = this
    const { spelling } = asked.inspection
    if (spelling === "") {
      walk.settle({ _tag: "rejected", status: 400, reason: "badMessage" })
      context.error("badMessage", { what: "model is required" })
      return undefined
    }
    const nativesOf = (all: ReadonlyArray<Candidate>) => all.filter(({ endpoint }) => endpoint.profile?.ollama === true)
    const natives = nativesOf(decision.candidates)
    const document = natives.length > 0 ? undefined : this.#documentOf(spelling)
    if (document !== undefined) {
      walk.settle({ _tag: "completed", status: 200 })
      context.json(document, context.decisionHeaders())
      return undefined
    }
    const { name: _, ...rest } = this.#request
    return {
      target: this.route.target,
      candidates: natives.length > 0 ? natives : decision.candidates,
      refusesRedirects: true,
      regroup: (all) => ({ candidates: nativesOf(all).length > 0 ? nativesOf(all) : all }),
      dialect: {
        speak: (_endpoint, nativeName) => ({
          target: this.route.target,
          body: [Buffer.from(JSON.stringify({ ...rest, model: nativeName === "" ? spelling : nativeName }))],
          headers: ["content-type", "application/json"],
          answer: undefined
        }),
        target: () => this.route.target
      }
    }
  }
}
