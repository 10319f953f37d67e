/** The load of the simulations: conversations that grow, single questions, more than there is room for. */
import { blockTokens } from "../../src/simulator/machine/PrefixCache.ts"
import { Random } from "./Random.ts"
import type { Asked, World } from "./World.ts"

/** A text that grows at its end, as names of its blocks. */
export class Text {
  readonly #random: Random
  readonly #blocks: Array<number>
  #tokens: number

  constructor(random: Random, from?: Text) {
    this.#random = random
    this.#blocks = from === undefined ? [] : [...from.#blocks]
    this.#tokens = from === undefined ? 0 : from.#tokens
  }

  add(tokens: number): void {
    this.#tokens += Math.round(tokens)
    // What comes after a block that is not full yet decides its name.
    while ((this.#blocks.length + 1) * blockTokens <= this.#tokens) this.#blocks.push(Math.floor(this.#random.next() * 2 ** 48))
  }

  get tokens(): number {
    return this.#tokens
  }
  get blocks(): ReadonlyArray<number> {
    return [...this.#blocks]
  }
}

export interface Conversations {
  /** Milliseconds between the beginnings of two. */
  readonly every: number
  readonly model: string
  readonly clients: number
  /** Beginnings that many of them share. */
  readonly systems: ReadonlyArray<Text>
}

/** Each turn brings the whole conversation so far. */
export const converse = (world: World, random: Random, { every, model, clients, systems }: Conversations, until: number): void => {
  const begin = () => {
    // Its own, so that it is the same whoever else is served how fast.
    const chance = new Random(random.below(2 ** 32))
    const text = new Text(chance, systems[chance.below(systems.length)])
    const client = `client-${chance.below(clients)}`
    let turns = 1 + Math.floor(chance.exponential(5))
    const turn = () => {
      if (world.time.now() > until) return
      text.add(chance.logNormal(150, 0.9))
      const answerTokens = Math.round(chance.between(50, 350))
      const { tokens: promptTokens, blocks } = text
      text.add(answerTokens)
      world.ask({ client, model, promptTokens, blocks, answerTokens, blocksWithAnswer: text.blocks }, () => {
        if (--turns > 0) world.time.after(2_000 + chance.exponential(8_000), turn)
      })
    }
    turn()
    if (world.time.now() < until) world.time.after(random.exponential(every), begin)
  }
  world.time.after(random.exponential(every), begin)
}

export interface Questions {
  /** Milliseconds between two. */
  readonly every: number
  readonly models: ReadonlyArray<readonly [name: string, weight: number]>
  readonly client: string
  readonly promptTokens: () => number
  readonly answerTokens: () => number
}

/** Have nothing in common. */
export const question = (world: World, random: Random, load: Questions, until: number, onEnd: (asked: Asked) => void = () => {}): void => {
  const ask = () => {
    const [model] = load.models[random.weighted(load.models.map(([, weight]) => weight))] as readonly [string, number]
    const promptTokens = Math.max(16, Math.round(load.promptTokens()))
    const text = new Text(random)
    text.add(promptTokens)
    world.ask({ client: load.client, model, promptTokens, blocks: text.blocks, answerTokens: Math.round(load.answerTokens()) }, onEnd)
    if (world.time.now() < until) world.time.after(random.exponential(load.every), ask)
  }
  world.time.after(random.exponential(load.every), ask)
}
