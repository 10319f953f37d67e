/**
 * How one kind of server wants a chat request beyond what all of them understand, and what a server has taught: one that
 * refuses a field gets the request once more in other words, and from then on at once.
 */
import type { Profile } from "../../profile/Profile.ts"

/** What a refusal has taught: a field to leave out, or another way to say it. */
export type Lesson =
  /** Neighbours of one role become one message. */
  | "alternate"
  /** `max_tokens` is called `max_completion_tokens`. */
  | "max_completion_tokens"
  /** Empty text instead of none beside calls. */
  | "empty_content"
  | Optional

/** Fields that a request makes sense without. */
const optional = [
  "stream_options",
  "chat_template_kwargs",
  "reasoning_effort",
  "reasoning_content",
  "reasoning",
  "top_k",
  "min_p",
  "parallel_tool_calls",
  "strict"
] as const
type Optional = (typeof optional)[number]

export interface Wording {
  /** Fields of an assistant message that this kind reads its own reasoning from. */
  readonly reasoningFields: ReadonlyArray<string>
  readonly thinkingSwitch: Profile["thinkingSwitch"]
  /** Sampling fields beyond OpenAI's that it takes, by its own names. */
  readonly extraSampling: ReadonlyArray<string>
  /** Of known make: takes `strict`, and a level of reasoning. */
  readonly known: boolean
  /** Hands requests on to servers that keep caches by key. */
  readonly cacheKey: boolean
  readonly lessons: ReadonlySet<Lesson>
}

export const wordingOf = (profile: Profile | undefined, lessons: ReadonlySet<Lesson>): Wording => ({
  reasoningFields: profile?.reasoningFields ?? [],
  thinkingSwitch: profile?.thinkingSwitch ?? "none",
  extraSampling: profile?.extraSampling ?? [],
  known: profile?.generic === false,
  cacheKey: profile?.promptCacheKey === true,
  lessons
})

/** Equal keys: the same words. */
export const wordingKey = ({ reasoningFields, thinkingSwitch, extraSampling, known, cacheKey, lessons }: Wording): string =>
  `${reasoningFields.join()} ${thinkingSwitch} ${extraSampling.join()} ${known} ${cacheKey} ${[...lessons].sort().join()}`

/** What a refusal says is wrong with the words of a request, if it is about words at all. `sent`: the refused body. */
export const lessonOf = (status: number, refusal: string, sent: string): Lesson | undefined => {
  if (status !== 400 && status !== 422) return undefined
  const text = refusal.toLowerCase()
  if (text.includes("max_completion_tokens") && sent.includes('"max_tokens":')) return "max_completion_tokens"
  if (/alternat|roles? must|user\/assistant\/user/.test(text)) return "alternate"
  const field = optional.find((name) => namesField(text, name) && sent.includes(`"${name}":`))
  if (field !== undefined) return field
  return /content/.test(text) && /null|none|missing|required|string/.test(text) && sent.includes('"content":null')
    ? "empty_content"
    : undefined
}

/** The field as a word of its own: `reasoning` is not named by `reasoning_effort`. */
const namesField = (text: string, name: string): boolean => new RegExp(`(?<![a-z_])${name}(?![a-z_])`).test(text)
