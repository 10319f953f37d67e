/**
 * The certificates of the listener: read and tried before they serve. A key that does not fit its certificate would be taken by the
 * system and fail every handshake after it, and of two files one is often renewed before the other.
 */
import { createPrivateKey, hash, X509Certificate } from "node:crypto"
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls"
import type { Diagnostic } from "../../config/Diagnostic.ts"
import { reasonOf } from "../../config/FileReason.ts"
import type { TlsListenerConfig } from "../../config/OllaConfig.ts"
import type { TextTree } from "../../config/TextTree.ts"

/** One certificate with its key, that fit each other. */
export interface Pair {
  /** DNS names and addresses, lower-cased; `*.` at the beginning stands for one label. */
  readonly names: ReadonlyArray<string>
  /** Epoch milliseconds. */
  readonly notAfter: number
  readonly fingerprint: string
  readonly options: SecureContextOptions
}

export interface Certificates {
  /** The first one is for whoever names no other. */
  readonly pairs: ReadonlyArray<Pair>
  /** Another one where anything is otherwise. */
  readonly print: string
}

export interface CertificateReading {
  /** `undefined`: the listener speaks plain HTTP, or something is wrong. */
  readonly certificates: Certificates | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** All files that were looked at. */
  readonly files: ReadonlyArray<string>
}

/** Days before its end from which a certificate is told of. */
export const dueDays = 14
const day = 86_400_000

interface Named {
  readonly at: string
  readonly certFile: string
  readonly keyFile: string
}

const furtherOf = (certificates: ReadonlyArray<TextTree>, wrong: (path: string, message: string) => void): ReadonlyArray<Named> =>
  certificates.flatMap((tree, index) => {
    const at = `server.tls.certificates[${index}]`
    if (typeof tree !== "object" || tree === null || Array.isArray(tree)) {
      wrong(at, `${at} needs cert_file and key_file`)
      return []
    }
    const entry = tree as { readonly [name: string]: TextTree }
    for (const name of Object.keys(entry))
      if (name !== "cert_file" && name !== "key_file") wrong(`${at}.${name}`, `${at}.${name} is no key here; there are cert_file, key_file`)
    const [certFile, keyFile] = [entry["cert_file"], entry["key_file"]]
    if (typeof certFile === "string" && certFile !== "" && typeof keyFile === "string" && keyFile !== "") return [{ at, certFile, keyFile }]
    wrong(at, `${at} needs both cert_file and key_file`)
    return []
  })

const namesOf = (certificate: X509Certificate): ReadonlyArray<string> => {
  const alternatives = (certificate.subjectAltName ?? "").split(", ").flatMap((part) => {
    const [, name] = /^(?:DNS|IP Address):(.+)$/.exec(part) ?? []
    return name === undefined ? [] : [name.toLowerCase()]
  })
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  return alternatives.length > 0 || common === undefined ? alternatives : [common.toLowerCase()]
}

/** `readFile` throws as `node:fs` does. `now`: epoch milliseconds. */
export const readCertificates = (
  tls: TlsListenerConfig,
  port: number,
  readFile: (path: string) => string,
  now: number
): CertificateReading => {
  const diagnostics: Array<Diagnostic> = []
  const files: Array<string> = []
  const seen: Array<string> = []
  const wrong = (path: string, message: string): void => void diagnostics.push({ severity: "error", path, message })
  const read = (path: string, file: string): string | undefined => {
    if (!files.includes(file)) files.push(file)
    try {
      const text = readFile(file)
      seen.push(text)
      return text
    } catch (cause) {
      wrong(path, `${path}: ${file} cannot be read: ${reasonOf(cause)}`)
      return undefined
    }
  }
  const isOn = tls.cert_file !== ""
  if (!isOn) {
    for (const key of ["key_file", "key_password_file", "client_ca_file"] as const)
      if (tls[key] !== "") wrong(`server.tls.${key}`, `server.tls.${key} is set, and there is no server.tls.cert_file`)
    if (tls.certificates.length > 0)
      wrong("server.tls.certificates", "server.tls.certificates are further ones: the first is server.tls.cert_file")
    if (tls.client_auth !== "none")
      wrong("server.tls.client_auth", "server.tls.client_auth asks for certificates, and there is no server.tls.cert_file")
    if (tls.redirect_port !== 0)
      wrong("server.tls.redirect_port", "server.tls.redirect_port leads to https, and there is no server.tls.cert_file")
    return { certificates: undefined, diagnostics, files }
  }
  if (tls.key_file === "") wrong("server.tls.key_file", "server.tls.cert_file needs server.tls.key_file beside it")
  if (tls.client_auth !== "none" && tls.client_ca_file === "")
    wrong("server.tls.client_auth", "server.tls.client_auth needs server.tls.client_ca_file: by whom certificates are signed")
  if (tls.redirect_port === port) wrong("server.tls.redirect_port", "server.tls.redirect_port is server.port: it needs one of its own")
  const password = tls.key_password_file === "" ? undefined : read("server.tls.key_password_file", tls.key_password_file)?.trim()
  const ca = tls.client_ca_file === "" ? undefined : read("server.tls.client_ca_file", tls.client_ca_file)
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----"))
    wrong("server.tls.client_ca_file", `server.tls.client_ca_file: ${tls.client_ca_file} has no certificate in PEM form`)
  const named: ReadonlyArray<Named> = [
    ...(tls.key_file === "" ? [] : [{ at: "server.tls", certFile: tls.cert_file, keyFile: tls.key_file }]),
    ...furtherOf(tls.certificates, wrong)
  ]
  const pairs = named.flatMap(({ at, certFile, keyFile }): ReadonlyArray<Pair> => {
    const [cert, key] = [read(`${at}.cert_file`, certFile), read(`${at}.key_file`, keyFile)]
    if (cert === undefined || key === undefined) return []
    let leaf: X509Certificate
    try {
      leaf = new X509Certificate(cert)
    } catch {
      wrong(`${at}.cert_file`, `${at}.cert_file: ${certFile} is no certificate in PEM form`)
      return []
    }
    try {
      const own = createPrivateKey({ key, ...(password === undefined ? {} : { passphrase: password }) })
      if (!leaf.checkPrivateKey(own)) {
        wrong(`${at}.key_file`, `${at}.key_file: the key in ${keyFile} does not fit the certificate in ${certFile}`)
        return []
      }
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
      const encrypted = /ENCRYPTED/.test(key)
      wrong(
        `${at}.key_file`,
        encrypted
          ? `${at}.key_file: the key in ${keyFile} is encrypted, and ${password === undefined ? "there is no server.tls.key_password_file" : "the password in server.tls.key_password_file does not open it"}`
          : `${at}.key_file: ${keyFile} is no private key in PEM form${code === "" ? "" : ` (${code})`}`
      )
      return []
    }
    const options: SecureContextOptions = {
      cert,
      key,
      ...(password === undefined ? {} : { passphrase: password }),
      ...(ca === undefined ? {} : { ca }),
      minVersion: tls.min_version === "1.3" ? "TLSv1.3" : "TLSv1.2"
    }
    const notAfter = leaf.validToDate.getTime()
    if (notAfter - now < dueDays * day)
      diagnostics.push({
        severity: "warning",
        path: `${at}.cert_file`,
        message: notAfter <= now ? "A certificate of the listener has expired" : "A certificate of the listener expires soon",
        detail: `${certFile}, ${leaf.validTo}`,
        fields: { file: certFile, not_after: leaf.validToDate.toISOString() }
      })
    return [{ names: namesOf(leaf), notAfter, fingerprint: leaf.fingerprint256.replaceAll(":", "").toLowerCase(), options }]
  })
  if (diagnostics.some(({ severity }) => severity === "error") || pairs.length === 0) return { certificates: undefined, diagnostics, files }
  return { certificates: { pairs, print: hash("sha256", seen.join("\0")) }, diagnostics, files }
}

/** Contexts by name: exact first, then one-label wildcards. */
export class Contexts {
  readonly #exact = new Map<string, SecureContext>()
  readonly #wild = new Map<string, SecureContext>()

  constructor({ pairs }: Certificates) {
    // Of two for one name the first counts.
    for (const { names, options } of pairs.toReversed()) {
      const context = createSecureContext(options)
      for (const name of names) (name.startsWith("*.") ? this.#wild : this.#exact).set(name.replace(/^\*\./, ""), context)
    }
  }

  /** `undefined`: the first pair's. */
  of(servername: string): SecureContext | undefined {
    const name = servername.toLowerCase()
    return this.#exact.get(name) ?? this.#wild.get(name.slice(name.indexOf(".") + 1))
  }
}
