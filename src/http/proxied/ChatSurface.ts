/** Chat completions: relayed as they came wherever they are spoken, and translated for endpoints that speak another API only. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Decision } from "../../routing/Router.ts"
import type { Learnt } from "../../translation/Conversing.ts"
import type { JsonRecord } from "../../translation/JsonValue.ts"
import { converseInChat, keepsWaiting, relaysChat } from "../../translation/openai/ChatConversing.ts"
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

export class ChatSurface extends RewordedSurface {
  readonly #learnt: Learnt

  constructor(services: Services, context: RequestContext, target: ProxyTarget, learnt: Learnt) {
    super(services, context, target)
    this.#learnt = learnt
  }

  override plan(walk: Settling, asked: Asked, body: Body, decision: Decision): Plan | undefined {
    const plan = super.plan(walk, asked, body, decision)
    const { translators, translation } = this.services.settings.current()
    const waits = asked.stream === true && translators.chat.enabled && translation.keep_alive.first >= 0
    if (plan === undefined || !waits || this.context.exchange.method !== "POST") return plan
    const keepAlive = keepAliveOf(translation.keep_alive)
    return { ...plan, waited: () => keepsWaiting(asked.inspection.spelling, keepAlive, this.opened) }
  }

  protected override get readable(): number {
    return messageLimit(this.services, translator).bytes
  }

  protected override isRelayed({ profile }: Endpoint): boolean {
    const { enabled, passthrough_enabled: passthrough } = this.services.settings.current().translators.chat
    return !enabled || this.context.exchange.method !== "POST" || relaysChat(profile, passthrough)
  }

  protected override reworded(request: JsonRecord, { inspection, stream }: Asked, body: Body): OtherWords {
    const { complaintFor, dialect } = converseInChat(
      this.#learnt,
      translatedExchange(this.services, this.context, translator, {
        request,
        body,
        inspection,
        stream: stream === true,
        inspector: undefined
      }),
      this.opened
    )
    return { complaintFor, ...dialect }
  }

  protected override errorBody(status: number, message: string, details: JsonRecord | undefined): string {
    return errorBody(status, message, "", details)
  }
}
