/** Streams that can be begun before anybody has answered: those of server-sent events, each with the words of its API. */
import type { EarlyForm } from "../../proxy/EarlyStream.ts"
import { messagesForm } from "../../translation/anthropic/MessagesForm.ts"
import type { Opened } from "../../translation/KeepAlive.ts"
import { NativeAnswer, type NativeForm } from "../../translation/NativeAnswer.ts"
import { relayedForm } from "../../translation/openai/ChatConversing.ts"
import { responsesForm } from "../../translation/responses/NativeResponses.ts"

/** Nobody but the early stream itself keeps its client waiting. */
const never = { first: Number.POSITIVE_INFINITY, interval: Number.POSITIVE_INFINITY }

const endings: ReadonlyArray<readonly [ending: string, form: NativeForm]> = [
  ["/completions", relayedForm],
  ["/messages", messagesForm],
  ["/responses", responsesForm]
]

const formOf = (path: string): NativeForm | undefined => endings.find(([ending]) => path.endsWith(ending))?.[1]

/** `path`: without its query. `model`: as the client names it. `undefined`: its answers are no such streams. */
export const earlyFormOf = (path: string, model: string, opened: Opened): EarlyForm | undefined => {
  const form = formOf(path)
  if (form === undefined) return undefined
  return {
    // Clients of Messages know a ping, and some of them nothing of comments.
    ping: form === messagesForm ? form.ping(model) : undefined,
    broken: form.broken,
    opened,
    relayed: () =>
      new NativeAnswer<never>({
        form,
        model,
        requestId: "",
        streaming: true,
        keepAlive: never,
        opened,
        translated: () => undefined,
        refuses: () => undefined,
        onRefusal: () => {},
        onBytes: undefined
      })
  }
}
