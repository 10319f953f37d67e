/**
 * Chat completions: relayed as they came wherever they are spoken, and translated for endpoints that speak another API only. Where
 * there is no such endpoint, this is the plain surface.
 */
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision } from "../../routing/Router.ts"
import { Complaint } from "../../translation/Complaint.ts"
import type { Learnt } from "../../translation/Conversing.ts"
import { isRecord, parseJson } from "../../translation/JsonValue.ts"
import { converseInChat, relaysChat } from "../../translation/openai/ChatConversing.ts"
import { errorBody } from "../../translation/openai/OpenAiErrors.ts"
import type { Conversation } from "../../translation/Translator.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { translatedExchange } from "./Conversing.ts"
import { PlainSurface, type ProxyTarget } from "./PlainSurface.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"
import { messageLimit, shapeProblem, textOfBody } from "./TranslatedRequest.ts"

const translator = { name: "chat", dialect: "chat" } as const

export class ChatSurface extends PlainSurface {
  readonly #services: Services
  readonly #learnt: Learnt
  #made: Conversation | undefined
  #isMisshapen = false

  constructor(services: Services, context: RequestContext, target: ProxyTarget, learnt: Learnt) {
    super(services, context, target)
    this.#services = services
    this.#learnt = learnt
  }

  override understand(walk: Settling, body: Body, seen: BodyInspector): Asked {
    this.#isMisshapen = shapeProblem(seen) !== undefined
    return super.understand(walk, body, seen)
  }

  override plan(walk: Settling, asked: Asked, body: Body, decision: Decision): Plan | undefined {
    const plan = super.plan(walk, asked, body, decision)
    const { enabled, passthrough_enabled: passthrough } = this.#services.settings.current().translators.chat
    const isRelayed = ({ profile }: Candidate["endpoint"]) => relaysChat(profile, passthrough)
    if (plan === undefined || !enabled || this.context.exchange.method !== "POST" || this.#services.fleet.endpoints.every(isRelayed))
      return plan
    const conversation = () => this.#converse(asked, body)
    const canBeAsked = (candidate: Candidate) => isRelayed(candidate.endpoint) || conversation().complaintFor(candidate) === undefined
    const relayed = plan.candidates.filter(({ endpoint }) => isRelayed(endpoint))
    const first = relayed.length > 0 ? relayed : plan.candidates.filter(canBeAsked)
    if (first.length === 0) return this.#refuse(walk, plan.candidates, conversation())
    const later = [
      plan.candidates.filter((candidate) => !first.includes(candidate)),
      ...(plan.nextChoice === undefined ? [] : [plan.nextChoice])
    ]
    return {
      ...plan,
      candidates: first,
      nextChoice: () => {
        for (let next = later.shift(); next !== undefined; next = later.shift()) {
          const group = (typeof next === "function" ? next() : next).filter(canBeAsked)
          if (group.length > 0) return group
        }
        return []
      },
      dialect: {
        speak: (endpoint, nativeName) => {
          if (!isRelayed(endpoint)) return conversation().dialect.speak(endpoint, nativeName)
          // A former attempt may have been translated.
          this.context.exchange.translator = undefined
          return this.#made === undefined ? undefined : this.#made.dialect.speak(endpoint, nativeName)
        }
      }
    }
  }

  #refuse(walk: Settling, candidates: ReadonlyArray<Candidate>, conversation: Conversation): undefined {
    const [complaint] = candidates.flatMap((candidate) => conversation.complaintFor(candidate) ?? [])
    const { message, status, details } = complaint ?? new Complaint("nobody can be asked")
    this.context.errors = (_context, told, text) => ({ contentType: "application/json", body: errorBody(told, text, "", details) })
    walk.settle({ _tag: "rejected", status, reason: "badMessage" })
    this.context.fail(status, message, null)
  }

  #converse({ inspection, stream }: Asked, body: Body): Conversation {
    if (this.#made !== undefined) return this.#made
    const { bytes } = messageLimit(this.#services, translator)
    const parsed = this.#isMisshapen || body.size > bytes ? undefined : parseJson(textOfBody(body))
    this.#made = converseInChat(
      this.#learnt,
      translatedExchange(this.#services, this.context, translator, {
        request: isRecord(parsed) ? parsed : {},
        body,
        inspection,
        stream: stream === true,
        inspector: undefined
      })
    )
    return this.#made
  }
}
