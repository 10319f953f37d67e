/**
 * 500 streams of 10 tokens a second for a minute: is a token held back, does the heap grow? The gaps between tokens with the
 * proxy in between, beside those without it, in one run.
 *
 *   node bench/streams.ts [streams] [seconds]
 */
import { residentMb, startBackend, startLoader, startOlla } from "./processes.ts"

const streams = Number(process.argv[2] ?? 500)
const seconds = Number(process.argv[3] ?? 60)

const backend = await startBackend()
const olla = await startOlla([backend.port], { name: "olla" })
const loader = startLoader()
const job = { kind: "streams" as const, parallel: streams, count: streams, size: 300, tokens: seconds * 10, every: 100 }
const before = residentMb(olla.pid)
const direct = await loader.run({ ...job, port: backend.port, path: "/v1/chat/completions" })
const through = await loader.run({ ...job, port: olla.port, path: olla.path })
const first = residentMb(olla.pid)
const again = await loader.run({ ...job, tokens: Math.ceil(job.tokens / 4), port: olla.port, path: olla.path })
console.log(`${streams} streams x 10 tokens/s x ${seconds} s`)
for (const [name, result] of [
  ["without", direct],
  ["through Olla", through],
  ["once more", again]
] as const)
  console.log(
    `  ${name.padEnd(14)} ${result.tokens} tokens, ${result.failed} failed, gap p50 ${result.p50.toFixed(1)} ms, p99 ${result.p99.toFixed(1)} ms, max ${result.max.toFixed(1)} ms`
  )
console.log(
  `  resident memory ${before.toFixed(0)} MB before, ${first.toFixed(0)} MB after, ${residentMb(olla.pid).toFixed(0)} MB after once more`
)
await loader.stop()
await olla.stop()
await backend.stop()
process.exit()
