/** Token counts: a backend's own where one can count, else the estimate; whatever goes wrong, the estimate (anthropic.md 11, B25). */
import { isRecord, parseJson } from "../translation/JsonValue.ts"
import type { Translator } from "../translation/Translator.ts"
import { admit, carry, decide } from "./ProxyRoutes.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { SystemServices } from "./SystemRoutes.ts"
import { readTranslated } from "./TranslatedBody.ts"

export class TranslatedCounts {
  readonly #services: SystemServices
  readonly #translator: Translator

  constructor(services: SystemServices, translator: Translator) {
    this.#services = services
    this.#translator = translator
  }

  handle(context: RequestContext): void {
    const services = this.#services
    const translator = this.#translator
    if (!admit(services, context)) return
    readTranslated(services, translator, context, false, (body, seen) => {
      const request = parseJson(Buffer.concat(body.chunks).toString("utf8"))
      if (!isRecord(request)) {
        const why = body.size === 0 ? "the body is empty" : "the body is not a JSON object"
        context.error("badMessage", { what: `failed to parse request: ${why}` })
        return
      }
      const estimate = translator.estimate(request)
      const answer = () => context.json(translator.countDocument(estimate))
      const inspection = seen.end(body.chunks, "")
      if (!services.settings.current().translators[translator.name].passthrough_enabled || inspection.model === "") {
        answer()
        return
      }
      decide(services, context, { scope: undefined, target: "", path: undefined }, inspection, (decision) => {
        const candidates = decision.candidates.filter(({ endpoint }) => translator.canCount(endpoint))
        if (candidates.length === 0) {
          answer()
          return
        }
        const dialect = translator.countDialect(body.chunks, inspection, estimate)
        carry(services, context, { target: "", body, inspection, candidates, dialect, within: countWithin }, answer)
      })
    })
  }
}

/** An agent counts before it asks: a backend that takes longer than this, in milliseconds, is not waited for. */
const countWithin = 5_000
