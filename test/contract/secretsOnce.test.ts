/** A named pipe gives its bytes once: whoever reads it a second time gets others, or waits for ever. */
import { execFileSync } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { startBackend } from "../../src/simulator/Backend.ts"
import { endpointsYaml, eventually, startDaemon } from "./daemon.ts"

it.skipIf(process.platform === "win32")(
  "a start reads each secret once",
  async () => {
    const pipe = join(mkdtempSync(join(tmpdir(), "olla-")), "token")
    execFileSync("mkfifo", [pipe])
    const backend = await startBackend({ kind: "vllm", models: ["m"], key: "once" })
    const written = writeFile(pipe, "once\n")
    const daemon = await startDaemon(endpointsYaml([{ name: "one", backend, extra: `auth: {type: bearer, token_file: "${pipe}"}` }]))
    try {
      await written
      const answer = await eventually(
        () => fetch(`${daemon.url}/olla/openai/v1/models`),
        ({ status }) => status === 200
      )
      expect(answer.status).toBe(200)
    } finally {
      await daemon.stop()
      await backend.stop()
    }
  },
  20_000
)
