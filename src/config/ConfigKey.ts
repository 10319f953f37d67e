/** The keys of the configuration: how one is declared in the Schema, with its kind, its default and its manual text. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { shortestDuration } from "./Duration.ts"

/** `entries` is a list of mappings and `policy` a word or a mapping, both read by another room (`TextTree.ts`). */
export type Kind =
  | "string"
  | "int"
  | "number"
  | "bool"
  | "duration"
  | "size"
  | "strings"
  | "word"
  | "map"
  | "aliases"
  | "ints"
  | "words"
  | "entries"
  | "policy"

export interface KeyInfo {
  readonly kind: Kind
  readonly doc: string
  readonly words?: ReadonlyArray<string>
  /** An unknown word only warns, and this one is used. */
  readonly fallback?: string
  /** What an empty text stands for. */
  readonly whenEmpty?: string
  /** Smallest value allowed. */
  readonly min?: number
  readonly max?: number
  /** 0 is allowed besides what `min` says. */
  readonly orZero?: boolean
  /** What is right, in words: refusals say that the key must be this. */
  readonly mustBe?: string
  /** A right value as it stands in a file. */
  readonly example?: string
  /** Its feature is not there yet: `"warns"` that it has no effect, or is `"refused"` since it would seem to protect something. */
  readonly pending?: "warns" | "refused"
  /** JSON Schema, for editors, of one of `entries`, or of the mapping of a `policy`. */
  readonly json?: Readonly<Record<string, unknown>>
  /** Never printed. */
  readonly secret?: boolean
}

export const key = <S extends Schema.Top>(schema: S, info: KeyInfo) =>
  schema.annotate({ description: info.doc, ollaKey: info } as never) as S

export const withDefault = <S extends Schema.Top>(schema: S, value: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultKey<S>(Effect.succeed(value)))

export type Extra = Omit<KeyInfo, "kind" | "doc">

export const text = (value: string, doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.String, { kind: "string", doc, ...(value === "" ? {} : { example: JSON.stringify(value) }), ...extra }), value)
export const int = (value: number, doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Int, { kind: "int", doc, example: String(value), ...extra }), value)
/** Not only whole numbers. */
export const number = (value: number, doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Finite, { kind: "number", doc, example: String(value), ...extra }), value)
/** From 0 to 1. */
export const fraction = (value: number, doc: string) => number(value, doc, { min: 0, max: 1, example: "0.1" })
export const bool = (value: boolean, doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Boolean, { kind: "bool", doc, example: String(value), ...extra }), value)
/** Milliseconds. Negative values are refused unless a key gives them a meaning. */
export const duration = (value: number, doc: string, extra: Extra = {}) =>
  withDefault(
    key(Schema.Finite, { kind: "duration", doc, min: 0, example: value === 0 ? "30s" : shortestDuration(value), ...extra }),
    value
  )
export const size = (value: number, doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Int, { kind: "size", doc, example: "50MB", ...extra }), value)
export const strings = (value: ReadonlyArray<string>, doc: string, extra: Extra = {}) =>
  withDefault(
    key(Schema.Array(Schema.String), { kind: "strings", doc, ...(value.length === 0 ? {} : { example: JSON.stringify(value) }), ...extra }),
    value
  )
export const word = <const W extends ReadonlyArray<string>>(words: W, value: W[number], doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Literals(words), { kind: "word", doc, words, example: value, ...extra }), value as never)
/** A mapping of names to texts. */
export const texts = (doc: string, extra: Extra = {}) =>
  withDefault(key(Schema.Record(Schema.String, Schema.String), { kind: "map", doc, ...extra }), {})

export const optionalText = (doc: string, extra: Extra = {}) => Schema.optionalKey(key(Schema.String, { kind: "string", doc, ...extra }))
export const optionalSize = (doc: string, extra: Extra = {}) =>
  Schema.optionalKey(key(Schema.Int, { kind: "size", doc, example: "50MB", ...extra }))
export const optionalDuration = (doc: string, extra: Extra = {}) =>
  Schema.optionalKey(key(Schema.Finite, { kind: "duration", doc, ...extra }))

export const section = <const F extends Schema.Struct.Fields>(fields: F) => withDefault(Schema.Struct(fields), {} as never)
