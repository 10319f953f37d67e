/** Machines, requests and a dispatcher in virtual time: what is measured of them is kept per request. */
import { Machine, type MachineOptions, type Work } from "../../src/simulator/machine/Machine.ts"
import { VirtualTime } from "../../src/simulator/machine/VirtualTime.ts"

export interface Ask {
  readonly client: string
  readonly model: string
  readonly promptTokens: number
  readonly blocks: ReadonlyArray<number>
  readonly answerTokens: number
  readonly blocksWithAnswer?: ReadonlyArray<number>
}

/** One request; times in milliseconds. */
export interface Asked extends Ask {
  readonly arrivedAt: number
  dispatchedAt: number
  firstTokenAt: number
  endedAt: number
  /** Index of its host. */
  host: number
  /** Prompt tokens that the host had in memory. */
  cached: number
}

export interface Host {
  readonly machine: Machine
  readonly options: MachineOptions
  /** Requests given to it, that have not ended. */
  inFlight: number
}

/** Decides who gets a request, and when. */
export interface Dispatcher {
  readonly name: string
  readonly arrived: (asked: Asked) => void
  readonly firstToken?: (asked: Asked) => void
  readonly ended?: (asked: Asked) => void
}

export class World {
  readonly time = new VirtualTime()
  readonly hosts: ReadonlyArray<Host>
  /** What every host lists. */
  readonly models: ReadonlyArray<string>
  readonly all: Array<Asked> = []
  readonly #dispatcher: Dispatcher
  #under = 0
  /** Loads of a model that began while another host was loading it. */
  duplicateLoads = 0

  constructor(machines: ReadonlyArray<MachineOptions>, dispatcher: (world: World) => Dispatcher, models: ReadonlyArray<string> = ["m"]) {
    this.models = models
    this.hosts = machines.map((options) => ({ machine: new Machine(this.time, options), options, inFlight: 0 }))
    this.#dispatcher = dispatcher(this)
  }

  /** Requests that have not ended. */
  get under(): number {
    return this.#under
  }

  ask(ask: Ask, onEnd: (asked: Asked) => void = () => {}): void {
    const asked: Asked = {
      ...ask,
      arrivedAt: this.time.now(),
      dispatchedAt: Number.NaN,
      firstTokenAt: Number.NaN,
      endedAt: Number.NaN,
      host: -1,
      cached: 0
    }
    this.all.push(asked)
    this.#under++
    this.#ends.set(asked, onEnd)
    this.#dispatcher.arrived(asked)
  }

  readonly #ends = new Map<Asked, (asked: Asked) => void>()

  /** For the dispatcher: this host it is. */
  dispatch(asked: Asked, index: number): void {
    const host = this.hosts[index] as Host
    asked.host = index
    asked.dispatchedAt = this.time.now()
    host.inFlight++
    const { loads } = host.machine.memory
    const isLoading = this.hosts.some((other) => other !== host && other.machine.memory.isLoading(asked.model))
    host.machine.submit({
      ...workOf(asked),
      onFirstToken: (cached) => {
        asked.cached = cached
        asked.firstTokenAt = this.time.now()
        this.#dispatcher.firstToken?.(asked)
      },
      onDone: () => {
        asked.endedAt = this.time.now()
        host.inFlight--
        this.#under--
        this.#dispatcher.ended?.(asked)
        const onEnd = this.#ends.get(asked)
        this.#ends.delete(asked)
        onEnd?.(asked)
      }
    })
    // One that must wait for room begins later, and is not seen.
    if (isLoading && host.machine.memory.loads > loads) this.duplicateLoads++
  }
}

export const workOf = ({ model, promptTokens, blocks, answerTokens, blocksWithAnswer }: Ask): Work => ({
  model,
  promptTokens,
  blocks,
  answerTokens,
  ...(blocksWithAnswer === undefined ? {} : { blocksWithAnswer }),
  onFirstToken: () => {},
  onDone: () => {}
})
