/** Chat completions: relayed as they came wherever they are spoken, and translated for endpoints that speak another API only. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import { pathOf } from "../../proxy/RemainingCandidates.ts"
import type { Candidate, Decision } from "../../routing/Router.ts"
import { spokenBy } from "../../translation/BackendDialects.ts"
import type { Learnt } from "../../translation/Conversing.ts"
import type { JsonRecord } from "../../translation/JsonValue.ts"
import { converseInChat, relayedAnswer, relaysChat } from "../../translation/openai/ChatConversing.ts"
import { errorBody } from "../../translation/openai/OpenAiErrors.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { keepAliveOf, translatedExchange } from "./Conversing.ts"
import type { ProxyTarget } from "./PlainSurface.ts"
import { type OtherWords, RewordedSurface } from "./RewordedSurface.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"
import { messageLimit } from "./TranslatedRequest.ts"

const translator = { name: "chat", dialect: "chat" } as const

/** Beside chat completions. */
const speaksMore = ({ profile }: Endpoint): boolean => spokenBy(profile, "chat").length > 0

export class ChatSurface extends RewordedSurface {
  readonly #learnt: Learnt

  constructor(services: Services, context: RequestContext, target: ProxyTarget, learnt: Learnt) {
    super(services, context, target)
    this.#learnt = learnt
  }

  override plan(walk: Settling, asked: Asked, body: Body, decision: Decision): Plan | undefined {
    const plan = super.plan(walk, asked, body, decision)
    const { translators, translation } = this.services.settings.current()
    if (plan === undefined || !translators.chat.enabled || this.context.exchange.method !== "POST") return plan
    const { spelling } = asked.inspection
    const streaming = asked.stream === true
    const keepAlive = keepAliveOf(translation.keep_alive)
    const answer = (candidate?: Candidate) =>
      relayedAnswer({
        model: spelling,
        streaming,
        keepAlive,
        opened: this.opened,
        translated: () =>
          candidate === undefined || !speaksMore(candidate.endpoint)
            ? undefined
            : this.otherWords(asked, body).translated?.(candidate.endpoint, candidate.nativeName),
        onRefusal: (_route, status) => candidate?.endpoint.unserved.refused(status, "POST", this.#path, "")
      })
    const waits = streaming && translation.keep_alive.first >= 0
    return {
      ...plan,
      ...(waits ? { waited: answer } : {}),
      otherwise: (candidate) => (speaksMore(candidate.endpoint) ? answer(candidate) : undefined)
    }
  }

  get #path(): string {
    return pathOf(this.route.target)
  }

  protected override get readable(): number {
    return messageLimit(this.services, translator).bytes
  }

  protected override isRelayed(endpoint: Endpoint): boolean {
    const { profile, unserved } = endpoint
    const { enabled, passthrough_enabled: passthrough } = this.services.settings.current().translators.chat
    if (!enabled || this.context.exchange.method !== "POST") return true
    // One that has lately said that it has not got the route is asked in another API, where it has one.
    const isRefused = !unserved.isEmpty && unserved.has("POST", this.#path, "") && speaksMore(endpoint)
    return relaysChat(profile, passthrough) && !isRefused
  }

  protected override reworded(request: JsonRecord, { inspection, stream }: Asked, body: Body): OtherWords {
    const { complaintFor, dialect, translated } = converseInChat(
      this.#learnt,
      translatedExchange(this.services, this.context, translator, {
        request,
        body,
        inspection,
        stream: stream === true,
        inspector: undefined
      }),
      this.opened,
      (endpoint) => this.isRelayed(endpoint)
    )
    return { complaintFor, ...dialect, translated }
  }

  protected override errorBody(status: number, message: string, details: JsonRecord | undefined): string {
    return errorBody(status, message, "", details)
  }
}
