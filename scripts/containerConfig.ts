/** The image's configuration: the shipped one, listening on all interfaces and looking for backends on the container's host. */
import { readFileSync } from "node:fs"

export const containerConfig = (shipped: string): string =>
  shipped
    .replace(/(url: "https?:\/\/)(?:localhost|127\.0\.0\.1)\b/g, "$1host.docker.internal")
    .replace('host: "localhost"', 'host: "0.0.0.0"')

if (import.meta.main) process.stdout.write(containerConfig(readFileSync(process.argv[2] ?? "config/config.yaml", "utf8")))
