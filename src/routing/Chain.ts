/**
 * One request on its way along an alias whose targets are a chain: which target is asked now, and who may be asked when it cannot. It
 * goes on only for reasons that the configuration names, and enters each target once. Pure but for its place.
 */
import type { AliasOffer } from "../catalogue/ModelOffer.ts"
import type { AliasPolicy } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ModelMove } from "../exchange/Exchange.ts"

export type ChainReason = AliasPolicy["on"][number]

/** Bytes of a prompt for each token of the context that it is sure to need. */
const bytesPerToken = 6

/** Of a prompt: how long it is in bytes, and whether that says anything. */
export interface PromptSize {
  readonly bytes: number
  readonly hasImage: boolean
}

/** As far as a chain looks at it. */
interface Chained {
  readonly endpoint: Endpoint
  /** Tokens that the model takes there, as far as its server tells. */
  readonly contextLength?: number | undefined
}

export interface ChainPort<C extends Chained> {
  /** Who may serve the target at this place, rules heeded. `anyPath`: whether their kinds list the path or not. */
  readonly serving: (place: number, anyPath: boolean) => ReadonlyArray<C>
  readonly prompt: () => PromptSize
}

export class Chain<C extends Chained> {
  readonly #alias: Pick<AliasOffer, "name" | "targets">
  readonly #on: ReadonlySet<ChainReason>
  readonly #port: ChainPort<C>
  #at = 0
  /** Longer contexts than this are wanted, in tokens: one of this length was too short. */
  #tooShort = 0

  constructor({ name, targets, on }: Pick<AliasOffer, "name" | "targets" | "on">, port: ChainPort<C>) {
    this.#alias = { name, targets }
    this.#on = new Set(on)
    this.#port = port
  }

  get target(): string {
    return this.#alias.targets[this.#at] ?? ""
  }

  goesOnFor(reason: ChainReason): boolean {
    return this.#on.has(reason)
  }

  /** Nobody has been asked yet: the first target that somebody can serve, and why that is a later one. `undefined`: there is none. */
  begin(): { readonly candidates: ReadonlyArray<C>; readonly moved: ModelMove | undefined } | undefined {
    const fitting = this.#fitting(0)
    if (fitting.length > 0) return { candidates: fitting, moved: undefined }
    const first = this.#port.serving(0, false)
    const next = this.next(first.length > 0 ? "context" : "unavailable")
    if (next !== undefined) return next
    // It fits nowhere: whoever is asked says so in words of its own.
    if (first.length > 0) return { candidates: first, moved: undefined }
    if (!this.#on.has("unavailable")) return undefined
    for (let place = 1; place < this.#alias.targets.length; place++) {
      const candidates = this.#port.serving(place, false)
      if (candidates.length > 0) return { candidates, moved: this.#move(place, "unavailable") }
    }
    return undefined
  }

  /** Who else may serve the target in progress: what its path was a preference for. */
  others(than: ReadonlyArray<C>): ReadonlyArray<C> {
    return this.#port.serving(this.#at, true).filter(({ endpoint }) => than.every((other) => other.endpoint !== endpoint))
  }

  /** The next target that somebody can serve has its turn. `undefined`: there is none, or `reason` is none to go on for. */
  next(reason: ChainReason): { readonly candidates: ReadonlyArray<C>; readonly moved: ModelMove } | undefined {
    for (const [place, candidates] of this.#following(reason)) return { candidates, moved: this.#move(place, reason) }
    return undefined
  }

  /** The same with the first of them for which `take` makes something; until then the place stays. */
  nextFor<T>(
    reason: ChainReason,
    take: (candidates: ReadonlyArray<C>) => T | undefined
  ): { readonly candidates: ReadonlyArray<C>; readonly moved: ModelMove; readonly taken: T } | undefined {
    for (const [place, candidates] of this.#following(reason)) {
      const taken = take(candidates)
      if (taken !== undefined) return { candidates, moved: this.#move(place, reason), taken }
    }
    return undefined
  }

  /** A backend says that the prompt is too long for a context of so many tokens; `undefined`: of unknown length. */
  isTooLongFor(contextLength: number | undefined): void {
    this.#tooShort = Math.max(this.#tooShort, contextLength ?? 0)
  }

  *#following(reason: ChainReason): Generator<readonly [place: number, candidates: ReadonlyArray<C>]> {
    if (!this.#on.has(reason)) return
    for (let place = this.#at + 1; place < this.#alias.targets.length; place++) {
      const fitting = this.#fitting(place)
      if (fitting.length > 0) yield [place, fitting]
      else if (this.#port.serving(place, false).length === 0 && !this.#on.has("unavailable")) return
    }
  }

  /** Of those who serve a target, whose context the prompt may fit; all of them where the length of a prompt is no reason. */
  #fitting(place: number): ReadonlyArray<C> {
    const candidates = this.#port.serving(place, false)
    if (!this.#on.has("context") || candidates.every(({ contextLength }) => contextLength === undefined)) return candidates
    const { bytes, hasImage } = this.#port.prompt()
    const least = hasImage ? 0 : bytes / bytesPerToken
    return candidates.filter(
      ({ contextLength = Number.POSITIVE_INFINITY }) => contextLength >= least && (this.#tooShort === 0 || contextLength > this.#tooShort)
    )
  }

  #move(place: number, reason: ChainReason): ModelMove {
    const from = this.target
    this.#at = place
    return { alias: this.#alias.name, from, to: this.target, reason }
  }
}
