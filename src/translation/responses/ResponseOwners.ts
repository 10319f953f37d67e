/** Which endpoint made which answer of the Responses API: it alone can go on from it, and only it keeps it. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"

/** Answers that are remembered, and for how long. */
const maxAnswers = 10_000
const rememberedForMs = 60 * 60_000
/** Bytes of an answer in which its id is looked for. */
const searched = 4 * 1024

const idPattern = /"id"\s*:\s*"(resp_[\w-]{1,200})"/

interface Owner {
  readonly endpoint: Endpoint
  readonly until: number
}

export class ResponseOwners {
  readonly #now: () => number
  /** Oldest first. */
  readonly #owners = new Map<string, Owner>()

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now
  }

  get size(): number {
    return this.#owners.size
  }

  of(id: string): Endpoint | undefined {
    const owner = this.#owners.get(id)
    return owner === undefined || owner.until < this.#now() || owner.endpoint.removed ? undefined : owner.endpoint
  }

  learn(id: string, endpoint: Endpoint): void {
    this.#owners.delete(id)
    this.#owners.set(id, { endpoint, until: this.#now() + rememberedForMs })
    if (this.#owners.size > maxAnswers) this.#owners.delete(this.#owners.keys().next().value as string)
  }

  /** Takes an answer's bytes as they are relayed, and has a look at its beginning. */
  watch(endpoint: Endpoint): (bytes: Buffer) => void {
    let begun = ""
    let isDone = false
    return (bytes) => {
      if (isDone) return
      begun += bytes.toString("latin1", 0, searched - begun.length)
      const [, id] = idPattern.exec(begun) ?? []
      if (id !== undefined) this.learn(id, endpoint)
      isDone = id !== undefined || begun.length >= searched
      if (isDone) begun = ""
    }
  }
}
