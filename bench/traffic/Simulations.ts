/** The four loads that balancing is judged by, each under every dispatcher with the same seed. */
import type { MachineOptions } from "../../src/simulator/machine/Machine.ts"
import type { MakeDispatcher } from "./Dispatchers.ts"
import { type Figures, figuresOf } from "./Figures.ts"
import { converse, question, Text } from "./Load.ts"
import { Random } from "./Random.ts"
import { type Asked, type Host, World } from "./World.ts"

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

/**
 * (b) Machines of three speeds, 80 % of what they can do together, nothing to remember. `foreign`: the part of it that others ask for, who go
 * to one machine and then to another by themselves: only the machines' own figures show them.
 */
export const unequal = (make: MakeDispatcher, seed: number, foreign = 0): Run => {
  const random = new Random(seed)
  const world = new World(
    [1, 2, 4].map((speed): MachineOptions => ({ promptTokensPerSecond: 1_000 * speed, tokensPerSecond: 25 * speed, slots: 8 })),
    make
  )
  // Mean prompt: 1,200 e^(0.8²/2) = 1,650 tokens; the three read 7,000 a second.
  const perSecond = (0.8 * 7_000) / 1_650
  const load = {
    models: [["m", 1]] as const,
    client: "c",
    promptTokens: () => random.logNormal(1_200, 0.8),
    answerTokens: () => random.between(20, 200)
  }
  const until = 22 * minute
  question(world, random, { ...load, every: 1_000 / (perSecond * (1 - foreign)) }, until)
  if (foreign > 0) stranger(world, new Random(random.below(2 ** 32)), 1_000 / (perSecond * foreign), until)
  world.time.run(30 * minute)
  return { world, figures: figuresOf(world, 2 * minute) }
}

/** Asks the fastest machine for a minute, then the second one, then the fastest again. */
const stranger = (world: World, random: Random, every: number, until: number): void => {
  const ask = () => {
    const { machine } = world.hosts[Math.floor(world.time.now() / minute) % 2 === 0 ? 2 : 1] as Host
    machine.submit({
      model: "m",
      promptTokens: Math.round(random.logNormal(1_200, 0.8)),
      blocks: [],
      answerTokens: Math.round(random.between(20, 200)),
      onFirstToken: () => {},
      onDone: () => {}
    })
    if (world.time.now() < until) world.time.after(random.exponential(every), ask)
  }
  world.time.after(random.exponential(every), ask)
}

/** (c) Four hosts with room for one model each. `models`: weights; four models: each can have a host, and loads once. */
export const swapping = (make: MakeDispatcher, seed: number, weights: ReadonlyArray<number>): Run => {
  const random = new Random(seed)
  const machine: MachineOptions = { promptTokensPerSecond: 2_000, tokensPerSecond: 50, slots: 4, maxResident: 1, loadMillis: 8_000 }
  const models = weights.map((weight, i) => [`model-${i}`, weight] as const)
  const world = new World(
    Array.from({ length: 4 }, () => machine),
    make,
    models.map(([name]) => name)
  )
  question(
    world,
    random,
    {
      every: 1_000,
      models,
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
 * (d) Hosts of four places each; one client asks for three times what they can do, another now and then for the same kind of thing. `heavy`
 * false: the light one alone. Nobody is interrupted, so that the light one waits until the next place becomes free: with few hosts that
 * takes longer than its prompt is read.
 */
export const overload = (make: MakeDispatcher, seed: number, hosts: number, heavy: boolean): Run => {
  const random = new Random(seed)
  const machine: MachineOptions = { promptTokensPerSecond: 4_000, tokensPerSecond: 50, slots: 4 }
  const world = new World(
    Array.from({ length: hosts }, () => machine),
    make
  )
  const until = 10 * minute
  const ask = (client: string, every: number) =>
    question(
      world,
      new Random(random.below(2 ** 32)),
      {
        every,
        models: [["m", 1]],
        client,
        promptTokens: () => random.logNormal(800, 0.4),
        answerTokens: () => random.between(50, 150)
      },
      until
    )
  ask("light", 5_000)
  // Reading takes 0.2 s and the answer 2 s.
  if (heavy) ask("heavy", 1_000 / ((3 * 4 * hosts) / 2.2))
  world.time.run(until)
  const isLight = ({ client }: Asked) => client === "light"
  return { world, figures: figuresOf(world, minute), light: figuresOf(world, minute, isLight) }
}
