/** Chat completions: relayed as they came wherever they are spoken, and translated for endpoints that speak another API only. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Learnt } from "../../translation/Conversing.ts"
import type { JsonRecord } from "../../translation/JsonValue.ts"
import { converseInChat, relaysChat } from "../../translation/openai/ChatConversing.ts"
import { errorBody } from "../../translation/openai/OpenAiErrors.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { translatedExchange } from "./Conversing.ts"
import type { ProxyTarget } from "./PlainSurface.ts"
import { type OtherWords, RewordedSurface } from "./RewordedSurface.ts"
import type { Asked } from "./Surface.ts"
import { messageLimit } from "./TranslatedRequest.ts"

const translator = { name: "chat", dialect: "chat" } as const

export class ChatSurface extends RewordedSurface {
  readonly #learnt: Learnt

  constructor(services: Services, context: RequestContext, target: ProxyTarget, learnt: Learnt) {
    super(services, context, target)
    this.#learnt = learnt
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
      })
    )
    return { complaintFor, ...dialect }
  }

  protected override errorBody(status: number, message: string, details: JsonRecord | undefined): string {
    return errorBody(status, message, "", details)
  }
}
