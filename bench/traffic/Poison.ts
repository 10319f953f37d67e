/** A prompt that ends every server that reads it: how many of five does one request reach? */
import { Agent } from "node:http"
import { startOlla } from "../processes.ts"
import { ask } from "./Clients.ts"
import { LiveHost } from "./Hosts.ts"
import { hostOptions } from "./Trials.ts"

export interface PoisonFigures {
  readonly crashed: number
  readonly hosts: number
  readonly status: number
  readonly text: string
}

export const poison = async (yaml: string): Promise<PoisonFigures> => {
  const hosts = await Promise.all([0, 1, 2, 3, 4].map(() => LiveHost.start(hostOptions)))
  for (const host of hosts) host.fault({ _tag: "poison", text: "the word" })
  const olla = await startOlla(
    hosts.map(({ port }) => port),
    { name: "olla", yaml }
  )
  const agent = new Agent()
  const body = (stream: boolean) => JSON.stringify({ model: "test-model", stream, messages: [{ role: "user", content: "the word" }] })
  try {
    const load = { port: olla.port, path: olla.path, clients: 1, body, patience: 60_000, headers: { accept: "application/json" } }
    const { status, text } = await ask(load, agent, true)
    const isUp = await Promise.all(
      hosts.map(({ port }) =>
        fetch(`http://127.0.0.1:${port}/health`).then(
          () => true,
          () => false
        )
      )
    )
    return { crashed: isUp.filter((up) => !up).length, hosts: hosts.length, status, text }
  } finally {
    agent.destroy()
    await olla.stop()
    await Promise.all(hosts.map((host) => host.stop()))
  }
}
