/** A real nginx with its default settings in front of a port, where the machine has one (Debian: `apt-get install nginx-light`). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "./freePort.ts"

export const hasNginx = spawnSync("nginx", ["-v"]).error === undefined

export interface Nginx {
  readonly url: string
  readonly port: number
  readonly stop: () => Promise<void>
}

export const startNginx = async (upstream: number): Promise<Nginx> => {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), "nginx-"))
  mkdirSync(join(folder, "logs"))
  const own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(folder, name)};`).join(" ")
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${join(folder, "pid")}; error_log stderr;
events {}
http { access_log off; ${own} server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstream}; } } }
`
  )
  const child: ChildProcess = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: ["ignore", "ignore", "pipe"] })
  child.stderr?.resume()
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error("nginx did not start")
    // Whatever it answers, it listens.
    if (
      await fetch(`${url}/internal/health`).then(
        (answer) => answer.ok,
        () => false
      )
    )
      break
  }
  return {
    url,
    port,
    stop: async () => {
      child.kill("SIGTERM")
      await ended
    }
  }
}
