/**
 * The machine below a simulated server: it reads one prompt at a time, as fast as its hardware does and without what it remembers of
 * earlier ones; it writes as many answers at once as it has slots; it loads models when they are asked for. Nothing in it is HTTP, and
 * time is handed in, so that simulations run it by the thousand requests a second.
 */
import { ModelMemory } from "./ModelMemory.ts"
import { PrefixCache } from "./PrefixCache.ts"
import type { Timers } from "./Timers.ts"

export interface MachineOptions {
  /** Prompt tokens read in a second. */
  readonly promptTokensPerSecond: number
  /** Tokens of one answer written in a second. */
  readonly tokensPerSecond: number
  /** Answers at once; whoever comes above waits. Undefined: no limit. */
  readonly slots?: number
  /** Tokens of earlier prompts that it remembers. Undefined: none. */
  readonly cacheTokens?: number
  /** Models in memory at once; undefined: all. */
  readonly maxResident?: number
  /** Milliseconds that loading a model takes. */
  readonly loadMillis?: number
}

export interface Work {
  readonly model: string
  readonly promptTokens: number
  /** Names of the prompt's blocks. */
  readonly blocks: ReadonlyArray<number>
  readonly answerTokens: number
  /** Of prompt and answer, which the machine remembers at the end. */
  readonly blocksWithAnswer?: ReadonlyArray<number>
  /** `cached`: prompt tokens that it did not have to read. */
  readonly onFirstToken: (cached: number) => void
  readonly onDone: () => void
}

/** Work that a machine has: waiting for a slot or a model, being read, or being answered. */
export interface Job {
  readonly work: Work
  phase: "waiting" | "queued" | "reading" | "answering" | "over"
  /** Milliseconds; when its phase ends, where that is known. */
  phaseEndsAt: number
  callOff: () => void
}

export class Machine {
  readonly #timers: Timers
  readonly #options: MachineOptions
  readonly #cache: PrefixCache
  readonly memory: ModelMemory
  readonly #waiting: Array<Job> = []
  /** Have a slot, and are read one after the other. */
  readonly #toRead: Array<Job> = []
  readonly #running = new Set<Job>()
  /** Sums since it was made. */
  readonly totals = { requests: 0, promptTokens: 0, cachedTokens: 0, answerTokens: 0 }

  constructor(timers: Timers, options: MachineOptions) {
    this.#timers = timers
    this.#options = options
    this.#cache = new PrefixCache(options.cacheTokens ?? 0)
    this.memory = new ModelMemory(timers, { loadMillis: options.loadMillis ?? 0, maxResident: options.maxResident })
  }

  get slots(): number {
    return this.#options.slots ?? Number.POSITIVE_INFINITY
  }
  /** Jobs that have a slot. */
  get running(): ReadonlySet<Job> {
    return this.#running
  }
  get waiting(): ReadonlyArray<Job> {
    return this.#waiting
  }
  /** Part of its memory for prompts that is taken, from 0 to 1. */
  get cacheUsed(): number {
    return this.#cache.used
  }

  /** Milliseconds that reading this prompt would take now. */
  readMillis(work: Work): number {
    const unread = work.promptTokens - Math.min(work.promptTokens - 1, this.#cache.match(work.blocks))
    return (unread * 1000) / this.#options.promptTokensPerSecond
  }

  answerMillis(work: Work): number {
    return this.#options.tokensPerSecond === 0 ? 0 : (work.answerTokens * 1000) / this.#options.tokensPerSecond
  }

  submit(work: Work): Job {
    const job: Job = { work, phase: "waiting", phaseEndsAt: Number.POSITIVE_INFINITY, callOff: () => {} }
    this.#waiting.push(job)
    this.#admit()
    return job
  }

  /** Whoever asked is gone. */
  cancel(job: Job): void {
    if (job.phase === "over") return
    const { phase } = job
    job.callOff()
    this.#leave(job)
    if (phase === "waiting") this.#waiting.splice(this.#waiting.indexOf(job), 1)
    if (phase === "queued" || phase === "reading") this.#toRead.splice(this.#toRead.indexOf(job), 1)
    this.#admit()
    this.#read()
  }

  /** As after a crash: nobody is told. */
  reset(): void {
    for (const job of [...this.#waiting.splice(0), ...this.#running]) {
      job.callOff()
      this.#leave(job)
    }
    this.#toRead.length = 0
    this.#cache.clear()
    this.memory.clear()
  }

  #leave(job: Job): void {
    job.phase = "over"
    this.#running.delete(job)
  }

  /** In order of arrival; who needs a model that finds no room holds up those behind, who needs one that loads does not. */
  #admit(): void {
    for (let i = 0; i < this.#waiting.length && this.#running.size < this.slots; ) {
      const job = this.#waiting[i] as Job
      const presence = this.memory.want(
        job.work.model,
        (model) => this.#isBusy(model),
        () => this.#admit()
      )
      if (presence === "full") return
      if (presence === "loading") {
        i++
        continue
      }
      this.#waiting.splice(i, 1)
      this.#running.add(job)
      job.phase = "queued"
      this.#toRead.push(job)
      this.#read()
    }
  }

  #isBusy(model: string): boolean {
    for (const { work } of this.#running) if (work.model === model) return true
    return false
  }

  #read(): void {
    const job = this.#toRead[0]
    if (job === undefined || job.phase === "reading") return
    const { work } = job
    const cached = Math.min(work.promptTokens - 1, this.#cache.match(work.blocks))
    const millis = this.readMillis(work)
    job.phase = "reading"
    job.phaseEndsAt = this.#timers.now() + millis
    job.callOff = this.#timers.after(millis, () => {
      this.#toRead.shift()
      this.#cache.keep(work.blocks)
      this.totals.requests++
      this.totals.promptTokens += work.promptTokens
      this.totals.cachedTokens += cached
      this.#answer(job)
      this.#read()
      work.onFirstToken(cached)
    })
  }

  #answer(job: Job): void {
    const { work } = job
    const millis = this.answerMillis(work)
    job.phase = "answering"
    job.phaseEndsAt = this.#timers.now() + millis
    job.callOff = this.#timers.after(millis, () => {
      this.totals.answerTokens += work.answerTokens
      if (work.blocksWithAnswer !== undefined) this.#cache.keep(work.blocksWithAnswer)
      this.#leave(job)
      this.#admit()
      work.onDone()
    })
  }
}
