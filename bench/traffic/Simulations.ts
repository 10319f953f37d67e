/** The four loads that balancing is judged by, each under every dispatcher with the same seed. */
import type { MachineOptions } from "../../src/simulator/machine/Machine.ts"
import type { MakeDispatcher } from "./Dispatchers.ts"
import { type Figures, figuresOf } from "./Figures.ts"
import { converse, question, Text } from "./Load.ts"
import { Random } from "./Random.ts"
import { type Asked, World } from "./World.ts"

const minute = 60_000

export interface Run {
  readonly figures: Figures
  readonly world: World
  /** Of some clients only, where the simulation is about them. */
  readonly light?: Figures
}

/**
 * (a) Eight equal engines with caches, conversations of several turns below four shared system prompts. `load`: 1 is what the oracle can
 * just serve, as prompts read and answers written.
 */
export const caching = (make: MakeDispatcher, seed: number, load: number): Run => {
  const random = new Random(seed)
  const machine: MachineOptions = { promptTokensPerSecond: 4_000, tokensPerSecond: 60, slots: 16, cacheTokens: 300_000 }
  const world = new World(
    Array.from({ length: 8 }, () => machine),
    make
  )
  const systems = Array.from({ length: 4 }, () => {
    const text = new Text(random)
    text.add(random.between(1_000, 4_000))
    return text
  })
  // A conversation has 5.5 turns; each keeps a slot for some 3.6 s: 128 slots are full at 6.4 new conversations a second.
  converse(world, random, { every: 1_000 / (6.4 * load), model: "m", clients: 50, systems }, 12 * minute)
  world.time.run(14 * minute)
  return { world, figures: figuresOf(world, 4 * minute) }
}

/** (b) Machines of three speeds, 80 % of what they can do together, nothing to remember. */
export const unequal = (make: MakeDispatcher, seed: number): Run => {
  const random = new Random(seed)
  const world = new World(
    [1, 2, 4].map((speed): MachineOptions => ({ promptTokensPerSecond: 1_000 * speed, tokensPerSecond: 25 * speed, slots: 16 })),
    make
  )
  // Mean prompt: 1,200 e^(0.8²/2) = 1,650 tokens; the three read 7,000 a second.
  const every = 1_000 / ((0.8 * 7_000) / 1_650)
  question(
    world,
    random,
    {
      every,
      models: [["m", 1]],
      client: "c",
      promptTokens: () => random.logNormal(1_200, 0.8),
      answerTokens: () => random.between(20, 200)
    },
    22 * minute
  )
  world.time.run(30 * minute)
  return { world, figures: figuresOf(world, 2 * minute) }
}

/** (c) Four hosts with room for one model each. `models`: weights; four models: each can have a host, and loads once. */
export const swapping = (make: MakeDispatcher, seed: number, weights: ReadonlyArray<number>): Run => {
  const random = new Random(seed)
  const machine: MachineOptions = { promptTokensPerSecond: 2_000, tokensPerSecond: 50, slots: 4, maxResident: 1, loadMillis: 8_000 }
  const world = new World(
    Array.from({ length: 4 }, () => machine),
    make
  )
  question(
    world,
    random,
    {
      every: 1_000,
      models: weights.map((weight, i) => [`model-${i}`, weight] as const),
      client: "c",
      promptTokens: () => random.logNormal(600, 0.6),
      answerTokens: () => random.between(20, 150)
    },
    20 * minute
  )
  world.time.run(30 * minute)
  return { world, figures: figuresOf(world, 0) }
}

/**
 * (d) Two hosts of four slots; one client asks for three times what they can do, another now and then. `heavy` false: the light one
 * alone.
 */
export const overload = (make: MakeDispatcher, seed: number, heavy: boolean): Run => {
  const random = new Random(seed)
  const machine: MachineOptions = { promptTokensPerSecond: 4_000, tokensPerSecond: 50, slots: 4 }
  const world = new World([machine, machine], make)
  const until = 10 * minute
  const models = [["m", 1]] as const
  const ask = (client: string, every: number, median: number, most: number) =>
    question(
      world,
      new Random(seed + (client === "light" ? 1 : 2)),
      { every, models, client, promptTokens: () => random.logNormal(median, 0.4), answerTokens: () => random.between(50, most) },
      until
    )
  ask("light", 5_000, 600, 150)
  // An answer of 100 tokens takes 2 s, eight slots give 4 a second: twelve are asked for.
  if (heavy) ask("heavy", 1_000 / 12, 600, 150)
  world.time.run(until)
  const isLight = ({ client }: Asked) => client === "light"
  return { world, figures: figuresOf(world, minute), light: figuresOf(world, minute, isLight) }
}
