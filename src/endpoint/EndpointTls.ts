/** `tls:` of one endpoint, and the certificates that are trusted by default. */
import { createSecureContext, getCACertificates, setDefaultCACertificates } from "node:tls"
import { reasonOf } from "../config/FileReason.ts"
import type { TlsConfig } from "../config/OllaConfig.ts"
import type { Complaint, SecretSources } from "./EndpointCredentials.ts"
import type { TlsOptions } from "./Origin.ts"

let authorities: ReadonlyArray<string> | undefined

/** Node's own list and the operating system's (`SSL_CERT_FILE`, `SSL_CERT_DIR` count there). Read once: it takes tens of milliseconds. */
const trustedAuthorities = (): ReadonlyArray<string> => {
  authorities ??= [...new Set([...getCACertificates("bundled"), ...getCACertificates("system"), ...getCACertificates("extra")])]
  return authorities
}

/** Makes the operating system's store count in the whole process; called when a first `https:` backend is in the fleet. */
export const trustSystemAuthorities = (): void => setDefaultCACertificates(trustedAuthorities())

const isSet = (value: string | undefined): value is string => value !== undefined && value !== ""

export const resolveTls = (
  config: TlsConfig | undefined,
  name: string,
  secure: boolean,
  sources: SecretSources
): { readonly tls: TlsOptions | undefined; readonly complaints: ReadonlyArray<Complaint> } => {
  if (config === undefined) return { tls: undefined, complaints: [] }
  const complaints: Array<Complaint> = []
  const say = (severity: Complaint["severity"], at: string, text: string): void => {
    complaints.push({ severity, at, message: `endpoint "${name}": ${text}` })
  }
  const read = (key: "ca_file" | "cert_file" | "key_file"): string | undefined => {
    const path = config[key]
    if (!isSet(path)) return undefined
    try {
      return sources.readFile(path)
    } catch (cause) {
      say("error", `tls.${key}`, `tls.${key}: reading "${path}": ${reasonOf(cause)}`)
      return undefined
    }
  }
  const [own, cert, key] = [read("ca_file"), read("cert_file"), read("key_file")]
  if (isSet(config.cert_file) !== isSet(config.key_file)) say("error", "tls", "tls.cert_file and tls.key_file are only valid together")
  if (config.insecure_skip_verify === true)
    say(
      "warning",
      "tls.insecure_skip_verify",
      "tls.insecure_skip_verify is on: the server's certificate is NOT verified, anyone in between can read and change traffic"
    )
  if (!secure) say("warning", "tls", "tls settings have no effect on an http URL")
  const rejectUnauthorized = config.insecure_skip_verify !== true
  const serverName = isSet(config.server_name) ? config.server_name : undefined
  if (complaints.some((each) => each.severity === "error")) return { tls: undefined, complaints }
  const ca = own === undefined ? undefined : [...trustedAuthorities(), own].join("\n")
  try {
    // Also the check that the files hold what they should.
    if (own !== undefined && !own.includes("-----BEGIN")) throw new Error("no PEM certificate in ca_file")
    const context = createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      minVersion: "TLSv1.2"
    })
    return { tls: { ca, cert, key, serverName, rejectUnauthorized, context }, complaints }
  } catch (cause) {
    say("error", "tls", `tls files cannot be used: ${cause instanceof Error ? cause.message : "unknown reason"}`)
    return { tls: undefined, complaints }
  }
}
