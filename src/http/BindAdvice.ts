/** Why a port cannot be listened on, as far as the system tells: who holds it, and which key and variable name another one. */
import type { OllaConfig } from "../config/OllaConfig.ts"
import { portHolder } from "./PortHolder.ts"

type Where = Pick<OllaConfig["server"], "host" | "port" | "reuse_port">

/** Continues the message of a failed bind; empty where the system's own words say all. `code`: the system's. */
export const bindAdvice = (code: string, { host, port, reuse_port }: Where): string => {
  switch (code) {
    case "EADDRINUSE": {
      const holder = portHolder(port)
      const who = holder === undefined ? "another process holds it" : `process ${holder.pid} holds it (${holder.command})`
      if (reuse_port)
        return `. ${who}, and does not share it: a daemon can be taken over from when it was started with server.reuse_port too, and by the same user`
      return `. ${who}: end that one, or set another server.port or OLLA_SERVER_PORT`
    }
    case "EACCES":
      return `. Port ${port} needs a privilege that this user lacks: set a server.port or OLLA_SERVER_PORT above 1023`
    case "ENOTSUP":
    case "ENOSYS":
    case "ENOPROTOOPT":
      return reuse_port ? ". This system cannot share a port among processes: take server.reuse_port out" : ""
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return `. "${host}" is no address of this machine: set server.host or OLLA_SERVER_HOST to one, or to 0.0.0.0 for all`
    default:
      return ""
  }
}
