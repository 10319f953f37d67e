/** The fleet behind `npm run demo`: several kinds, models that overlap, one that is slow. */
import { type BackendKind, startBackend } from "./Backend.ts"

export interface DemoMember {
  readonly name: string
  /** Stops it as if its plug were pulled, or starts it again; resolves with whether it is up now. */
  readonly toggle: () => Promise<boolean>
}

export interface DemoFleet {
  readonly members: ReadonlyArray<DemoMember>
  /** A configuration for exactly this fleet. */
  readonly yaml: string
  readonly introduction: (port: string) => string
  readonly stop: () => Promise<void>
}

const members: ReadonlyArray<{
  readonly name: string
  readonly kind: BackendKind
  readonly models: ReadonlyArray<string>
  readonly tokensPerSecond: number
  readonly priority: number
}> = [
  {
    name: "laptop",
    kind: "ollama",
    models: ["llama3.2:latest", "qwen3:8b", "nomic-embed-text:latest"],
    tokensPerSecond: 40,
    priority: 100
  },
  { name: "gpu-1", kind: "vllm", models: ["qwen3:8b", "meta-llama/Llama-3.3-70B-Instruct"], tokensPerSecond: 120, priority: 200 },
  { name: "gpu-2", kind: "vllm", models: ["qwen3:8b", "meta-llama/Llama-3.3-70B-Instruct"], tokensPerSecond: 120, priority: 200 },
  { name: "studio", kind: "lm-studio", models: ["gemma-3-12b", "qwen2.5-vl-7b"], tokensPerSecond: 30, priority: 100 },
  { name: "attic", kind: "llamacpp", models: ["mistral-7b"], tokensPerSecond: 8, priority: 50 }
]

export const startDemoFleet = async (): Promise<DemoFleet> => {
  const backends = await Promise.all(
    members.map(async (member) => ({
      member,
      backend: await startBackend({
        kind: member.kind,
        models: member.models,
        tokensPerSecond: member.tokensPerSecond,
        firstToken: 150,
        text: `This is ${member.name}, a simulated ${member.kind} server. Stop me and the next request goes to somebody else. `,
        tokens: 24,
        quiet: true
      })
    }))
  )
  const endpoints = backends.map(
    ({ member, backend }) =>
      `      - { url: "${backend.url}", name: ${member.name}, type: ${member.kind}, priority: ${member.priority}, check_interval: 2s, check_timeout: 1s }`
  )
  const switches = backends.map(({ member, backend }): DemoMember => {
    let isUp = true
    return {
      name: member.name,
      toggle: async () => {
        isUp = !isUp
        await (isUp ? backend.restart() : backend.kill())
        return isUp
      }
    }
  })
  return {
    members: switches,
    yaml: `proxy:\n  load_balancer: adaptive\ndiscovery:\n  static:\n    endpoints:\n${endpoints.join("\n")}\nmodel_aliases:\n  fast: [qwen3:8b, mistral-7b]\n`,
    introduction: (port) => {
      const base = `http://127.0.0.1:${port}`
      return `
Olla is running with a simulated fleet: ${members.map((member) => `${member.name} (${member.kind})`).join(", ")}.

  curl ${base}/v1/models                  what there is
  curl ${base}/internal/status/endpoints  who is alive

  curl -i ${base}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"qwen3:8b","messages":[{"role":"user","content":"Hello"}]}'

  curl -N ${base}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"fast","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

OpenAI clients:             base URL ${base}/v1, any key
Anthropic, Ollama clients:  base URL ${base}, any key

Keys: ${members.map(({ name }, index) => `${index + 1} ${name}`).join(", ")}: stop it, or start it again; q ends.

`
    },
    stop: async () => {
      await Promise.all(backends.map(({ backend }) => backend.stop()))
    }
  }
}
