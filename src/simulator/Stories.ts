/**
 * What `npm run demo -- --story …` plays: some simulated servers, clients that never stop asking, and what happens to the servers
 * meanwhile. Each goes round and round, the last part of a round without what the story is about: for comparison.
 */
import type { BackendKind, SimulatedBackend } from "./Backend.ts"
import type { MachineOptions } from "./machine/Machine.ts"

export interface StoryHost {
  readonly name: string
  readonly kind: BackendKind
  readonly models: ReadonlyArray<string>
  readonly machine: MachineOptions
  /** Further keys of its endpoint, in the story's own configuration. */
  readonly keys?: string
}

export interface StoryClients {
  readonly name: string
  readonly count: number
  /** Milliseconds between an answer and the next question. */
  readonly pause: number
  /** The body of a client's next question, all of them streams. */
  readonly ask: (client: number, turn: number) => Readonly<Record<string, unknown>>
}

export interface StoryEvent {
  /** Seconds from the beginning of a round. */
  readonly at: number
  readonly say: string
  readonly does?: (host: (name: string) => SimulatedBackend) => void
  /** From here on the story's own configuration, or the other one. */
  readonly configuration?: "own" | "other"
}

export interface Story {
  readonly about: string
  readonly hosts: ReadonlyArray<StoryHost>
  /** Of Olla, besides the endpoints; and with which it is compared. */
  readonly own: string
  readonly other: string
  readonly clients: ReadonlyArray<StoryClients>
  readonly events: ReadonlyArray<StoryEvent>
  /** Seconds of a round. */
  readonly round: number
  /** What of the servers is worth a line. */
  readonly watches: ReadonlyArray<"cache" | "models" | "slots">
}

const words = "the quick brown fox jumps over the lazy dog and runs on through the long grass by the river ".split(" ")

/** Text that is the same for the same seed, of about so many tokens. */
const textOf = (seed: number, tokens: number): string => {
  let text = ""
  for (let at = seed * 7919; text.length < tokens * 4; at += (at % 13) + 1) text += `${words[at % words.length]} ${at % 97} `
  return text
}

const question = (model: string, text: string, most: number) => ({
  model,
  stream: true,
  max_tokens: most,
  messages: [{ role: "user", content: text }]
})

const gpu: MachineOptions = { promptTokensPerSecond: 4_000, tokensPerSecond: 60, slots: 32 }

const failover: Story = {
  about: `Three servers with the same model, 20 clients. One server after the other goes bad in a way that its health check does not see.
A request that fails before its first byte goes on to another server; who fails three times in a row gets no more of them, but for one now
and then, until it answers again.`,
  hosts: ["gpu-1", "gpu-2", "gpu-3"].map((name): StoryHost => ({ name, kind: "vllm", models: ["qwen3:32b"], machine: gpu })),
  own: "proxy: {load_balancer: least-connections}",
  other: "proxy: {load_balancer: least-connections}\ntraffic: {enabled: false}",
  clients: [{ name: "chat", count: 20, pause: 300, ask: (client, turn) => question("qwen3:32b", textOf(client + turn, 80), 24) }],
  events: [
    { at: 0, say: "all three are well", configuration: "own", does: (host) => host("gpu-2").setFault(undefined) },
    {
      at: 8,
      say: "gpu-2 now answers every chat with 503, at once; its health check says that all is well",
      does: (host) => host("gpu-2").setFault({ _tag: "status", status: 503, delay: 5 })
    },
    { at: 28, say: "gpu-2 is well again: its next trial takes it back", does: (host) => host("gpu-2").setFault(undefined) },
    {
      at: 48,
      say: "gpu-3 sends 200 and drops the connection before the first byte",
      does: (host) => host("gpu-3").setFault({ _tag: "headOnly" })
    },
    { at: 64, say: "gpu-3 is well again", does: (host) => host("gpu-3").setFault(undefined) },
    {
      at: 80,
      say: "gpu-1 has had enough: 429, Retry-After: 5",
      does: (host) => host("gpu-1").setFault({ _tag: "status", status: 429, headers: { "retry-after": "5" } })
    },
    {
      at: 96,
      say: "for comparison, with traffic.enabled: false: gpu-1 is well, gpu-2 answers 503 at once, and who answers fastest is asked most",
      configuration: "other",
      does: (host) => {
        host("gpu-1").setFault(undefined)
        host("gpu-2").setFault({ _tag: "status", status: 503, delay: 5 })
      }
    }
  ],
  round: 112,
  watches: []
}

const overload: Story = {
  about: `Two servers with four places each. A batch job asks for three times what they can do, with 40 requests at once; somebody chats beside
it. Whoever finds no place waits in Olla, in fair turns: the chat waits for one place to become free, however long the batch's line is.`,
  hosts: ["gpu-1", "gpu-2"].map(
    (name): StoryHost => ({
      name,
      kind: "vllm",
      models: ["qwen3:32b"],
      machine: { promptTokensPerSecond: 4_000, tokensPerSecond: 30, slots: 4 },
      keys: "max_concurrent: 4"
    })
  ),
  own: "proxy: {load_balancer: adaptive}\ntraffic: {queue: {max_wait: 2m}}",
  other: "proxy: {load_balancer: least-connections}\ntraffic: {enabled: false}",
  clients: [
    { name: "batch", count: 40, pause: 0, ask: (client, turn) => question("qwen3:32b", textOf(client + turn, 300), 40) },
    { name: "chat", count: 1, pause: 1_000, ask: (_, turn) => question("qwen3:32b", textOf(turn, 100), 12) }
  ],
  events: [
    { at: 0, say: "batch and chat share two servers", configuration: "own" },
    {
      at: 60,
      say: "for comparison, with traffic.enabled: false: the servers' own line, first come first served",
      configuration: "other"
    }
  ],
  round: 90,
  watches: ["slots"]
}

const cold: Story = {
  about: `Three Ollama servers, each with room for one model in memory and three models on disk; a load takes 6 seconds. Olla asks them what they
have loaded, sends a request to where its model is, and lets a second one join a load instead of beginning another.`,
  hosts: ["box-1", "box-2", "box-3"].map(
    (name): StoryHost => ({
      name,
      kind: "ollama",
      models: ["qwen3:8b", "gemma3:12b", "mistral:7b"],
      machine: { promptTokensPerSecond: 2_000, tokensPerSecond: 40, slots: 4, maxResident: 1, loadMillis: 6_000 },
      keys: "max_resident: 1"
    })
  ),
  own: "proxy: {load_balancer: adaptive}\ntraffic: {queue: {max_wait: 2m}}",
  other: "proxy: {load_balancer: least-connections}",
  clients: ["qwen3:8b", "gemma3:12b", "mistral:7b"].map(
    (model, index): StoryClients => ({
      name: model,
      count: 3,
      pause: 1_500,
      ask: (client, turn) => question(model, textOf(100 * index + client + turn, 120), 24)
    })
  ),
  events: [
    { at: 0, say: "nothing is loaded, or in the wrong place", configuration: "own" },
    {
      at: 30,
      say: "box-2 is started anew: its memory is empty",
      does: (host) =>
        void host("box-2")
          .kill()
          .then(() => host("box-2").restart())
    },
    {
      at: 60,
      say: "for comparison, least-connections: who has the fewest requests gets the next, whatever it has loaded",
      configuration: "other"
    }
  ],
  round: 90,
  watches: ["models"]
}

const cache: Story = {
  about: `Three servers that remember the prompts that they have read. 24 conversations, each turn of which brings all of it along, below one
of three long system prompts. Olla remembers which server has read which beginning, and weighs it against who has time.`,
  hosts: ["gpu-1", "gpu-2", "gpu-3"].map(
    (name): StoryHost => ({
      name,
      kind: "vllm",
      models: ["qwen3:32b"],
      machine: { promptTokensPerSecond: 3_000, tokensPerSecond: 60, slots: 16, cacheTokens: 120_000 }
    })
  ),
  own: "proxy: {load_balancer: adaptive}",
  other: "proxy: {load_balancer: least-connections}",
  clients: [{ name: "chat", count: 24, pause: 2_500, ask: (client, turn) => conversation(client, turn) }],
  events: [
    { at: 0, say: "adaptive", configuration: "own" },
    { at: 60, say: "for comparison, least-connections: any server, mostly one that has not read it", configuration: "other" }
  ],
  round: 90,
  watches: ["cache"]
}

/** Turns of a conversation, after which the client begins another. */
const turns = 8

const conversation = (client: number, turn: number): Readonly<Record<string, unknown>> => {
  const which = client + 1_000 * Math.floor(turn / turns)
  const messages: Array<{ readonly role: string; readonly content: string }> = [
    { role: "system", content: textOf(client % 3, 1_500) },
    { role: "user", content: textOf(which, 150) }
  ]
  for (let i = 1; i <= turn % turns; i++)
    messages.push({ role: "assistant", content: textOf(which + i, 60) }, { role: "user", content: textOf(which - i, 150) })
  return { model: "qwen3:32b", stream: true, max_tokens: 24, messages }
}

export const stories: Readonly<Record<string, Story>> = { failover, overload, cold, cache }
