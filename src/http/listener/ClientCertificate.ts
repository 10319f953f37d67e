/** The certificate of a connection's client, where one was asked for and verified: read once for all of its requests. */
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import type { ClientCertificate } from "../../guard/keys/Access.ts"

const known = new WeakMap<Socket, ClientCertificate | null>()

/** Subject alternative names of the kinds that say who somebody is. */
const alternatives = (text: string | undefined): ReadonlyArray<string> =>
  (text ?? "").split(", ").flatMap((part) => {
    const [, name] = /^(?:DNS|URI):(.+)$/.exec(part) ?? []
    return name === undefined ? [] : [name]
  })

const read = (socket: TLSSocket): ClientCertificate | null => {
  if (!socket.authorized) return null
  const { subject, subjectaltname, fingerprint256 } = socket.getPeerCertificate()
  if (subject === undefined) return null
  const common = Array.isArray(subject.CN) ? subject.CN : [subject.CN]
  return {
    names: [...common.flatMap((name) => (name === undefined || name === "" ? [] : [name])), ...alternatives(subjectaltname)],
    sha256: (fingerprint256 ?? "").replaceAll(":", "").toLowerCase()
  }
}

export const certificateOf = (socket: Socket): ClientCertificate | undefined => {
  if (!("encrypted" in socket)) return undefined
  let found = known.get(socket)
  if (found === undefined) {
    found = read(socket as TLSSocket)
    known.set(socket, found)
  }
  return found ?? undefined
}
